"""Tables in Markdown."""

from collections.abc import Mapping, Sequence


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as a Markdown table.

    Args:
        rows: one mapping per line, all with the keys of the first, which are the headings. Floats
            are written with three digits, those from 100 to a million as whole numbers, None as
            ``-``; a ``|`` is escaped.

    Returns:
        The lines, without a line break at the end; an empty string for no rows.

    Example:
        >>> print(markdown_table([{"kind": "relaxed", "error": 0.01234}]))
        | kind | error |
        | --- | --- |
        | relaxed | 0.0123 |
    """
    if not rows:
        return ""
    keys = list(rows[0])
    cells = ([_cell(row[key]) for key in keys] for row in rows)
    lines = [[_cell(key) for key in keys], ["---"] * len(keys), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"

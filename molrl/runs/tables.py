"""Tables in Markdown and for the terminal."""

from collections.abc import Iterator, Mapping, Sequence


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


def in_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows in columns for a terminal, the first column flush left and the others right.

    Args:
        rows: cells, as many in each row.

    Example:
        >>> for line in in_columns([("method", "calls"), ("random", "5")]):
        ...     print(line)
        method  calls
        random      5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([f"{first:<{widths[0]}}", *cells])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"

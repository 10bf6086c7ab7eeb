"""The HTML of tables."""

import re
from collections.abc import Mapping, Sequence
from html import escape

from molrl.report.content import Table, Value
from molrl.report.values import coordinate, format_values

_NUMBER = re.compile(r"[<>≈]?\s?([-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?:\s?[%±(].*)?")


def render_table(table: Table, name: str, links: Mapping[str, int]) -> str:
    """Return the HTML of a table.

    Args:
        table: the table.
        name: what it is about, for those who cannot see it.
        links: the numbers of the molecules that texts of the first column are links to.
    """
    columns = [
        _render_column([row[i] for row in table.rows], {} if i else links)
        for i in range(len(table.columns))
    ]
    head = "".join(
        f'<th scope="col"{_class(is_numeric)}><button type="button">{escape(title)}</button></th>'
        for title, (is_numeric, _) in zip(table.columns, columns, strict=True)
    )
    rows = zip(*(cells for _, cells in columns), strict=True)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {escape(name)}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )


def _render_column(values: Sequence[Value], links: Mapping[str, int]) -> tuple[bool, list[str]]:
    """Return whether a column has numbers only, and its cells."""
    orders = [_order(value) for value in values]
    texts = format_values(values)
    is_numeric = any(order is not None for order in orders) and all(
        order is not None or text in ("–", "") for order, text in zip(orders, texts, strict=True)
    )
    cells = []
    for order, text in zip(orders, texts, strict=True):
        data = f' data-order="{order!r}"' if is_numeric and order is not None else ""
        shown = escape(text)
        if text in links:
            shown = f'<a href="#entry-{links[text]}">{shown}</a>'
        cells.append(f"<td{_class(is_numeric)}{data}>{shown}</td>")
    return is_numeric, cells


def _class(is_numeric: bool) -> str:
    return ' class="number"' * is_numeric


def _order(value: Value) -> float | None:
    """Return the number that a cell is sorted by; texts may begin with one, as ``0.1 ± 0.2``."""
    if not isinstance(value, str):
        return coordinate(value)
    found = _NUMBER.fullmatch(value)
    return float(found[1].replace("−", "-")) if found else None

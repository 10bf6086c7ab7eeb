"""The HTML of the parts of a section."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from molrl.report.content import Entry, Picture, Section, Table, Value
from molrl.report.scatter import render_map
from molrl.report.scenes import describe_elements
from molrl.report.values import coordinate, format_value

_NUMERIC = re.compile(r"[-+−<>≈]?\s?\d+([.,]\d+)?(e[-+]?\d+)?(\s?[%±(].*)?")


def render_section(section: Section, number: int, first: int) -> str:
    """Return the HTML of a section.

    Args:
        section: the section.
        number: of the section in the report, for links to it.
        first: the number of its first entry in the report.
    """
    parts = [f"<h2>{escape(section.heading)}</h2>\n"]
    for paragraph in re.split(r"\n\s*\n", section.text.strip()):
        parts.append(f"<p>{escape(paragraph)}</p>\n" * bool(paragraph))
    if section.table:
        parts.append(_table(section.table, section.heading))
    if section.picture:
        parts.append(_picture(section.picture))
    if section.map:
        parts.append(render_map(section.map, section.entries, first))
    if section.entries:
        parts.append(_gallery(section.entries, first))
    return f'<section id="section-{number}">\n{"".join(parts)}</section>\n'


def _table(table: Table, name: str) -> str:
    numeric = [_is_numeric([row[i] for row in table.rows]) for i in range(len(table.columns))]
    classes = [' class="number"' * number for number in numeric]
    head = "".join(
        f'<th scope="col"{kind}><button type="button">{escape(column)}</button></th>'
        for column, kind in zip(table.columns, classes, strict=True)
    )
    rows = "".join(f"<tr>{''.join(_cells(row, classes))}</tr>\n" for row in table.rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {escape(name)}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


def _is_numeric(values: Sequence[Value]) -> bool:
    """Return whether every value of a column is a number, or a text that is written like one."""
    given = [value for value in values if value is not None]
    return bool(given) and all(
        bool(_NUMERIC.fullmatch(value)) if isinstance(value, str) else True for value in given
    )


def _cells(row: Sequence[Value], classes: Sequence[str]) -> Iterator[str]:
    for value, kind in zip(row, classes, strict=True):
        number = coordinate(value)
        order = "" if number is None else f' data-order="{number!r}"'
        yield f"<td{kind}{order}>{escape(format_value(value))}</td>"


def _picture(picture: Picture) -> str:
    data, caption = b64encode(picture.read()).decode(), escape(picture.caption)
    return (
        f'<figure class="picture"><img src="data:image/png;base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _gallery(entries: Sequence[Entry], first: int) -> str:
    cards = "".join(_card(entry, first + i) for i, entry in enumerate(entries))
    legend = "".join(
        f'<li><i style="background:rgb{tuple(element["color"])}"></i>{element["symbol"]}</li>'
        for element in describe_elements(entry.frames for entry in entries).values()
    )
    return (
        f'<ul class="legend" aria-label="Colours of the elements">{legend}</ul>\n'
        f'<div class="gallery">\n{cards}</div>\n'
    )


def _card(entry: Entry, number: int) -> str:
    caption = f"<p>{escape(entry.caption)}</p>" * bool(entry.caption)
    return (
        f'<figure class="card" id="entry-{number}" data-entry="{number}">'
        f"<figcaption><h3>{escape(entry.title)}</h3>{caption}{_values(entry.values)}"
        "</figcaption></figure>\n"
    )


def _values(values: Mapping[str, Value]) -> str:
    pairs = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(format_value(value))}</dd></div>"
        for name, value in values.items()
    )
    return f"<dl>{pairs}</dl>" * bool(pairs)

"""The HTML of the parts of a section."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from molrl.report.content import Entry, Picture, Section, Value
from molrl.report.scatter import render_map
from molrl.report.scenes import describe_elements
from molrl.report.tables import render_table
from molrl.report.values import format_values


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
        links = {entry.title: first + i for i, entry in enumerate(section.entries)}
        parts.append(render_table(section.table, section.heading, links))
    if section.picture:
        parts.append(_picture(section.picture))
    if section.map:
        parts.append(render_map(section.map, section.entries, first))
    if section.entries:
        parts.append(_gallery(section.entries, first))
    return f'<section id="section-{number}">\n{"".join(parts)}</section>\n'


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
        f"<div><dt>{escape(name)}</dt><dd>{escape(format_values([value])[0])}</dd></div>"
        for name, value in values.items()
    )
    return f"<dl>{pairs}</dl>" * bool(pairs)

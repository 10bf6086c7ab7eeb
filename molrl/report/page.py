"""The HTML file of a report."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from typing import Any

from molrl.report.blocks import render_section
from molrl.report.content import Section
from molrl.report.scenes import PER_ANGSTROM, describe_elements, describe_scene
from molrl.runs.atomic import write_text

SCRIPTS = ("viewer.js", "page.js")
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="molrl">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{contents}</header>
<main>
<noscript><p class="note">JavaScript, which draws the molecules, is off.</p></noscript>
{sections}</main>
<script type="application/json" id="scenes">{scenes}</script>
<script>{script}</script>
</body>
</html>
"""


def write_report(path: Path | str, title: str, sections: Sequence[Section]) -> None:
    """Write a report as one HTML file, which needs no network and no other file.

    Molecules turn under the mouse, a finger or the arrow keys. The file loads nothing, and its
    content security policy forbids browsers to. Identical reports give identical files.

    Args:
        path: the HTML file.
        title: the title; plain text, as all texts of the sections.
        sections: the parts, in this order.

    Raises:
        InputError: if a picture cannot be read.
        OSError: if the file cannot be written.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.molecules import MoleculeBatch
        >>> from molrl.report import Entry
        >>> water = Entry("O", "water", MoleculeBatch.from_ase(molecule("H2O")))
        >>> write_report("report.html", "Molecules", [Section("All", entries=[water])])
    """
    firsts = accumulate((len(section.entries) for section in sections), initial=0)
    numbered = enumerate(zip(sections, firsts, strict=False))
    script = "\n".join(_read(name) for name in SCRIPTS)
    page = _PAGE.format(
        policy=_policy(script),
        title=escape(title),
        style=_read("style.css"),
        contents=_contents(sections),
        sections="".join(render_section(section, i, first) for i, (section, first) in numbered),
        scenes=_json(_scenes(sections)),
        script=script,
    )
    write_text(path, page)


def _read(name: str) -> str:
    return files("molrl.report").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return a content security policy under which nothing is loaded and only ``script`` runs."""
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = f"img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}"


def _contents(sections: Sequence[Section]) -> str:
    if len(sections) < 3:
        return ""
    links = (
        f'<a href="#section-{i}">{escape(section.heading)}</a>'
        for i, section in enumerate(sections)
    )
    return f'<nav aria-label="Sections">{" ".join(links)}</nav>\n'


def _scenes(sections: Sequence[Section]) -> dict[str, Any]:
    frames = [entry.frames for section in sections for entry in section.entries]
    return {
        "perAngstrom": PER_ANGSTROM,
        "elements": describe_elements(frames),
        "molecules": [describe_scene(each) for each in frames],
    }


def _json(data: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return JSON that cannot end the script element around it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")

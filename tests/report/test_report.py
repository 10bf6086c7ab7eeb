"""The HTML of a report, without a browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from ase.build import bulk, molecule

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.report import Entry, Map, Picture, Section, Table, write_report
from molrl.report.scenes import describe_scene
from molrl.report.values import coordinate, format_values

HOSTILE = "</script><script>alert(1)</script>\"' onload=x & <img src=//host>"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
WATER = MoleculeBatch.from_ase(molecule("H2O"))


class Page(HTMLParser):
    """The elements and the texts of an HTML file."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts, self._open = [], {}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def entry(title="O", values=None):
    return Entry(title, "", WATER, values or {})


def test_report_escapes_every_text(tmp_path):
    picture = tmp_path / "curve.png"
    picture.write_bytes(PNG)
    section = Section(
        HOSTILE, HOSTILE,
        Table([HOSTILE], [[HOSTILE]]),
        Picture(picture, HOSTILE),
        [Entry(HOSTILE, HOSTILE, WATER, {HOSTILE: 1.0, "kind": HOSTILE})],
        Map(HOSTILE, HOSTILE, "kind"),
    )  # fmt: skip
    path = tmp_path / "report.html"
    write_report(path, HOSTILE, [section] * 3)
    page = Page(path)
    for tag in ("title", "h1", "h2", "h3", "p", "th", "dt", "dd", "a", "figcaption", "li"):
        shown = page.texts.get(tag, []) + page.texts.get("button", []) * (tag == "th")
        assert HOSTILE in shown, tag
    assert [a["alt"] for a in page.attributes("img")] == [HOSTILE] * 3
    assert base64.b64decode(page.attributes("img")[0]["src"].split(",")[1]) == PNG
    assert len(page.attributes("script")) == 2
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]


def test_report_runs_its_own_script_only_and_loads_nothing(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, "Report", [Section("One", entries=[entry()])])
    page = Page(path)
    script = page.texts["script"][-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] for a in page.attributes("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    links = [a.get(key, "") for _, a in page.elements for key in ("src", "href")]
    assert {link[:5] for link in links if link and link[0] != "#"} <= {"data:"}
    assert not re.search(r"https?://", path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 40_000
    again = tmp_path / "again.html"
    write_report(again, "Report", [Section("One", entries=[entry()])])
    assert again.read_bytes() == path.read_bytes()


def test_report_holds_the_molecules_of_all_sections(tmp_path):
    path = tmp_path / "report.html"
    table = Table(["name", "strain, eV"], [["b", "0.1 ± 0.2"], ["other", None]])
    one = Section("One", entries=[entry("a")])
    write_report(path, "Report", [one, Section("Two", "", table, None, [entry("b")] * 2)])
    page = Page(path)
    scenes = json.loads(next(text for text in page.texts["script"] if text[0] == "{"))
    assert [len(frames) for frames in scenes["molecules"]] == [1, 1, 1]
    assert {each["symbol"] for each in scenes["elements"].values()} == {"H", "O"}
    assert [a["data-entry"] for a in page.attributes("figure")] == ["0", "1", "2"]
    assert [a["href"] for a in page.attributes("a")] == ["#entry-1"]
    assert [a.get("data-order") for a in page.attributes("td")] == [None, "0.1", None, None]


def test_scene_keeps_the_geometry_and_the_place_of_the_atoms():
    rng = np.random.default_rng(0)
    numbers, positions = np.array([6, 1, 7, 8, 9]), rng.normal(size=(5, 3)) + 4
    frames = MoleculeBatch.from_arrays([(numbers[:k], positions[:k]) for k in (0, 2, 5)])
    nothing, two, five = describe_scene(frames)
    assert nothing == {"z": [], "x": [], "b": []}
    assert two["x"] == five["x"][:6]
    seen = np.array(five["x"]).reshape(-1, 3) / 100
    edges, before = seen[1:] - seen[0], positions[1:] - positions[0]
    assert edges @ edges.T == pytest.approx(before @ before.T, abs=0.1)
    volumes = [np.linalg.det(each[:3]) for each in (edges, before)]
    assert volumes[0] == pytest.approx(volumes[1], abs=0.1)  # not mirrored
    assert abs(volumes[1]) > 0.3
    (bent,) = describe_scene(WATER)
    assert sorted(map(sorted, zip(bent["b"][::2], bent["b"][1::2], strict=True))) == [
        [0, 1],
        [0, 2],
    ]


def test_map_places_points_by_their_values(tmp_path):
    path = tmp_path / "report.html"
    values = [(0.0, -1.0), (1.0, 3.0), (0.5, 1.0), (float("nan"), 1.0), (None, 1.0)]
    entries = [
        entry(str(i), {"x": x, "y": y, "by": "ab"[i % 2]}) for i, (x, y) in enumerate(values)
    ]
    write_report(path, "Report", [Section("Map", entries=entries, map=Map("x", "y", "by"))])
    points = [a for a in Page(path).attributes("button") if "data-opens" in a]
    assert [a["data-opens"] for a in points] == ["0", "1", "2"]
    styles = [dict(pair.split(":") for pair in a["style"].split(";")) for a in points]
    x, y = ([float(style[side][:-1]) for style in styles] for side in ("left", "bottom"))
    assert 0 < x[0] < x[2] < x[1] < 100
    assert (x[2], y[2]) == pytest.approx((50, 50), abs=0.01)
    assert styles[0]["--dot"] == styles[2]["--dot"] != styles[1]["--dot"]
    assert points[1]["aria-label"] == "1; x: 1.000; y: 3.000; by: b"


def test_report_without_molecules_on_the_map_says_so(tmp_path):
    path = tmp_path / "report.html"
    entries = [entry("a", {"x": 1.0}), entry("b", {"y": 1.0})]
    write_report(path, "Report", [Section("Map", entries=entries, map=Map("x", "y"))])
    assert "No molecule has both values of the map." in path.read_text(encoding="utf-8")


def test_values_share_the_decimals_that_the_largest_needs():
    assert format_values([0.12345, -9.9, None, float("nan")]) == ["0.123", "-9.900", "–", "–"]
    assert format_values([91.54, 0.0, 1e-5]) == ["91.54", "0.00", "1.0e-05"]
    assert format_values([12345.6, 1, -float("inf")]) == ["12,346", "1", "–"]
    assert format_values([]) == []
    assert format_values(["C#N", 20000, -1]) == ["C#N", "20,000", "-1"]
    assert format_values([np.float32(91.54), np.int64(20000)]) == ["91.54", "20,000"]
    assert [coordinate(each) for each in (np.float32(0.5), np.int64(2), "2")] == [0.5, 2.0, None]


def test_report_refuses_what_it_cannot_show(tmp_path):
    with pytest.raises(InputError, match="row 1 must have 2 values, not 1"):
        Table(["a", "b"], [[1, 2], [3]])
    with pytest.raises(
        InputError, match=r"has a value 'strian' for the map; did you mean 'strain'"
    ):
        Section("Map", entries=[entry(values={"strain": 1.0})], map=Map("strian", "strain"))
    with pytest.raises(InputError, match="'x' must have at least one frame"):
        Entry("x", "", WATER[[]])
    with pytest.raises(InputError, match="periodic"):
        Entry("x", "", MoleculeBatch.from_ase(bulk("Cu")))
    with pytest.raises(InputError, match=r"cannot read the picture .*: No such file"):
        Picture(tmp_path / "none.png", "")
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(InputError, match=r"text.png is not a PNG file"):
        Picture(tmp_path / "text.png", "")

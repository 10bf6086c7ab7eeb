"""The report in a real browser without a network."""

import pytest
from ase.build import molecule

from molrl.molecules import MoleculeBatch
from molrl.report import Entry, Map, Section, Table, write_report

PIXELS = "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
DRAWN = "(c => c.width > 0 && " + PIXELS + "(c).some((value, i) => i % 4 === 3 && value))"


def canvas(selector):
    return f"document.querySelector('{selector} canvas')"


def batch(*names):
    return MoleculeBatch.from_ase([molecule(name) for name in names])


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    names = ["CH3OH", "NH3", "H2O"]
    entries = [
        Entry(f"{name} <b>", "</script>", batch(name), {"x, eV": i, "y, Å": i * i})
        for i, name in enumerate(names)
    ]
    steps = batch("CH3OH")
    built = MoleculeBatch.from_arrays(
        [(z[:k], x[:k]) for z, x in steps.arrays() for k in (0, 3, 6)]
    )
    sections = [
        Section("Built", entries=[Entry("growing", "", built)]),
        Section(
            "All",
            table=Table(["name", "x, eV"], [[e.title, e.values["x, eV"]] for e in entries]),
            entries=entries,
            map=Map("x, eV", "y, Å"),
        ),
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, "A report", sections)
    browser.open(path)
    return browser


def test_report_loads_nothing_and_raises_no_error(page):
    page.wait(f"{DRAWN}({canvas('#entry-0')})")
    requests = [
        event["params"]["request"]["url"].split(":")[0]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {*requests} <= {"file", "data"}
    assert requests.count("file") == 1
    wrong = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
    # rendering: a hint about the pixels that these tests read
    events = [event for event in page.events if event["method"] in wrong]
    sources = [event["params"].get("entry", {}).get("source") for event in events]
    assert [e for e, source in zip(events, sources, strict=True) if source != "rendering"] == []


@pytest.mark.parametrize("turn", ["mouse", "keys"])
def test_molecule_turns(page, turn):
    page.center("#entry-1")
    page.wait(f"{DRAWN}({canvas('#entry-1')})")
    before = page.evaluate(f"window.before = {canvas('#entry-1')}.toDataURL()")
    if turn == "mouse":
        page.drag("#entry-1 canvas", 40, 25)
    else:
        page.evaluate(f"{canvas('#entry-1')}.focus()")
        page.press("ArrowLeft")
    page.wait(f"{canvas('#entry-1')}.toDataURL() !== window.before")
    page.evaluate(f"{canvas('#entry-1')}.focus()")
    page.press("0")
    page.wait(f"{canvas('#entry-1')}.toDataURL() === window.before")
    assert len(before) > 2000  # not an empty picture


def test_animation_plays_to_its_end(page):
    output = "document.querySelector('.player output').textContent"
    page.center(".player")
    page.wait(f"{DRAWN}({canvas('#entry-0')})")
    page.click(".player button")
    page.wait(f"{output} === '1 / 3' && !{DRAWN}({canvas('#entry-0')})")  # no atoms yet
    page.wait(f"{output} === '3 / 3' && {DRAWN}({canvas('#entry-0')})")


def test_point_of_the_map_opens_its_molecule(page):
    assert page.evaluate("document.querySelector('.opened h3').textContent") == "CH3OH <b>"
    page.click("[data-opens='3']")
    page.wait("document.querySelector('.opened h3').textContent === 'H2O <b>'")
    page.wait(f"{DRAWN}({canvas('.opened')})")
    page.press("ArrowLeft")
    page.wait("document.querySelector('.opened h3').textContent === 'NH3 <b>'")


def test_name_in_a_table_opens_its_molecule(page):
    page.click("td a[href='#entry-2']")
    page.wait(f"document.querySelector('dialog').open && {DRAWN}({canvas('dialog')})")
    assert page.evaluate("document.querySelector('dialog h3').textContent") == "NH3 <b>"
    page.evaluate("document.querySelector('dialog [title=Close]').click()")


def test_click_on_a_heading_sorts_the_table(page):
    column = "[...document.querySelectorAll('tbody td.number')].map(cell => cell.textContent)"
    for expected in (["0", "1", "2"], ["2", "1", "0"]):
        page.click("th.number button")
        assert page.evaluate(column) == expected

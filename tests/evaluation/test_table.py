import math

from molrl.evaluation.table import format_table
from molrl.runs.tables import markdown_table


def test_format_table_aligns_figures_with_units():
    lines = format_table(
        {
            "valid_fraction": 0.965,
            "median_strain": 0.12345,
            "n_molecules": 100,
            "lowest_smiles": "CCO",
            "seconds": 431.26,
        }
    ).splitlines()
    assert lines[0].split() == ["molecules", "100"]
    assert lines[1].split() == ["valid", "fraction", "96.5", "%", "of", "molecules"]
    assert lines[2].split()[:5] == ["median", "strain", "energy", "0.123", "eV,"]
    assert lines[-1].split() == ["time", "431.3", "s,", "wall", "time"]
    texts = ("100", "96.5", "0.123", "CCO", "431.3")
    ends = {line.index(text) + len(text) for line, text in zip(lines, texts, strict=True)}
    assert len(ends) == 1


def test_format_table_writes_missing_figures_as_dashes():
    lines = format_table({"lowest_energy": None, "median_rmsd": math.nan}).splitlines()
    assert [line.split("  ")[-2:] for line in lines] == [
        ["-", "Å, from the relaxed geometry"],
        ["-", "eV, total, of a valid molecule"],
    ]


def test_format_table_says_what_a_figure_means():
    table = format_table({"return_fraction": 0.9, "lowest_smiles": "CO"})
    assert "0.900  mean return over that of the best known isomer" in table
    assert table.endswith("CO  SMILES, without hydrogens")


def test_format_table_puts_unknown_figures_last():
    table = format_table({"my_figure": 1.5, "n_molecules": 3, "nested": {"left": "out"}})
    assert [line.split() for line in table.splitlines()] == [
        ["molecules", "3"],
        ["my", "figure", "1.5"],
    ]


def test_format_table_is_as_narrow_beside_a_long_task():
    table = format_table({"task": "shape (shape ring, n_points 64, bag C6H6)", "n_molecules": 3})
    assert table.splitlines()[1] == "molecules  3"


def test_format_table_of_nothing_is_empty():
    assert format_table({}) == ""


def test_markdown_table_formats_rows():
    rows = [{"kind": "relaxed", "n": 7, "error": 0.012345}, {"kind": "walk", "n": 1, "error": None}]
    assert markdown_table([*rows, {"kind": "far", "n": 2, "error": 1234.5}]).splitlines() == [
        "| kind | n | error |",
        "| --- | --- | --- |",
        "| relaxed | 7 | 0.0123 |",
        "| walk | 1 | - |",
        "| far | 2 | 1234 |",
    ]
    assert markdown_table([]) == ""


def test_markdown_table_escapes_what_separates_cells():
    assert markdown_table([{"a|b": "c|d"}]).splitlines()[::2] == [r"| a\|b |", r"| c\|d |"]

"""``molrl search``: its table, files, constraints and resumption."""

import contextlib
import csv
import io
import json
import signal
import subprocess
import sys

import pytest
from PIL import Image
from rdkit import Chem

from molrl.cli.main import main
from molrl.files import read_molecules

SMALL = ["energy=mace-small", "batch_size=4", "checkpoint_every=1"]
COMMAND = ["search", "C2H6O", *SMALL, "--energy-calls", "400"]
KEYS = {
    "schema_version",
    "n_isomers",
    "lowest_energy",
    "lowest_smiles",
    "energy_calls",
    "ranking_energy_calls",
    "seconds",
    "ranking_seconds",
    "methods",
}
KILLED = """
import os, signal, sys
from molrl.cli.main import run
from molrl.generators.search.run import IsomerSearch

snapshot, saved = IsomerSearch.snapshot, []

def snapshot_and_die(search):
    saved.append(search.steps)
    if len(saved) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return snapshot(search)

IsomerSearch.snapshot = snapshot_and_die
sys.exit(run())
"""


def table(folder):
    with open(folder / "isomers.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of a search, and what it printed."""
    folder, out, err = tmp_path_factory.mktemp("found"), io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        assert main(COMMAND) == 0
    assert "rows are missing" not in err.getvalue()  # simgen has evaluated some before the first
    return folder / "runs" / "search-C2H6O", out.getvalue()


def test_search_writes_table_files_and_summary(found):
    folder, out = found
    rows = table(folder)
    assert list(rows[0]) == [
        "smiles",
        "energy_above_best_eV",
        "strain_eV",
        "method",
        "energy_calls_when_found",
    ]
    assert [row["smiles"] for row in rows[:2]] == ["CCO", "COC"]
    assert float(rows[0]["energy_above_best_eV"]) == 0 < float(rows[1]["energy_above_best_eV"])
    assert all(0 < int(row["energy_calls_when_found"]) <= 400 for row in rows)
    molecules = read_molecules(folder / "isomers.extxyz")
    mols = list(Chem.SDMolSupplier(str(folder / "isomers.sdf"), removeHs=False))
    assert len(molecules) == len(mols) == len(rows)
    assert [mol.GetProp("smiles") for mol in mols] == [row["smiles"] for row in rows]
    assert Image.open(folder / "isomers.png").size[0] > 100
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert report.index("Of the 2 known isomers, 2 are found") < report.index('#entry-1">COC</a>')
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert set(summary) >= KEYS
    assert 320 < summary["energy_calls"] <= 400
    assert summary["ranking_energy_calls"] > 0
    assert (summary["n_known"], summary["n_known_found"]) == (2, 2)
    assert set(summary["methods"]) == {"covariant", "random-search", "basin-hopping", "simgen"}
    assert out.index("CCO") < out.index("COC") < out.index("isomers.csv")


@pytest.mark.bitwise
def test_search_killed_and_resumed_gives_the_same_table(found, here):
    whole, _ = found
    killed = [sys.executable, "-c", KILLED, *COMMAND, "run_dir=killed"]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    assert not (here / "killed" / "summary.json").exists()
    assert main(["resume", "killed"]) == 0
    assert table(here / "killed") == table(whole)
    for name in ("isomers.extxyz", "isomers.sdf"):
        assert (here / "killed" / name).read_bytes() == (whole / name).read_bytes()
    assert main(["resume", "killed"]) == 0  # a finished one shows its summary


def test_search_keeps_to_constraints(here):
    asked = ["--with", "[OX2H]", "--rings", "0", "--method", "random-search"]
    assert main(["search", "C2H6O", *SMALL, "--energy-calls", "400", *asked]) == 0
    assert {row["smiles"] for row in table(here / "runs" / "search-C2H6O")} == {"CCO"}


def test_search_finds_ions_with_a_model_that_takes_the_charge(here):
    ion = ["search", "H4N", "--charge", "1", "--energy", "gfn2", "--energy-calls", "100"]
    assert main([*ion, "batch_size=2"]) == 0
    assert [row["smiles"] for row in table(here / "runs" / "search-H4N")] == ["[NH4+]"]
    assert read_molecules(here / "runs" / "search-H4N" / "isomers.sdf").charge.tolist() == [1]


def test_search_that_finds_nothing_succeeds(here, capsys):
    assert (
        main(
            ["search", "C2H6O", *SMALL, "--energy-calls", "60", "--with", "C", "--without", "[#6]"]
        )
        == 0
    )
    assert "no isomer of those asked for was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["CH3"], "odd number of electrons"),
        (["CH4", "--with", "(("], "invalid SMARTS"),
        (["CH4", "--with", "C", "--without", "C"], "'C' is both contained and excluded"),
        (["C2H6O", "--with", "C[N,O]C(=O)[OX2H]"], "needs O2, and C2H6O has 1"),
        (
            ["C3H8O", "--with", "C=C"],
            "that add up to 1; in C3H8O they add up to at most 0",
        ),
        (
            ["C3H6O", "--with", "C=O", "--rings", "1"],
            "that add up to 2; in C3H6O they add up to at most 1",
        ),
        (
            ["C3H6", "--with", "C1CC1", "--rings", "0"],
            "has rings (1) beyond the number asked for (0)",
        ),
        (["C3H6O", "--with", "[13C]"], "'[13C]' names an isotope, which molecules have not"),
        (["CH4", "--rings", "1.5"], "argument --rings: invalid number '1.5'; give a whole number"),
        (["CH4", "--seed", "1", "seed=2"], "seed is given twice, as 'seed=1' and 'seed=2'"),
        (["CH4", "bag=CH6N2"], "bag is given twice, as 'bag=CH4' and 'bag=CH6N2'; leave one"),
        (["CH4", "--rings", "-1"], "rings must be greater than or equal to 0"),
        (["C4H8O", "--rings", "3"], "rings: isomers of C4H8O have at most 1, not 3"),
        (["CH4", "--minutes", "never"], "invalid time 'never'"),
        (["CH4", "--energy-calls", "0"], "invalid number '0'"),
        (["CH4", "--method", "random-serach"], "did you mean 'random-search'"),
        (["CH4", "energy=gfn"], "did you mean 'gfn2'"),
        (["CH4", "C2H6"], "'C2H6' is no key=value"),
        (["H4N", "--charge", "1"], "use gfn2"),
    ],
)
def test_search_refuses_in_one_line_and_writes_nothing(arguments, said, here, capsys):
    assert main(["search", *arguments]) == 2
    (line,) = (x for x in capsys.readouterr().err.splitlines() if "error" in x)
    assert said in line
    assert not (here / "runs").exists()


def test_search_refuses_a_folder_in_use_and_names_a_free_one(here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("mine")
    assert main(["search", "CH4", "run_dir=mine"]) == 2
    assert "start a new run with run_dir=mine-2" in capsys.readouterr().err


def test_search_that_is_finished_asks_for_more_of_what_limits_it(found, capsys):
    folder, _ = found
    assert main(["resume", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("to go on, give energy_calls=N")
    assert main(["resume", str(folder), "minutes=100"]) == 2
    assert capsys.readouterr().err.rstrip().endswith("minutes; give a larger energy_calls")


def test_search_that_only_its_time_limits_is_saved_at_the_end(here):
    small = ["energy_calls=null", "methods=[random-search]", *SMALL]
    assert main(["search", "C2H6O", *small, "--minutes", "0.001", "run_dir=run"]) == 0
    spent = json.loads((here / "run/summary.json").read_text())
    assert main(["resume", "run", f"minutes={spent['seconds'] / 60 + 0.01}"]) == 0
    after = json.loads((here / "run/summary.json").read_text())
    assert after["energy_calls"] > spent["energy_calls"]


def test_search_that_time_has_ended_goes_on_with_more_minutes(here, capsys):
    small = ["energy_calls=100000", "methods=[random-search]", *SMALL]
    assert main(["search", "C2H6O", *small, "--minutes", "0.005", "run_dir=run"]) == 0
    capsys.readouterr()
    assert main(["resume", "run", "energy_calls=200000"]) == 2
    assert "energies in 0.0" in (line := capsys.readouterr().err.splitlines()[-1])
    assert line.endswith("give a larger energy_calls or minutes")
    spent = json.loads((here / "run/summary.json").read_text())
    calls = spent["energy_calls"]
    with (here / "run/metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["steps"]) == int(rows[-1]["energy_calls"]) == calls  # what was spent
    assert len({row["steps"] for row in rows}) == len(rows)
    assert main(["resume", "run", f"minutes={spent['seconds'] / 60 + 0.01}"]) == 0
    assert json.loads((here / "run/summary.json").read_text())["energy_calls"] > calls

"""molrl evaluate: files of each molecule's figures, and molecules that are not evaluated."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read, write
from rdkit import Chem

from molrl.cli.main import main

NAMES = ["CH3OH", "CH3", "CH3OH", "H2O"]


@pytest.fixture
def mixed(here):
    """Four molecules with one of uranium after the first; the second methanol is strained."""
    images = [molecule(name) for name in NAMES]
    images[2].rattle(0.05, seed=1)
    images.insert(1, Atoms("UO", [[0, 0, 0], [0, 0, 1.8]]))
    write("in.extxyz", images)
    return images


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_evaluate_writes_a_line_for_each_molecule(mixed, capsys):
    assert main(["evaluate", "in.extxyz", "--csv", "all.csv", "--json", "all.json"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("molrl: not evaluated: 1 (by index from 0): molecule 1 holds U; known")
    assert "not evaluated" in out
    with open("all.json", encoding="utf-8") as file:
        figures = json.load(file)
    assert (figures["n_molecules"], figures["n_not_evaluated"], figures["n_valid"]) == (4, 1, 3)
    rows = table("all.csv")
    assert list(rows[0]) == [
        *("index", "formula", "smiles", "valid", "reason"),
        *("energy_eV", "strain_eV", "rmsd_angstrom", "converged"),
        *("inchikey", "relaxed_smiles", "relaxed_inchikey", "relaxation"),
        *("symmetric_rmsd_angstrom", "failed_checks", "accessibility", "above_best_eV"),
    ]
    assert [row["index"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [row["formula"] for row in rows] == ["CH4O", "OU", "CH3", "CH4O", "H2O"]
    assert [row["valid"] for row in rows] == ["True", "", "False", "True", "True"]
    assert (rows[0]["reason"], rows[2]["reason"]) == ("-", "1 radical electron")
    assert rows[1]["reason"].startswith("molecule 1 holds U")
    assert rows[1]["energy_eV"] == ""
    assert float(rows[3]["energy_eV"]) - float(rows[0]["energy_eV"]) == pytest.approx(
        float(rows[3]["strain_eV"]) - float(rows[0]["strain_eV"]), abs=5e-3
    )
    assert float(rows[3]["rmsd_angstrom"]) > 0.01


@pytest.mark.parametrize("command", ["evaluate", "energy evaluate"])
def test_evaluate_writes_its_files_before_the_table(mixed, command):
    """Whoever reads the table may close the pipe."""

    arguments = [*command.split(), "in.extxyz", "--csv", "all.csv", "--json", "all.json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "molrl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert said.endswith(b"the output pipe was closed\n")
    assert len(table("all.csv")) == 5
    assert Path("all.json").exists()


def test_evaluate_writes_only_what_is_valid_and_unique(mixed, capsys):
    files = ["--csv", "some.csv", "-o", "some.sdf"]
    assert main(["evaluate", "in.extxyz", "--valid", "--unique", *files]) == 0
    rows = table("some.csv")
    assert [(row["index"], row["smiles"]) for row in rows] == [("0", "CO"), ("4", "O")]
    mols = list(Chem.SDMolSupplier("some.sdf", removeHs=False))
    assert [mol.GetProp("energy_eV") for mol in mols] == [row["energy_eV"] for row in rows]
    assert [mol.GetProp("index") for mol in mols] == ["0", "4"]


def test_evaluate_that_writes_no_molecule_says_so_and_keeps_the_columns(here, capsys):
    write("in.extxyz", molecule("CH3"))
    assert main(["evaluate", "in.extxyz", "--valid", "--csv", "valid.csv"]) == 0
    assert "no molecule is as asked for, so that none is written" in capsys.readouterr().err
    assert main(["evaluate", "in.extxyz", "--csv", "all.csv"]) == 0
    texts = [(here / name).read_text(encoding="utf-8") for name in ("valid.csv", "all.csv")]
    assert texts[0].splitlines() == texts[1].splitlines()[:1]


@pytest.mark.parametrize(
    "options",
    [
        ["--csv", "in.extxyz"],
        ["-o", "./in.extxyz", "--valid"],
        ["--novel-against", "known.extxyz", "-o", "known.extxyz"],
    ],
)
def test_evaluate_replaces_no_file_that_it_reads(mixed, here, capsys, options):
    shutil.copy("in.extxyz", "known.extxyz")
    before = [Path(name).read_bytes() for name in ("in.extxyz", "known.extxyz")]
    assert main(["evaluate", "in.extxyz", *options, "--force"]) == 2
    assert "is a file that is read; name another" in capsys.readouterr().err
    assert [Path(name).read_bytes() for name in ("in.extxyz", "known.extxyz")] == before


def test_evaluate_replaces_files_only_by_force(mixed, capsys):
    command = ["evaluate", "in.extxyz", "-o", "out.extxyz"]
    assert main(command) == 0
    before = read("out.extxyz", ":")
    assert len(before) == 4
    assert main(command) == 2
    assert capsys.readouterr().err.endswith("already exists; name another, or add --force\n")
    assert main([*command, "--valid", "--force"]) == 0
    assert len(read("out.extxyz", ":")) == 3


def test_energy_evaluate_writes_the_error_of_each_molecule(mixed, capsys):
    arguments = ["--model", "mace-small", "--csv", "errors.csv", "--json", "errors.json"]
    assert main(["energy", "evaluate", "in.extxyz", *arguments]) == 0
    assert "not evaluated: 1 (by index from 0): molecule 1 holds U" in capsys.readouterr().err
    rows = table("errors.csv")
    assert [row["formula"] for row in rows] == ["CH4O", "OU", "CH3", "CH4O", "H2O"]
    assert [row["reason"][:16] for row in rows] == ["-", "molecule 1 holds", "-", "-", "-"]
    errors = [abs(float(row["error_eV"])) for row in rows if row["error_eV"]]
    with open("errors.json", encoding="utf-8") as file:
        figures = json.load(file)
    assert figures["mean absolute error, eV"] == pytest.approx(sum(errors) / 4)
    assert figures["not evaluated"] == 1


def test_relax_leaves_out_what_the_model_does_not_know(mixed, capsys):
    assert main(["relax", "in.extxyz", "-o", "out.sdf", "--max-steps", "1"]) == 0
    err = capsys.readouterr().err
    line = "not evaluated: 1 (by index from 0): molecule 1 holds U; known are H, C, N, O, F, S"
    assert f"{line} (energy model 'mace')\n" in err
    assert "not converged, by index from 0: 0, 2, 3, 4\n" in err
    mols = list(Chem.SDMolSupplier("out.sdf", removeHs=False))
    assert [mol.GetProp("index") for mol in mols] == ["0", "2", "3", "4"]
    assert all(mol.HasProp("start_energy_eV") for mol in mols)
    assert Chem.MolToSmiles(Chem.RemoveHs(mols[0])) == "CO"


def test_evaluate_commands_name_molecules_whose_energy_fails(here, capsys):
    stretched = Atoms("CF", [[0, 0, 0], [0, 0, 4.0]])  # its SCF does not converge
    write("in.extxyz", [Atoms("UO", [[0, 0, 0], [0, 0, 1.8]]), stretched, molecule("H2O")])
    assert main(["evaluate", "in.extxyz", "--csv", "all.csv"]) == 0
    assert "\nmolrl: no energy, by index from 0: 1 (GFN2-xTB: " in capsys.readouterr().err
    assert [row["energy_eV"] == "" for row in table("all.csv")] == [True, True, False]
    assert main(["energy", "evaluate", "in.extxyz", "--model", "gfn2", "--csv", "e.csv"]) == 0
    reasons = [row["reason"].partition(" ")[0] for row in table("e.csv")]
    assert reasons == ["molecule", "GFN2-xTB:", "-"]


def test_commands_leave_out_molecules_with_a_coordinate_that_is_nan(here, capsys):
    broken = molecule("CH3OH")
    broken.positions[2, 1] = np.nan
    write("in.extxyz", [molecule("H2O"), broken, molecule("CH4")])
    line = "molrl: not evaluated: 1 (by index from 0): molecule 1 has a coordinate that is not a"
    assert main(["evaluate", "in.extxyz", "--csv", "all.csv"]) == 0
    assert line in capsys.readouterr().err
    assert [row["valid"] for row in table("all.csv")] == ["True", "", "True"]
    assert main(["relax", "in.extxyz", "-o", "out.extxyz", "--max-steps", "1"]) == 0
    assert line in capsys.readouterr().err
    assert [image.info["index"] for image in read("out.extxyz", ":")] == [0, 2]
    assert main(["energy", "evaluate", "in.extxyz", "--model", "mace-small"]) == 0
    assert line in capsys.readouterr().err


def test_evaluate_hints_at_hydrogens_that_are_left_out(here, capsys):
    write("in.extxyz", Atoms("CO", [[0, 0, 0], [0, 0, 1.43]]))
    assert main(["evaluate", "in.extxyz"]) == 0
    line = "molrl: in.extxyz holds carbon and no hydrogen; hydrogens must be in the file\n"
    assert capsys.readouterr().err == line
    write("in.extxyz", molecule("CH3OH"))
    assert main(["evaluate", "in.extxyz"]) == 0
    assert capsys.readouterr().err == ""


def test_evaluate_counts_what_is_novel_and_names_every_fate(mixed, capsys):
    write("known.extxyz", [molecule("CH3OH")])
    options = ["--novel-against", "known.extxyz", "--similar-to", "known.extxyz"]
    options += ["--csv", "all.csv", "--json", "all.json"]
    assert main(["evaluate", "in.extxyz", *options]) == 0
    assert "novel molecules" in capsys.readouterr().out
    with open("all.json", encoding="utf-8") as file:
        figures = json.load(file)
    assert (figures["n_distinct"], figures["n_novel"], figures["novel_fraction"]) == (2, 1, 0.5)
    assert figures["invalid"] == {"1 radical electron": 1}
    assert figures["relaxations"]["same"] == 4
    assert figures["schema_version"] == 1
    assert {"median_strain", "evaluator", "attempts", "return_fraction"} <= set(figures)
    rows = table("all.csv")
    assert [row["novel"] for row in rows] == ["False", "", "False", "False", "True"]
    assert [row["relaxation"] for row in rows] == ["same", "", "same", "same", "same"]
    assert {row["nearest"] for row in rows} == {"", "CO"}
    assert float(rows[0]["nearest_similarity"]) > 0.95
    assert 0 < float(rows[4]["nearest_similarity"]) < 0.8
    assert figures["median_nearest_similarity"] > 0.95
    assert rows[0]["inchikey"] == "OKKJLVBELUTLKV-UHFFFAOYSA-N"

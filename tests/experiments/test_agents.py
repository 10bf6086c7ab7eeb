"""The figures of the benchmarks of agents, on data with known results."""

import csv
import json
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule

from molrl.energy import load_energy
from molrl.molecules import MoleculeBatch

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from agent_errors import Made
from common_tasks import weights_of
from kept_rows import KeptRows
from qm7_20 import Found, run, total
from single_bags import figures, isomers, over_seeds, shown

from molrl.agents.random import RandomAgent
from molrl.generation import Generated
from molrl.runs.versions import versions


def relaxed(name, smiles, above, valid=True, relaxation="same"):
    atoms = molecule(name)
    atoms.info |= {"relaxed_smiles": smiles, "above_best": above, "valid": valid}
    atoms.info["relaxation"] = relaxation
    return atoms


ISOMERS = [
    relaxed("CH3CH2OH", "CCO", 0.1),
    relaxed("CH3CH2OH", "CCO", np.nan),
    relaxed("CH3CH2OH", "CCO", 0.5),
    relaxed("CH3OCH3", "C[C@H](O)F", 0.4),
    relaxed("CH3OCH3", "C[C@@H](O)F", 0.3),
    relaxed("CH3OCH3", "COC", 3.5),
    relaxed("CH3OCH3", "C.CO", 0.05, relaxation="fragmented"),
    relaxed("CH3OCH3", "C=O", 0.0, valid=False),
]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_isomers_are_counted_without_stereochemistry_and_without_an_energy(order, tmp_path):
    ase.io.write(tmp_path / "m.extxyz", ISOMERS[order])
    assert isomers(tmp_path / "m.extxyz") == (2, 0.1)


@pytest.fixture
def folder(tmp_path):
    """A folder of a run with two evaluations, the first without a return."""
    names = ["return_fraction", "valid_fraction", "distinct", "strain", "bond_length"]
    rows = [["", 0.5, 3, 1.0, 1.0], [0.9, 0.95, 21, 0.5, 1.0], [0.8, 0.95, 25, 0.2, 1.0]]
    with (tmp_path / "evaluations.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["steps", *(f"average_{name}" for name in names)])
        lines.writerows([steps, *row] for steps, row in zip((100, 200, 300), rows, strict=True))
    ase.io.write(tmp_path / "molecules.extxyz", ISOMERS)
    summary = {"n_molecules": 8, "median_strain": 0.3, "median_rmsd": 0.1, "seconds": 120}
    summary |= {"valid_fraction_per_attempt": 0.75, "training_energy_calls": 1000}
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return tmp_path


def test_figures_of_a_run_are_those_of_its_files(folder):
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    row = shown({"bag": "C2H6O"} | figures(summary, folder))
    assert row["valid, %"] == 75
    assert (row["distinct"], row["best above known, eV"]) == (2, 0.1)
    assert row["fall of return"] == pytest.approx(0.1)
    assert (row["steps"], row["minutes"]) == (300, 2)
    assert (row["steps to 90%"], row["steps to 90% and 20"]) == (200, 200)
    assert row["commit"] == str(versions()["commit"] or "")[:7] + "+" * _is_modified()
    assert row["cpu"]


def test_over_seeds_takes_runs_of_one_case_together():
    row = {"bag": "CO", "policy": "covariant", "changed": "-", "steps": 9, "seed": 0}
    row |= dict.fromkeys(["valid, %", "strain, eV", "RMSD, Å", "distinct"], 1.0)
    row |= {"best above known, eV": None, "fall of return": 0.0}
    (found,) = over_seeds([row, row | {"seed": 1, "distinct": 3.0}, row | {"bag": "CN"}])
    assert (found["bag"], found["seeds"]) == ("CO", 2)
    assert found["distinct"] == "2 (1 to 3)"
    assert found["best above known, eV"] == "-"


def found_of(valid, known, samples):
    return Found("C2H6O", frozenset(known), samples, tuple(valid), 1.0, np.array([0.2]), ONE)


ONE = np.ones(1, bool)


def test_qm7_20_counts_known_and_other_isomers_once():
    row = found_of(["CCO", "CCO", "COC", "OCC=C"], {"CCO", "COC", "C=O", "CC"}, 8).row()
    assert (row["valid"], row["distinct"]) == (0.5, 3)
    assert (row["rediscovered"], row["expansion"]) == (0.5, 0.25)
    mean = total([found_of(["CCO"], {"CCO"}, 2), found_of([], {"CCO"}, 2)])
    assert (mean["samples"], mean["valid"], mean["rediscovered"]) == (4, 0.25, 0.5)


def _is_modified():
    return str(versions()["commit"]).endswith("+")


class Halting:
    """A generator that breaks off every second attempt."""

    name = "halting"

    def generate(self, task, n, seed):
        molecules = MoleculeBatch.from_ase([molecule("CH3CH2OH")] * n)
        return Generated(molecules, 2 * n, 0, 0, 0.0)


def test_qm7_20_counts_attempts_that_break_off_as_samples():
    found = run(Halting(), "C2H6O", frozenset({"CCO", "COC"}), per_isomer=10, relaxed=0)
    assert (found.samples, len(found.valid)) == (20, 10)
    assert found.row()["valid"] == 0.5


def test_errors_of_agents_are_shares_of_the_molecules_with_an_energy():
    water = MoleculeBatch.from_ase([molecule("H2O")] * 4)
    made = Made("mine", water, 8, np.array([-0.6, 0.3, np.nan, np.nan]), np.array([1, 1, 1, 0]) > 0)
    row = made.row()
    assert (row["too low %"], row["too low and valid %"]) == (50, 50)
    assert row["without an energy in GFN2-xTB"] == 2
    assert row["mean |error|, meV/atom"] == pytest.approx(150)
    nothing = Made("mine", water, 8, np.full(4, np.nan), np.ones(4, bool)).row()
    assert (nothing["too low %"], nothing["lowest, eV"]) == (None, None)


def test_kept_rows_make_a_line_again_that_was_cut_off(tmp_path):
    path = tmp_path / "rows.jsonl"
    KeptRows(path).get("a", lambda: [{"x": 1}])
    KeptRows(path).get("b", lambda: [{"x": 2}])
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-5], encoding="utf-8")
    assert KeptRows(path).all() == [{"x": 1}]
    KeptRows(path).get("b", lambda: [{"x": 3}])
    assert KeptRows(path).all() == [{"x": 1}, {"x": 3}]


def test_weights_of_generators_differ_with_their_energy_model():
    models = [load_energy(name, "cpu") for name in ("mace", "mace-small")]
    agents = [RandomAgent("gfn2") for _ in models]
    for agent, model in zip(agents, models, strict=True):
        agent.energy = model
    first, second = map(weights_of, agents)
    assert first != second
    assert first == weights_of(agents[0])

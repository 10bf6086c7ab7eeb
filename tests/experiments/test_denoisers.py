"""The figures of the benchmarks of denoisers, on molecules with known results."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.molecules import MoleculeBatch

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from denoisers import Judge
from score_analysis import angles, sizes


def test_angles_and_sizes_are_those_of_the_vectors_of_a_molecule():
    molecules = MoleculeBatch.from_ase([molecule("H2"), molecule("H2O")])
    first = torch.zeros(5, 3).double()
    first[:2, 0], first[2:, 1] = torch.tensor([1.0, -1.0]).double(), 2.0
    second = -3 * first
    second[2:] = torch.tensor([0.0, 5.0, 5.0])
    assert angles(molecules, first, second) == pytest.approx([180, 45], abs=1e-5)
    assert sizes(molecules, first) == pytest.approx([1, 2])


def test_judge_finds_nothing_wrong_with_relaxed_molecules():
    lowest = shipped_molecules().isomers("C2H6O")
    judge = Judge({lowest.identities[0]}, {"elements": Counter("CCO")} | two_alcohols(), 2)
    row = judge.row("all", lowest.molecules)
    assert len(lowest) == 2
    for key in ("valid and connected", "distinct", "valid after GFN2", "same after GFN2"):
        assert row[f"{key} %"] == 100
    assert row["new %"] == 50
    assert row["strain, eV"] == pytest.approx(0, abs=1e-3)
    above = float(lowest.energy[1] - lowest.energy[0]) / 2
    assert row["above best isomer, eV"] == pytest.approx(above, abs=2e-3)
    assert row["JS elements"] == pytest.approx(0, abs=1e-7)
    assert row["JS rings"] == 0
    assert row["JS pi bonds"] == 1


def test_judge_has_no_shares_of_nothing():
    ethanol = shipped_molecules().isomers("C2H6O").molecules[:1].to_padded()
    apart = MoleculeBatch.from_padded(ethanol["numbers"], 3 * ethanol["positions"])
    row = Judge(set(), two_alcohols() | {"elements": Counter("C")}, 1).row("apart", apart)
    assert row["valid and connected %"] == row["connected %"] == 0
    assert row["distinct %"] is row["new %"] is row["strain, eV"] is row["JS rings"] is None


def two_alcohols():
    """Rings like those of two alcohols, and pi bonds unlike theirs."""
    return {"rings": Counter({0: 2}), "pi bonds": Counter({1: 2})}


def test_angles_of_unknown_vectors_are_unknown():
    water = MoleculeBatch.from_ase(molecule("H2O"))
    ones = torch.ones(3, 3).double()
    assert np.isnan(angles(water, ones, torch.full_like(ones, torch.nan))).all()

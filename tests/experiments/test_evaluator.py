"""The self-test of the evaluator, on a few molecules of the shipped set."""

import sys
from pathlib import Path

import numpy as np
import pytest

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.neighbors import find_neighbors

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from evaluator import APART, moved, n_different, random_clouds


@pytest.fixture(scope="module")
def molecules():
    return shipped_molecules().molecules[np.arange(20, 8000, 160)]


@pytest.mark.parametrize("how", ["shifted", "rotated", "renumbered"])
def test_evaluator_does_not_depend_on_place_rotation_and_order(molecules, how):
    again = moved(molecules, how, np.random.default_rng(0))
    assert not np.array_equal(again.positions, molecules.positions)
    assert n_different(validity(molecules), validity(again)) == 0


def test_n_different_counts_molecules_that_differ(molecules):
    found = validity(molecules)
    assert n_different(found, validity(molecules[np.roll(np.arange(len(molecules)), 1)])) > 40


def test_random_clouds_are_not_valid(molecules):
    clouds = random_clouds(molecules, np.random.default_rng(0))
    assert validity(clouds).valid.mean() < 0.02
    assert clouds.bags() == molecules.bags()
    assert find_neighbors(clouds.positions, clouds.n_atoms, APART).pairs.shape[1] == 0

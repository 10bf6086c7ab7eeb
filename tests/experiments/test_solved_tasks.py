"""What counts as solved in the benchmark of agents on tasks."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from molrl.molecules import MoleculeBatch
from molrl.tasks import parse_task

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from solved_tasks import count_hydrogen_bonds, valid_within

WATER = molecule("H2O").positions  # oxygen first


def dimer(gap):
    """Two waters, a hydrogen of one pointing at the oxygen of the other, ``gap`` Å away."""
    bond = WATER[1] - WATER[0]
    first = molecule("H2O")
    second = molecule("H2O")
    second.positions += first.positions[1] + gap * bond / np.linalg.norm(bond) - WATER[0]
    return first + second


@pytest.mark.parametrize(("gap", "expected"), [(1.9, 1), (2.7, 0)])
def test_hydrogen_bonds_are_counted_up_to_their_length(gap, expected):
    pair = dimer(gap)
    assert count_hydrogen_bonds(pair.numbers, pair.positions) == expected


def test_molecules_on_a_shape_are_valid_and_near_its_points():
    task = parse_task({"kind": "shape", "shape": {"kind": "line", "length": 4.0}, "bag": "C2H2"})
    acetylene = molecule("C2H2")
    across = acetylene.copy()
    acetylene.rotate(90, "y")
    batch = MoleculeBatch.from_ase([acetylene, across])
    assert valid_within(task, batch).tolist() == [True, False]

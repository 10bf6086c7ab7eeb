import tracemalloc

import numpy as np
import pytest
from ase.build import molecule

from molrl.chemistry import connectivity
from molrl.chemistry.connectivity import bonded_pairs, has_bridge, overlapping


def pairs(numbers, positions):
    found, lengths = bonded_pairs(np.array(numbers), np.array(positions, float))
    assert len(found) == len(lengths)
    return [tuple(pair) for pair in found.tolist()]


def test_bonded_pairs_of_water():
    water = molecule("H2O")
    assert pairs(water.numbers, water.positions) == [(0, 1), (0, 2)]


def test_bonded_pairs_leave_out_both_diagonals_of_a_square():
    side = 1.36
    square = [(0, 0, 0), (side, 0, 0), (side, side, 0), (0, side, 0)]
    assert pairs([6] * 4, square) == [(0, 1), (0, 3), (1, 2), (2, 3)]


def test_bonded_pairs_leave_out_the_short_diagonals_of_boron_and_silicon():
    for number, across, oxygens in ((5, 1.77, 2.12), (14, 2.40, 2.32)):
        ring = [(-across / 2, 0, 0), (0, oxygens / 2, 0), (across / 2, 0, 0), (0, -oxygens / 2, 0)]
        assert pairs([number, 8] * 2, ring) == [(0, 1), (0, 3), (1, 2), (2, 3)]
    assert pairs([14, 14], [(0, 0, 0), (2.4, 0, 0)]) == [(0, 1)]


def test_bonded_pairs_keep_the_bond_of_bicyclobutane():
    atoms = molecule("bicyclobutane")
    carbons = atoms[atoms.numbers == 6]
    assert len(pairs(carbons.numbers, carbons.positions)) == 5


def test_bonded_pairs_give_hydrogen_its_shortest_bond():
    assert pairs([8, 1, 8], [(0, 0, 0), (1.0, 0, 0), (2.3, 0, 0)]) == [(0, 1)]


def test_bonded_pairs_of_one_atom_are_none():
    assert pairs([6], [(0, 0, 0)]) == []


@pytest.mark.parametrize("width", [2.0, 8.0, 20.0])
def test_pairs_of_large_molecules_are_those_of_all_pairs(monkeypatch, width):
    rng = np.random.default_rng(0)
    numbers = rng.choice([1, 3, 5, 6, 7, 8, 16, 55], 150)
    positions = rng.uniform(0, width, (150, 3)).round(1)
    positions[[3, 50, 149], [0, 1, 2]] = [np.nan, np.inf, -np.inf]
    positions[4], positions[5], positions[6] = 1e200, -1.7e308, 1.7e308

    def found(few):
        monkeypatch.setattr(connectivity, "FEW", few)
        with np.errstate(invalid="ignore", over="ignore"):
            of_each = (f(numbers, positions) for f in (bonded_pairs, overlapping, has_bridge))
            (pairs, lengths), closest, bridge = of_each
        return pairs.tolist(), lengths.tolist(), closest, bridge

    assert found(few=100) == found(few=150)


def test_pairs_of_large_molecules_take_memory_in_proportion_to_the_atoms():
    n = 3000  # whose pairs take 72 MB
    grid = 5.0 * np.stack(np.unravel_index(np.arange(n), (15, 15, 15)), axis=1)
    tracemalloc.start()
    try:
        assert not len(bonded_pairs(np.full(n, 6), grid)[0])
        assert overlapping(np.full(n, 6), grid) is None
        assert not has_bridge(np.full(n, 1), grid)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_pairs_of_large_molecules_are_not_kept():
    tracemalloc.start()
    try:
        for n in (1000, 1001):  # 8 MB each
            bonded_pairs(np.full(n, 2), 5.0 * np.arange(3 * n).reshape(n, 3))
        assert tracemalloc.get_traced_memory()[0] < 1e6
    finally:
        tracemalloc.stop()

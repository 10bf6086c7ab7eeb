import tracemalloc

import numpy as np
from ase.build import molecule

from molrl.chemistry.connectivity import bonded_pairs


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


def test_pairs_of_large_molecules_are_not_kept():
    tracemalloc.start()
    try:
        for n in (1000, 1001):  # 8 MB each
            bonded_pairs(np.full(n, 2), 5.0 * np.arange(3 * n).reshape(n, 3))
        assert tracemalloc.get_traced_memory()[0] < 1e6
    finally:
        tracemalloc.stop()

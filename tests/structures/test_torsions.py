import numpy as np
import pytest
from ase.data import chemical_symbols

from molrl.structures.structure import distances, find_bonds
from molrl.structures.torsions import (
    has_preferred_bond,
    rotatable_bonds,
    turn_bond,
    turn_random_bond,
)


def weights(structure):
    """The weight of each bond, under the symbols of its ends in alphabetical order."""
    return {
        "".join(sorted(chemical_symbols[structure.numbers[end]] for end in bond.ends)): bond.weight
        for bond in rotatable_bonds(structure)
    }


def test_rotatable_bonds_are_weighted_by_their_kind(shipped):
    assert weights(shipped["CCO"]) == {"CC": 1.0, "CO": 1.0}
    assert weights(shipped["CC(N)=O"]) == {"CC": 1.0, "CN": 3.0}
    assert weights(shipped["C=C"]) == {"CC": 0.1}
    assert weights(shipped["NN"]) == {"NN": 3.0}
    assert weights(shipped["Oc1ccccc1"]) == {"CO": 3.0}


@pytest.mark.parametrize("name", ["O", "C", "C#N", "C#C", "c1ccccc1", "CC#N", "O=C=O"])
def test_rotatable_bonds_are_in_no_ring_and_turn_something(shipped, name):
    assert rotatable_bonds(shipped[name]) == []
    assert turn_random_bond(shipped[name], [], np.random.default_rng(0)) is None


def test_turn_bond_keeps_both_sides_rigid(shipped):
    propanol = shipped["CCCO"]
    for bond in rotatable_bonds(propanol):
        turned = turn_bond(propanol, bond, 1.0)
        assert turned.kind == "torsion"
        assert turned.identity == "CCCO"
        before, after = distances(propanol.positions), distances(turned.positions)
        for side in (bond.side, ~bond.side):
            assert np.allclose(before[side][:, side], after[side][:, side])
        assert np.allclose(before[find_bonds(propanol)], after[find_bonds(propanol)])
        assert not np.allclose(before, after, atol=0.1)
        full = turn_bond(propanol, bond, 2 * np.pi)
        assert np.allclose(full.positions, propanol.positions, atol=1e-9)


def test_turn_bond_refuses_overlap(shipped):
    twisted = shipped["CC(C)(C)C"]
    bond = rotatable_bonds(twisted)[0]
    near = twisted.positions.copy()
    atom = np.flatnonzero(bond.side & (np.arange(len(near)) != bond.ends[0]))[0]
    other = np.flatnonzero(~bond.side & (np.arange(len(near)) != bond.ends[1]))[0]
    near[atom] = near[other] + np.array([0.5, 0, 0])
    assert turn_bond(twisted.at(near, "relaxed"), bond, 0.0) is None


@pytest.mark.parametrize(
    ("identity", "wanted"),
    [
        ("CC(N)=O", True),
        ("C=CC=C", True),
        ("CSSC", True),
        ("Oc1ccccc1", True),
        ("CCO", False),
        ("C=C", False),
        ("c1ccccc1", False),
    ],
)
def test_has_preferred_bond_knows_conjugated_and_hetero_bonds(identity, wanted):
    assert has_preferred_bond(identity) is wanted

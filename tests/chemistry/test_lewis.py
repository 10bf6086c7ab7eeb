import pytest
from ase import Atoms

from molrl.chemistry import lewis
from molrl.chemistry.bonds import validity
from molrl.chemistry.lewis import PerceptionError, Skeleton, lewis_structure
from molrl.molecules import MoleculeBatch

BENZENE = Skeleton([6] * 6, [(i, (i + 1) % 6) for i in range(6)], hydrogens=[1] * 6)


def test_lewis_structure_alternates_double_bonds():
    found = lewis_structure(BENZENE, 0)
    assert sum(found.extras) == 3
    assert all(found.extras[i] + found.extras[i - 1] == 1 for i in range(6))
    assert found.charges == [0] * 6


def test_lewis_structure_prefers_double_bonds_where_bonds_are_short():
    for short in (0, 1):
        lengths = [1.0 + (i % 2 != short) * 0.1 for i in range(8)]
        ring = Skeleton([6] * 8, [(i, (i + 1) % 8) for i in range(8)], [1] * 8, lengths)
        assert lewis_structure(ring, 0).extras == [int(i % 2 == short) for i in range(8)]


def test_lewis_structure_of_rings_that_are_apart():
    pairs = [(i, (i + 1) % 6) for i in range(6)] + [(6 + i, 6 + (i + 1) % 6) for i in range(6)]
    both = Skeleton([6] * 12, [*pairs, (0, 6)], hydrogens=[0, *[1] * 5] * 2)
    assert sum(lewis_structure(both, 0).extras) == 6


@pytest.mark.parametrize(("charge", "total"), [(0, 0), (1, 1), (-1, -1), (2, 2)])
def test_lewis_structure_has_the_charge(charge, total):
    ring = Skeleton([6, 6, 6], [(0, 1), (1, 2), (0, 2)], hydrogens=[1, 1, 1])
    assert sum(lewis_structure(ring, charge).charges) == total


@pytest.mark.parametrize(
    ("numbers", "charge", "charges"),
    [
        ([17, 8], -1, [0, -1]),
        ([17, 8, 8], -1, [0, -1, 0]),
        ([53, 53, 53], -1, [-1, 0, 0]),
        ([6, 35, 35], 0, [0, 0, 0]),
    ],
)
def test_lewis_structure_puts_charges_on_halogens_last(numbers, charge, charges):
    found = lewis_structure(Skeleton(numbers, [(0, i) for i in range(1, len(numbers))]), charge)
    assert sorted(found.charges) == sorted(charges)
    assert found.charges[0] == charges[0]


def test_lewis_structure_names_an_atom_with_too_many_bonds():
    with pytest.raises(PerceptionError, match="no Lewis structure fits: C with 5 bonds"):
        lewis_structure(Skeleton([6], [], hydrogens=[5]), 0)


def test_lewis_structure_gives_up_at_the_limit_of_steps(monkeypatch):
    monkeypatch.setattr(lewis, "FIRST_STEPS", 0)
    monkeypatch.setattr(lewis, "STEPS_PER_ATOM", 1)
    with pytest.raises(PerceptionError, match="within the limit of steps"):
        lewis_structure(BENZENE, 1)


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("Mg", ""),
        ("Zn", ""),
        ("Cn", ""),
        ("Na", "1 radical electron"),
        ("Lr", "1 radical electron"),
        ("Fe", "4 radical electrons"),
    ],
)
def test_validity_knows_the_unpaired_electrons_of_single_metal_atoms(symbol, reason):
    found = validity(MoleculeBatch.from_ase([Atoms(symbol)]))
    assert found.reasons == [reason]
    assert found.smiles == [f"[{symbol}]"]

import numpy as np
import pytest
import torch

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.generators.simgen.anchors import closed_atoms, points_of
from molrl.generators.simgen.bond_orders import Hydrogens, assign_orders
from molrl.generators.simgen.hydrogens import add_hydrogens
from molrl.generators.simgen.reference import reference_skeletons
from molrl.generators.simgen.skeletons import without_hydrogens
from molrl.molecules import MoleculeBatch
from molrl.tasks import parse_task
from molrl.tasks.interface import Instance


@pytest.fixture(scope="module")
def real():
    """Molecules of the test split, without formal charges."""
    known = shipped_molecules().of_split("test")
    neutral = [
        i for i, smiles in enumerate(known.identities) if not set("+-") & set(smiles) and i % 4 == 0
    ]
    return known[neutral]


@pytest.mark.parametrize("free", [True, False])
def test_add_hydrogens_rebuilds_real_molecules(real, free):
    bags = real.molecules.bags()
    instances = [None if free else Instance(bag) for bag in bags]
    whole = add_hydrogens(without_hydrogens(real.molecules), instances)
    made = [i for i, one in enumerate(whole) if one is not None]
    found = validity(MoleculeBatch.from_arrays([whole[i] for i in made]))
    same = sum(a == real.identities[i] for a, i in zip(found.smiles, made, strict=True))
    assert same / len(real) > (0.85 if free else 0.9)


def test_assign_orders_satisfies_the_number_of_hydrogens():
    x = np.array([[0, 0, 0], [0, 0, 1.4]])
    for n, order in ((4, 1), (2, 2), (0, 3)):
        found = assign_orders(np.array([7, 7]), x, Hydrogens(n))
        assert (found.orders.tolist(), found.hydrogens.sum()) == ([order], n)
    assert assign_orders(np.array([7, 7]), x, Hydrogens(1)) is None


def test_assign_orders_leaves_full_atoms_without_hydrogens():
    x = np.array([[0, 0, 0], [0, 0, 1.5]])
    full = np.array([True, False])
    assert assign_orders(np.array([6, 6]), x, Hydrogens(full=full)) is None
    held = np.array([3, 0])
    found = assign_orders(np.array([6, 6]), x, Hydrogens(held=held, full=full))
    assert found.hydrogens.tolist() == [0, 3]


def test_add_hydrogens_gives_none_for_a_skeleton_in_parts():
    apart = MoleculeBatch(
        torch.tensor([6, 6]), torch.tensor([[0.0, 0, 0], [0, 0, 3.0]]), torch.tensor([2])
    )
    assert add_hydrogens(without_hydrogens(apart), [Instance(Bag("C2H6"))]) == [None]


def test_points_of_a_linker_lie_between_the_fragments():
    task = parse_task({"kind": "linker", "fragments": ["*C", "*C#N"], "gap": 4.0, "bag": "CH2"})
    points, fixed = points_of(task.instance), task.instance.fixed
    heavy = fixed.positions[fixed.numbers > 1]
    ends = [np.linalg.norm(heavy - p, axis=1).min() for p in (points[0], points[-1])]
    assert max(ends) < 1e-5
    assert np.linalg.norm(points[0] - points[-1]) == pytest.approx(4.0, abs=1e-4)


def test_closed_atoms_are_all_but_the_attachment_point():
    task = parse_task({"kind": "scaffold", "scaffold": "*c1ccccc1", "bag": "CH3"})
    assert closed_atoms(task.instance).sum() == 5
    points = points_of(task.instance)
    nearest = np.linalg.norm(points[:, None] - task.instance.fixed.positions, axis=-1).min()
    assert nearest > 1.0


def test_reference_skeletons_are_like_the_bag():
    found = reference_skeletons([Bag("C3H6O2")], 50)
    share = float((found.numbers == 8).float().mean())
    assert len(found) == 50
    assert 0.3 < share < 0.5
    assert set(found.numbers.tolist()) <= {6, 8}


def test_reference_skeletons_of_a_users_molecules_are_all_of_them(real):
    mine = real.molecules[:5]
    found = reference_skeletons([Bag("C3H6O2")], 256, mine)
    assert len(found) == 5
    assert found.numbers.min() > 1

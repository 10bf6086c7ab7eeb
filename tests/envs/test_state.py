"""State of many canvases: charge, multiplicity, molecules, indexing."""

import numpy as np
import pytest

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment
from molrl.envs.state import CanvasState, allowed_spin
from molrl.tasks import Instance


@pytest.fixture
def state():
    """Return an empty canvas, hydroxide, and a triplet methylene, of 4 slots."""
    atoms = [[], [8, 1], [6, 1, 1]]
    places = np.array([[0, 0, 0], [0.9, 0.3, 0], [-0.9, 0.3, 0]])
    fixed = [
        Fragment(np.array(numbers, np.int64), places[: len(numbers)], charge=charge, spin=spin)
        for numbers, charge, spin in zip(atoms, (0, -1, 0), (None, None, 3), strict=True)
    ]
    instances = [Instance(Bag("H2O"), fragment) for fragment in fixed]
    return CanvasState.from_instances(instances, (1, 8), [0.0, -2.0, -3.0], 4)


@pytest.mark.parametrize(
    ("spin", "electrons", "allowed"),
    [
        (0, 8, 1),
        (0, 7, 2),
        (1, 8, 1),
        (1, 7, 2),  # at least the lowest
        (2, 7, 2),
        (2, 8, 1),
        (3, 8, 3),
        (3, 7, 2),
        (5, 3, 4),
        (5, 2, 3),  # all electrons unpaired
        (3, 0, 1),
    ],
)
def test_allowed_spin_is_asked_for_or_one_less(spin, electrons, allowed):
    assert allowed_spin(np.array([spin]), np.array([electrons])).tolist() == [allowed]


def test_to_molecules_has_the_atoms_charges_and_spins(state):
    molecules = state.to_molecules()
    assert molecules.n_atoms.tolist() == [0, 2, 3]
    assert molecules.numbers.tolist() == [8, 1, 6, 1, 1]
    assert molecules.charge.tolist() == [0, -1, 0]
    assert molecules.spin.tolist() == [1, 1, 3]
    expected = np.concatenate([state.positions[1, :2], state.positions[2, :3]])
    np.testing.assert_array_equal(molecules.positions.numpy(), expected.astype(np.float64))


def test_index_and_updated_keep_every_array(state):
    swapped = state[np.array([2, 1, 0])]
    again = swapped.updated(np.array([0, 2]), state[np.array([0, 2])])
    for name, array in state.arrays().items():
        np.testing.assert_array_equal(getattr(swapped, name), array[::-1], err_msg=name)
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)


def test_from_arrays_is_the_inverse_of_arrays(state):
    same = CanvasState.from_arrays(state.arrays())
    for name, array in state.arrays().items():
        np.testing.assert_array_equal(getattr(same, name), array, err_msg=name)


def test_from_arrays_without_charge_and_spin_is_neutral(state):
    arrays = {k: v for k, v in state.arrays().items() if k not in ("charge", "spin")}
    read = CanvasState.from_arrays(arrays)
    assert read.charge.tolist() == read.spin.tolist() == [0, 0, 0]
    assert read.charge.dtype == read.spin.dtype == np.int64
    assert read.to_molecules().spin.tolist() == [1, 2, 1]

"""Batches: every operation keeps, indexes and moves all fields, including those of a subclass."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molrl.batches import FlatBatch, per_atom, per_molecule
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

sizes = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@dataclass(frozen=True)
class Annotated(MoleculeBatch):
    """A batch with additional fields, as a user may declare them."""

    velocities: Tensor = per_atom((3,), lambda batch: torch.zeros_like(batch.positions))
    tag: Tensor = per_molecule(fill=lambda batch: torch.zeros_like(batch.n_atoms))
    dipole: Tensor = per_molecule((3,), lambda batch: batch.positions.new_zeros(len(batch), 3))


def filled(n_atoms, kind=Annotated, seed=0):
    """Return a batch in which no two rows of a field are the same."""
    rng = np.random.default_rng(seed)
    n, total = len(n_atoms), sum(n_atoms)
    counts = torch.tensor(n_atoms, dtype=torch.int64)
    fields = {}
    for declared in kind._declared():
        rows = total if declared.name in kind.atom_fields() else n
        fields[declared.name] = torch.from_numpy(
            rng.normal(size=(rows, *declared.metadata["shape"]))
        )
    whole = {
        "numbers": torch.from_numpy(rng.integers(1, 9, total)),
        "n_atoms": counts,
        "charge": torch.arange(n) - 1,
        "spin": torch.arange(n) + 1,
        "pbc": torch.from_numpy(rng.random((n, 3)) < 0.5),
    }
    return kind(**fields | whole | ({"tag": torch.arange(n)} if kind is Annotated else {}))


def rows(batch):
    """Return every field of each molecule as plain lists."""
    found = []
    for i in range(len(batch)):
        atoms = batch.molecule == i
        mine = {name: getattr(batch, name)[atoms].tolist() for name in batch.atom_fields()}
        found.append(mine | {n: getattr(batch, n)[i].tolist() for n in batch.molecule_fields()})
    return found


@pytest.mark.parametrize("kind", [MoleculeBatch, Annotated])
@given(n_atoms=sizes, random=st.randoms(use_true_random=False))
def test_getitem_selects_all_fields_of_the_molecules(kind, n_atoms, random):
    batch = filled(n_atoms, kind)
    every = rows(batch)
    chosen = [random.randrange(len(every)) for _ in range(4)]
    mask = np.array([n > 2 for n in n_atoms])
    assert rows(batch[chosen]) == [every[i] for i in chosen]
    assert rows(batch[1:]) == every[1:]
    assert rows(batch[mask]) == [row for row, kept in zip(every, mask, strict=True) if kept]
    assert isinstance(batch[0], kind)


@pytest.mark.parametrize("kind", [MoleculeBatch, Annotated])
@given(n_atoms=sizes)
def test_cat_part_and_from_dict_keep_all_fields(kind, n_atoms):
    batch = filled(n_atoms, kind)
    every = rows(batch)
    assert rows(kind.cat([batch[:1], batch[1:]])) == every
    assert rows(batch.part(slice(1, None))) == every[1:]
    assert rows(kind.from_dict(batch.to_dict())) == every


@pytest.mark.parametrize("kind", [MoleculeBatch, Annotated])
@given(n_atoms=sizes)
def test_to_padded_and_from_padded_keep_all_fields(kind, n_atoms):
    batch = filled(n_atoms, kind)
    padded = batch.to_padded(n_slots=6)
    assert all(len(values) == len(batch) for values in padded.values())
    assert rows(kind.from_padded(**padded)) == rows(batch)


@pytest.mark.parametrize("n_slots", [0, 2, -1])
def test_to_padded_refuses_slots_that_are_too_few(n_slots):
    with pytest.raises(InputError, match="n_slots must be at least 3, the atoms of the largest"):
        filled([2, 0, 3]).to_padded(n_slots)
    with pytest.raises(InputError, match="n_slots must be at least 0"):
        filled([]).to_padded(-1)


def test_to_padded_of_no_slots_has_none():
    assert filled([0, 0]).to_padded(0)["positions"].shape == (2, 0, 3)


@pytest.mark.parametrize("kind", [MoleculeBatch, Annotated])
def test_to_moves_all_fields_and_casts_the_floating_ones(kind):
    batch = filled([2, 0, 3], kind)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved = batch.to(device, torch.float32)
    for name in (*batch.atom_fields(), *batch.molecule_fields()):
        before, after = getattr(batch, name), getattr(moved, name)
        assert after.device.type == device
        assert after.dtype == (torch.float32 if before.is_floating_point() else before.dtype)


def test_to_takes_a_type_as_tensors_do():
    batch = filled([2, 1])
    assert batch.to(torch.float32).positions.dtype == torch.float32
    assert batch.to(torch.float32).numbers.dtype == torch.int64
    for wrong in ({"device": torch.int64}, {"dtype": torch.int64}):
        with pytest.raises(InputError, match=r"a floating type such as torch\.float64, not"):
            batch.to(**wrong)


def test_cat_refuses_no_batches():
    with pytest.raises(InputError, match="there are no batches"):
        MoleculeBatch.cat([])


@given(n_atoms=sizes)
def test_charged_changes_charge_and_spin_and_no_other_field(n_atoms):
    batch = filled(n_atoms)
    charge = torch.arange(len(n_atoms)) + 2
    changed = batch.charged(charge)
    assert changed.charge.tolist() == charge.tolist()
    again = replace(changed, charge=batch.charge, spin=batch.spin)
    assert rows(again) == rows(batch)


def test_charged_refuses_charges_that_are_not_whole():
    batch = filled([1, 2], MoleculeBatch)
    assert batch.charged([1.0, 0.0]).charge.tolist() == [1, 0]
    with pytest.raises(InputError, match=r"charges must be whole numbers, e, not \[0\.5, 1\]"):
        batch.charged([0.5, 1])


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("numbers", torch.float64, "numbers and n_atoms must be integers"),
        ("n_atoms", torch.float64, "numbers and n_atoms must be integers"),
        ("positions", torch.int64, r"positions must be of a floating type, not torch\.int64"),
    ],
)
def test_batch_refuses_fields_of_another_type(name, dtype, message):
    batch = filled([1, 2])
    with pytest.raises(InputError, match=message):
        replace(batch, **{name: getattr(batch, name).to(dtype)})


def test_batch_fills_in_omitted_fields():
    arrays = [(np.array([6, 1]), np.eye(2, 3)), (np.array([8]), np.zeros((1, 3)))]
    plain = MoleculeBatch.from_arrays(arrays)
    batch = Annotated(plain.numbers, plain.positions, plain.n_atoms)
    assert batch.velocities.shape == (3, 3)
    assert batch.tag.tolist() == [0, 0]
    assert batch.spin.tolist() == [2, 1]
    assert not batch.is_periodic


@pytest.mark.parametrize("base", [FlatBatch, MoleculeBatch])
def test_batch_refuses_a_subclass_with_a_field_without_fill(base):
    with pytest.raises(InputError, match=r"Marked\.mark has no default; .* per_molecule\(fill="):

        @dataclass(frozen=True)
        class Marked(base):
            mark: Tensor = per_molecule()


def test_batch_refuses_a_field_of_another_shape_by_its_name():
    with pytest.raises(InputError, match=r"dipole must be \(2, 3\), not \(2,\)"):
        replace(filled([1, 2]), dipole=torch.zeros(2))
    with pytest.raises(InputError, match=r"velocities must be \(3, 3\), not \(2, 3\)"):
        replace(filled([1, 2]), velocities=torch.zeros(2, 3))


def test_from_dict_fills_in_fields_that_an_older_file_lacks():
    arrays = filled([2, 1], MoleculeBatch).to_dict()
    old = {name: arrays[name] for name in ("numbers", "positions", "n_atoms")}
    batch = MoleculeBatch.from_dict(old)
    assert batch.charge.tolist() == [0, 0]
    with pytest.raises(InputError, match="a batch must have n_atoms"):
        MoleculeBatch.from_dict({"numbers": arrays["numbers"], "positions": arrays["positions"]})

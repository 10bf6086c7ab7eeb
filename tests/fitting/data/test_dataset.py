from dataclasses import replace

import numpy as np
import pytest
import torch

from molrl.errors import InputError
from molrl.files import write_atomically
from molrl.fitting.data.dataset import Dataset, lacks_reference
from molrl.molecules import MoleculeBatch

FURTHER = ("site_energy", "dipole", "bound", "part", "interaction")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    sizes = [2, 3, 1, 4]
    molecules = MoleculeBatch.from_arrays(
        ((rng.choice([1, 6, 8], n), rng.normal(size=(n, 3))) for n in sizes), dtype=torch.float32
    )
    return Dataset(
        molecules=molecules,
        energy=torch.tensor([-1.0, -2.0, -3.0, -4.0], dtype=torch.float64),
        forces=torch.arange(30, dtype=torch.float32).reshape(10, 3),
        kind=torch.tensor([0, 1, 0, 1]),
        kinds=("relaxed", "clash"),
        split=torch.tensor([0, 0, 1, 2]),
        identity=torch.tensor([0, 0, 1, 2]),
        identities=("CO", "C=O", "C#N"),
    )


@pytest.fixture
def full(data):
    """The data with all labels that need not be known, some of them not known."""
    dipole = torch.arange(12, dtype=torch.float32).reshape(4, 3)
    dipole[1] = torch.nan
    return replace(
        data,
        site_energy=torch.arange(10, dtype=torch.float32) - 20,
        dipole=dipole,
        bound=torch.tensor([False, True, False, False]),
        part=torch.tensor([0, 1, 0, 0, 1, 0, 0, 1, 1, 2]),
        interaction=torch.tensor([-0.5, torch.nan, torch.nan, -0.25]),
    )


def same(a, b):
    assert (a.kinds, a.identities) == (b.kinds, b.identities)
    for name in ("energy", "forces", "kind", "split", "identity", *FURTHER):
        known = getattr(a, name)
        torch.testing.assert_close(getattr(b, name), known, rtol=0, atol=0, equal_nan=True)
    for name in ("numbers", "positions", "n_atoms"):
        assert torch.equal(getattr(a.molecules, name), getattr(b.molecules, name)), name


def test_dataset_file_gives_back_what_was_written(data, tmp_path):
    data.save(tmp_path / "a.npz")
    back = Dataset.load(tmp_path / "a.npz")
    same(data, back)
    assert back.energy.dtype == torch.float64
    assert back.molecules.positions.dtype == torch.float32


def test_dataset_mask_takes_structures_with_their_forces(data):
    part = data[data.of_kind("clash")]
    assert part.energy.tolist() == [-2.0, -4.0]
    assert part.molecules.n_atoms.tolist() == [3, 4]
    assert torch.equal(part.forces, torch.cat([data.forces[2:5], data.forces[6:10]]))
    assert torch.equal(part.molecules.positions[:3], data.molecules.positions[2:5])


def test_dataset_take_keeps_the_order(data):
    molecules, energy, forces = data.take(torch.tensor([3, 0]))
    assert energy.tolist() == [-4.0, -1.0]
    assert torch.equal(forces, torch.cat([data.forces[6:10], data.forces[:2]]))
    assert molecules.n_atoms.tolist() == [4, 2]


def test_dataset_keeps_labels_that_need_not_be_known(full, tmp_path):
    full.save(tmp_path / "a.npz")
    for back in (Dataset.load(tmp_path / "a.npz"), Dataset.join([full[:2], full[2:]]), full[:]):
        same(full, back)
    turned = full[[3, 0]]
    assert turned.site_energy.tolist() == [-14, -13, -12, -11, -20, -19]
    assert turned.part.tolist() == [0, 1, 1, 2, 0, 1]
    assert turned.dipole.tolist() == [[9, 10, 11], [0, 1, 2]]
    assert turned.bound.tolist() == [False, False]
    assert turned.interaction.tolist() == [-0.25, -0.5]


def test_dataset_fills_in_labels_that_are_not_known(data):
    assert data.site_energy.isnan().all()
    assert data.dipole.isnan().all()
    assert data.interaction.isnan().all()
    assert not data.bound.any()
    assert data.part.tolist() == [0] * 10
    types = {name: getattr(data, name).dtype for name in FURTHER}
    single = torch.float32
    assert types == dict(
        zip(FURTHER, (single, single, torch.bool, torch.int64, single), strict=True)
    )


def test_dataset_refuses_a_label_of_another_shape(data):
    with pytest.raises(InputError, match=r"site_energy must be \(10,\), not \(4,\)"):
        replace(data, site_energy=torch.zeros(4))


def test_dataset_join_keeps_kinds_and_identities(data):
    joined = Dataset.join([data[2:], data])
    assert len(joined) == 6
    assert [joined.identities[i] for i in joined.identity] == ["C=O", "C#N"] + [
        data.identities[i] for i in data.identity
    ]
    same(joined[2:], data)


def test_dataset_largest_force_is_the_longest_vector(data):
    by_hand = [float(f.norm(dim=1).max()) for f in data.forces.split([2, 3, 1, 4])]
    assert data.largest_force().tolist() == pytest.approx(by_hand)


def test_dataset_low_force_leaves_out_bounds(full):
    still = replace(full, forces=torch.zeros(10, 3))
    assert still.low_force().tolist() == [True, False, True, True]


def test_dataset_of_kind_refuses_an_unknown_kind(data):
    with pytest.raises(InputError, match="relaxed, clash"):
        data.of_kind("clashes")


def test_dataset_load_refuses_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Dataset.load(tmp_path / "none.npz")


def test_dataset_load_refuses_other_files(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"a\.npz is not a dataset \(\.npz\)$"):
        Dataset.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("energy", np.zeros(3)),
        ("split", np.array([0, 0, 0, 9])),
        ("identity", np.array([0, 0, 0, 99])),
        ("positions", np.zeros((2, 3))),
        ("positions", np.full((10, 3), np.nan)),
        ("energy", np.array([-1.0, np.inf, -3.0, -4.0])),
        ("forces", np.zeros((10, 2))),
        ("n_atoms", np.array([2, 4, 0, 4])),
        ("n_atoms", np.array([2.0, 3.0, 1.0, 4.0])),
        ("forces", None),
        ("identities", np.array([{"a": 1}], dtype=object)),
        ("site_energy", np.zeros(4)),
        ("dipole", np.full((4, 3), np.inf)),
        ("bound", np.zeros(4)),
        ("part", np.full(10, -1)),
        ("interaction", np.zeros(4, dtype=int)),
    ],
)
def test_dataset_load_refuses_a_broken_file(data, tmp_path, name, value):
    data.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = {key: file[key] for key in file.files}
    arrays[name] = value
    if value is None:
        del arrays[name]
    write_atomically(tmp_path / "b.npz", lambda path: np.savez(path, **arrays))
    with pytest.raises(InputError, match=r"b\.npz"):
        Dataset.load(tmp_path / "b.npz")


def test_dataset_save_refuses_another_suffix(data, tmp_path):
    with pytest.raises(InputError, match=r"\.npz"):
        data.save(tmp_path / "a.pickle")


def test_dataset_keeps_charge_spin_and_reference(data, tmp_path):
    charged = replace(
        data,
        molecules=replace(
            data.molecules, charge=torch.tensor([1, 0, -1, 0]), spin=torch.tensor([2, 3, 1, 4])
        ),
        reference="spgfn2",
        atomic_energies={1: -13.6, 8: -2041.25},
        file_atoms=frozenset({8}),
    )
    charged.save(tmp_path / "a.npz")
    back = Dataset.load(tmp_path / "a.npz")
    for part in (back, Dataset.join([charged[:2], charged[2:]]), charged[[0, 1, 2, 3]]):
        assert part.molecules.charge.tolist() == [1, 0, -1, 0]
        assert part.molecules.spin.tolist() == [2, 3, 1, 4]
        assert part.reference == "spgfn2"
        assert part.atomic_energies == {1: -13.6, 8: -2041.25}
        assert part.file_atoms == {8}


def test_dataset_load_reads_files_of_earlier_versions(data, tmp_path):
    data.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = {key: file[key] for key in file.files}
    isolated = [name for name in arrays if "isolated" in name]
    for name in ("charge", "spin", "reference", *isolated, *FURTHER):
        del arrays[name]
    arrays["kinds"] = np.array(["frag", "walk"])
    np.savez(tmp_path / "b.npz", **arrays)
    back = Dataset.load(tmp_path / "b.npz")
    assert back.kinds == ("fragments", "random walk")
    assert back.reference is None
    assert lacks_reference(tmp_path / "b.npz")
    assert not lacks_reference(tmp_path / "a.npz")
    assert back.atomic_energies == {}
    same(replace(data, kinds=back.kinds), back)
    assert torch.equal(back.molecules.spin, data.molecules.spin)


def test_dataset_join_refuses_different_references(data):
    with pytest.raises(InputError, match="different references, gfn2, one that is not known"):
        Dataset.join([data, replace(data, reference="gfn2")])
    atoms = [replace(data, atomic_energies={8: energy}) for energy in (-100.0, -101.0)]
    with pytest.raises(InputError, match="isolated atom of atomic number 8: -100 and -101 eV"):
        Dataset.join(atoms)


def test_dataset_check_names_a_structure_by_identity_and_kind(data):
    known = set(data.molecules.numbers.tolist())
    data.check(known)
    iron = replace(data.molecules, numbers=data.molecules.numbers.clone())
    iron.numbers[-1] = 26
    with pytest.raises(InputError, match=r"^data: a structure of C#N \(clash\) holds Fe"):
        replace(data, molecules=iron).check(known)

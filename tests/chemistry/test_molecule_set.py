from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import (
    SPLITS,
    MoleculeSet,
    _charge_separated,
    is_piece,
    shipped_molecules,
    split_of,
)
from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

BAGS = ("C3H8O", "C4H7N", "C3H5NO3", "C7H10O2", "C7H8N2O2", "C5H9NO")


@pytest.fixture(scope="module")
def shipped():
    return shipped_molecules()


@pytest.fixture(scope="module")
def some(shipped):
    """Molecules of all sizes."""
    return shipped[np.random.default_rng(0).choice(len(shipped), 150, replace=False)]


def test_split_of_depends_on_the_identity_only():
    names = [f"C{'C' * (i % 40)}O{'N' * (i // 40)}" for i in range(1600)]
    splits = [split_of(name) for name in names]
    assert splits == [split_of(name) for name in names]
    shares = [splits.count(name) / len(splits) for name in SPLITS]
    assert shares == pytest.approx([0.90, 0.05, 0.05], abs=0.02)


@pytest.mark.parametrize(
    ("smiles", "small"),
    [
        *((s, True) for s in ("C", "O", "CO", "C#N", "[H][H]", "[C-]#[O+]", "CCl", "BrBr", "ClBr")),
        *((s, True) for s in ("C[SiH3]", "[2H]C", "[NH4+]", "[Hg]C")),
        *((s, False) for s in ("CCO", "ClCCl", "c1ccnc1", "CCn1cccc1", "C[Si](C)C", "crowd:CH5")),
    ],
)
def test_pieces_are_molecules_of_up_to_two_heavy_atoms_and_in_the_train_split(smiles, small):
    assert is_piece(smiles) == small
    assert split_of(smiles) == "train" or not small


@pytest.mark.parametrize(
    ("smiles", "older"),
    [
        ("CC(CO)S(=O)CC", "CC[S+]([O-])C(C)CO"),
        ("CCCO[SH]=O", "CCCO[SH+][O-]"),
        ("CS(C)(=O)=O", "CS(C)(=O)=O"),
        ("walk:O=S:0", "walk:O=S:0"),
    ],
)
def test_split_of_sulfoxides_is_that_of_their_older_name(smiles, older):
    assert _charge_separated(smiles) == older


def test_molecule_set_reads_back_unchanged(some, tmp_path):
    some.save(tmp_path / "a.npz")
    back = MoleculeSet.load(tmp_path / "a.npz")
    assert back.identities == some.identities
    for name in ("energy", "split"):
        assert torch.equal(getattr(back, name), getattr(some, name)), name
    for name in ("numbers", "positions", "n_atoms"):
        assert torch.equal(getattr(back.molecules, name), getattr(some.molecules, name)), name
    assert back.energy.dtype == torch.float64
    assert back.molecules.positions.dtype == torch.float32


def test_molecule_set_without_molecules_reads_back(some, tmp_path):
    """As a block of new molecules is written of which none is a minimum."""
    some[:0].save(tmp_path / "a.npz")
    back = MoleculeSet.load(tmp_path / "a.npz")
    assert (len(back), back.identities, len(back.molecules)) == (0, (), 0)


def test_molecule_set_save_refuses_another_suffix(some, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.npz"):
        some.save(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_molecule_set_keeps_charge_and_spin(some, tmp_path):
    few = some[:3]
    charge, spin = torch.tensor([1, -1, 0]), torch.tensor([2, 2, 3])
    ions = replace(few.molecules, charge=charge, spin=spin, cell=torch.ones(3, 3, 3))
    replace(few, molecules=ions).save(tmp_path / "a.npz")
    back = MoleculeSet.load(tmp_path / "a.npz").molecules
    for name, array in ions.to_dict().items():
        assert (back.to_dict()[name] == array).all(), name


def test_molecule_set_keeps_molecules_of_more_than_255_atoms(some, tmp_path):
    positions = np.random.default_rng(0).random((300, 3))
    large = MoleculeBatch.from_arrays([(np.ones(300, int), positions)], torch.float32)
    replace(some[:1], molecules=large).save(tmp_path / "a.npz")
    assert MoleculeSet.load(tmp_path / "a.npz").molecules.n_atoms.tolist() == [300]


def test_molecule_set_load_reads_files_without_charge_and_spin(some, tmp_path):
    some.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = {key: file[key] for key in file.files}
    for name in ("charge", "spin", "cell", "pbc"):
        del arrays[name]
    np.savez(tmp_path / "b.npz", **arrays)
    assert torch.equal(MoleculeSet.load(tmp_path / "b.npz").molecules.spin, some.molecules.spin)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("energy", np.zeros(3)),
        ("energy", None),
        ("split", np.full(150, 9)),
        ("n_atoms", np.array([2, 3])),
        ("positions", np.zeros((2, 3))),
        ("identities", np.array("C")),
        ("identities", np.array([{"a": 1}], dtype=object)),
    ],
)
def test_molecule_set_load_refuses_a_corrupted_file_in_one_line(some, tmp_path, name, value):
    some.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = {key: file[key] for key in file.files}
    arrays[name] = value
    if value is None:
        del arrays[name]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(InputError, match=r"^molecule set .*b\.npz .+$"):
        MoleculeSet.load(tmp_path / "b.npz")


def test_molecule_set_load_refuses_a_missing_or_foreign_file(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    for name in ("a.npz", "none.npz"):
        with pytest.raises(InputError, match=f"^molecule set .*{name} cannot be read: .+$"):
            MoleculeSet.load(tmp_path / name)


@pytest.mark.parametrize("formula", BAGS)
def test_molecule_set_isomers_are_sorted_by_energy(shipped, formula):
    found = shipped.isomers(formula)
    assert len(found) >= 3
    assert {bag.formula for bag in found.molecules.bags()} == {formula}
    assert len(set(found.identities)) == len(found)
    assert (found.energy.diff() >= 0).all()


def test_molecule_set_has_no_isomers_of_an_absent_bag(shipped):
    assert len(shipped.isomers("C40H82")) == 0


def test_shipped_molecules_have_disjoint_splits(shipped):
    parts = [shipped.of_split(name) for name in SPLITS]
    assert sum(map(len, parts)) == len(shipped)
    assert not Counter(name for part in parts for name in part.identities) - Counter(
        shipped.identities
    )
    for name, part in zip(SPLITS, parts, strict=True):
        assert {split_of(identity) for identity in part.identities} == {name}


def test_molecule_set_refuses_an_unknown_split(shipped):
    with pytest.raises(InputError, match="train, valid, test"):
        shipped.of_split("tset")


def test_shipped_molecules_have_the_perceived_identities(shipped, some):
    assert len(set(shipped.identities)) == len(shipped)
    found = validity(some.molecules)
    assert tuple(found.smiles) == some.identities
    assert found.valid.all()


def test_shipped_molecules_have_all_elements_and_sizes(shipped):
    numbers = shipped.molecules.numbers
    assert set(numbers.tolist()) == {1, 6, 7, 8, 9, 16}
    heavy = shipped.molecules.sum_atoms((numbers > 1).long())
    assert set(range(10)) <= set(heavy.tolist())


def test_shipped_molecules_are_minima_of_gfn2(some):
    few = some[:20]
    output = load_energy("gfn2").evaluate(few.molecules, forces=True)
    assert torch.allclose(output.energy, few.energy, atol=1e-5)
    assert output.forces.norm(dim=-1).max() < 0.021

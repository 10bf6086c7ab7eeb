from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import write

from molrl.errors import InputError
from molrl.fitting.config import FitConfig
from molrl.fitting.data import Dataset, load_data, load_parts
from molrl.fitting.data.labelled import read_labelled
from molrl.fitting.data.loading import assumption
from molrl.runs.config import parse_config


@pytest.fixture
def files(images, tmp_path):
    """Two labelled files of the same twelve molecules."""
    paths = [tmp_path / "a.extxyz", tmp_path / "b.extxyz"]
    for path, part in zip(paths, (images[::2], images[1::2]), strict=True):
        write(path, part)
    return paths


def test_load_data_splits_by_molecule_over_all_files(files):
    data = load_data(files)
    assert len(data) == 60
    assert data.kinds == ("a", "b")
    for i in range(len(data.identities)):
        assert len(set(data.split[data.identity == i].tolist())) == 1
    assert set(data.split.tolist()) == {0, 1, 2}
    parts = load_parts(files)
    assert [len(part) for part in parts] == [30, 30]
    assert data.split.tolist() == parts[0].split.tolist() + parts[1].split.tolist()


def test_load_data_takes_one_path(files):
    assert len(load_data(files[0])) == len(load_data(str(files[0]))) == 30


def test_load_data_joins_datasets_and_labelled_files_of_one_reference(files, tmp_path):
    part = load_data(files[0])
    replace(part, reference="spgfn2").save(tmp_path / "made.npz")
    paths = [tmp_path / "made.npz", files[1]]
    with pytest.raises(InputError, match="different references"):
        load_data(paths)
    with pytest.raises(InputError, match=r"made\.npz is labelled by spgfn2, not by .* gfn2"):
        load_data(paths, reference="gfn2")
    data = load_data(paths, reference="spgfn2")
    assert data.reference == "spgfn2"
    assert data.split[:30].tolist() == part.split.tolist()
    assert 1 in data.split[30:].tolist()
    assert len(Dataset.load(tmp_path / "made.npz")) == 30


def with_smiles(image, smiles):
    """The same structure and labels with a SMILES."""
    out = image.copy()
    out.calc, out.info = image.calc, {"smiles": smiles}
    return out


def molecules(images):
    """Structures of eight small molecules with a SMILES of each, written in two ways."""
    names = [("OCC", "CCO"), ("COC", "C(OC)"), ("F", "F"), ("N", "[NH3]"), ("O", "[OH2]")]
    return [with_smiles(image, names[i // 5 % len(names)][i % 2]) for i, image in enumerate(images)]


def splits_of(data, names):
    """The splits of each name of a structure, in the order of the structures."""
    out = {}
    for name, split in zip(names, data.split.tolist(), strict=True):
        out.setdefault(name, set()).add(split)
    return out


def test_load_data_splits_by_canonical_smiles(images, tmp_path):
    write(tmp_path / "mine.extxyz", molecules(images))
    data = load_data(tmp_path / "mine.extxyz")
    assert set(data.identities) == {"CCO", "COC", "F", "N", "O"}
    names = [data.identities[i] for i in data.identity.tolist()]
    assert all(len(splits) == 1 for splits in splits_of(data, names).values())


def test_load_data_splits_by_formula_where_a_file_has_no_smiles(images, tmp_path):
    write(tmp_path / "a.extxyz", molecules(images)[::2])
    write(tmp_path / "b.extxyz", images[1::2])
    data = load_data([tmp_path / "a.extxyz", tmp_path / "b.extxyz"])
    formulas = [bag.formula for bag in data.molecules.bags()]
    assert all(len(splits) == 1 for splits in splits_of(data, formulas).values())


@pytest.mark.parametrize("named", [True, False])
def test_load_data_keeps_the_split_that_a_dataset_gives_a_molecule(images, tmp_path, named):
    given = molecules(images) if named else images
    write(tmp_path / "all.extxyz", given)
    made = load_data(tmp_path / "all.extxyz")
    moved = replace(made, split=(made.identity % 3 + 1) % 3)  # unlike the split by names alone
    moved[torch.arange(len(moved)) % 5 < 3].save(tmp_path / "made.npz")
    write(tmp_path / "mine.extxyz", [g for i, g in enumerate(given) if i % 5 >= 3])
    mine = load_parts([tmp_path / "made.npz", tmp_path / "mine.extxyz"])[1]
    assert mine.split.tolist() == moved.split[torch.arange(len(moved)) % 5 >= 3].tolist()


def test_load_data_says_when_one_molecule_is_split_at_random(images, tmp_path, capsys):
    write(tmp_path / "one.xyz", images[:5], format="extxyz")
    assert sorted(load_data(tmp_path / "one.xyz").split.tolist()) == [0, 0, 0, 0, 1]
    said = capsys.readouterr().err
    assert (
        f"all structures without a split are {images[0].get_chemical_formula()}: split at random"
        in said
    )


def test_load_data_refuses_files_of_which_some_have_a_split(files, images, tmp_path):
    said = [image.copy() for image in images[:4]]
    for image, copy in zip(images, said, strict=False):
        copy.calc = image.calc
        copy.info["split"] = "train"
    write(tmp_path / "said.extxyz", said)
    with pytest.raises(InputError, match=r"said\.extxyz says the split .*a\.extxyz does not"):
        load_data([tmp_path / "said.extxyz", files[0]])


def test_load_data_takes_isolated_atoms_from_a_file_of_their_own(files, tmp_path):
    atoms = tmp_path / "atoms.xyz"
    write(atoms, [Atoms("H", info={"energy": -10.9})], format="extxyz")
    data = load_data([atoms, *files])
    assert len(data) == 60
    assert data.atomic_energies == {1: -10.9}
    with pytest.raises(InputError, match="isolated atoms only"):
        load_data(atoms)


def test_load_data_refuses_no_path():
    with pytest.raises(InputError, match="name one file"):
        load_data([])


@pytest.fixture
def old(files, tmp_path):
    """A dataset of an earlier version, which names no reference."""
    read_labelled(files[0])[0].save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "reference"}
    np.savez(tmp_path / "old.npz", **arrays)
    return str(tmp_path / "old.npz")


@pytest.mark.parametrize("reference", ["gfn2", "spgfn2"])
def test_load_data_takes_the_reference_of_an_old_dataset_from_the_config(old, reference):
    assert load_data(old, reference).reference == reference
    assert assumption([old], reference) == ""


def test_load_data_assumes_gfn2_of_an_old_dataset_and_says_so(old, tmp_path):
    assert load_data(old).reference == "gfn2"
    assert assumption([old], None) == f"{old} names no reference, so gfn2 is assumed"
    assert load_data(tmp_path / "new.npz").reference is None
    assert assumption([str(tmp_path / "new.npz")], None) == ""


@pytest.mark.parametrize("value", [3, None, {"a.npz": 1}])
def test_data_files_refuses_what_is_no_path(value):
    with pytest.raises(InputError, match=r"^[^\n]*data: .*name a file or a list of files[^\n]*$"):
        parse_config({"data": value, "run_dir": "unused"}, FitConfig, "config")

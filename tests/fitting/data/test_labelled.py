import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from molrl.errors import InputError
from molrl.fitting.data.labelled import read_labelled


def relabelled(image, energy="energy", forces="forces", shift=0.0):
    """The same geometry with its labels under other keys, energies shifted by some eV."""
    out = Atoms(image.numbers, image.positions)
    out.info[energy] = image.get_potential_energy() + shift
    out.arrays[forces] = image.get_forces()
    return out


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.extxyz"


def test_read_labelled_reads_what_ase_wrote(images, path):
    write(path, images)
    data, has_split = read_labelled(path)
    assert not has_split
    assert data.energy.tolist() == pytest.approx([i.get_potential_energy() for i in images])
    np.testing.assert_allclose(
        data.forces, np.concatenate([i.get_forces() for i in images]), atol=1e-6
    )
    for (numbers, positions), image in zip(data.molecules.arrays(), images, strict=True):
        assert numbers.tolist() == image.numbers.tolist()
        np.testing.assert_allclose(positions, image.positions, atol=1e-6)
    assert data.kinds == ("mine",)
    assert len(data.identities) == 12
    assert data.reference is None
    assert data.molecules.positions.dtype == torch.float32


@pytest.mark.parametrize(
    ("energy", "forces"),
    [("REF_energy", "REF_forces"), ("dft_energy", "force"), ("TotEnergy", "DFT_forces")],
)
def test_read_labelled_finds_the_usual_keys(images, path, energy, forces):
    write(path, [relabelled(image, energy, forces) for image in images[:3]])
    data, _ = read_labelled(path)
    assert data.energy.tolist() == pytest.approx([i.get_potential_energy() for i in images[:3]])


def test_read_labelled_refuses_energies_that_differ_unless_told_which(images, path):
    both = [relabelled(image, "REF_energy", shift=5.0) for image in images[:3]]
    for image, frame in zip(images, both, strict=False):
        frame.info["E"] = image.get_potential_energy()
    write(path, both)
    with pytest.raises(InputError, match="different energies under 'REF_energy' and 'E'"):
        read_labelled(path)
    data, _ = read_labelled(path, energy_key="E")
    assert float(data.energy[0]) == pytest.approx(images[0].get_potential_energy())
    with pytest.raises(InputError, match="no energy_key 'REF_enrgy'; did you mean 'REF_energy'"):
        read_labelled(path, energy_key="REF_enrgy")


def test_read_labelled_takes_any_of_energies_that_agree(images, path):
    frames = [relabelled(image) for image in images[:3]]
    for frame in frames:
        frame.info["free_energy"] = frame.info["energy"] + 1e-5
    write(path, frames)
    assert len(read_labelled(path)[0]) == 3


def test_read_labelled_reads_an_ase_database(images, tmp_path):
    for name in ("mine.db", "mine.json"):
        with connect(tmp_path / name) as database:
            for image in images[:4]:
                database.write(image, config_type="distorted", multiplicity=1)
        data, _ = read_labelled(tmp_path / name)
        assert data.energy.tolist() == pytest.approx([i.get_potential_energy() for i in images[:4]])
        np.testing.assert_allclose(
            data.forces, np.concatenate([i.get_forces() for i in images[:4]]), atol=1e-6
        )
        assert data.kinds == ("distorted",)


def test_read_labelled_keeps_charge_and_spin(images, path):
    frames = [relabelled(image) for image in images[:4]]
    frames[0].info["charge"] = 1.0
    frames[1].info["total_charge"] = -1
    frames[2].info["multiplicity"] = 3
    frames[3].set_initial_charges(np.eye(len(frames[3]))[0])
    write(path, frames)
    molecules = read_labelled(path)[0].molecules
    assert molecules.charge.tolist() == [1, -1, 0, 1]
    assert molecules.spin.tolist() == [2, 2, 3, 2]


def test_read_labelled_keeps_kind_identity_and_split(images, path):
    frames = [relabelled(image) for image in images[:6]]
    for i, frame in enumerate(frames):
        frame.info |= {"config_type": f"T{i % 2}", "smiles": "C", "split": ["train", "val"][i // 4]}
    write(path, frames)
    data, has_split = read_labelled(path)
    assert has_split
    assert data.kinds == ("T0", "T1")
    assert data.identities == ("C",)
    assert data.split.tolist() == [0, 0, 0, 0, 1, 1]
    frames[2].info["split"] = "tset"
    write(path, frames)
    with pytest.raises(InputError, match="'tset'; did you mean 'test'"):
        read_labelled(path)
    del frames[2].info["split"]
    write(path, frames)
    with pytest.raises(InputError, match="5 of 6 structures have a split"):
        read_labelled(path)


def test_read_labelled_takes_smiles_in_any_form_as_one_identity(images, path):
    frames = [relabelled(image) for image in images[:4]]
    for frame, smiles in zip(frames, ("OCC", "C(C)O", "F", "[H]F"), strict=True):
        frame.info["smiles"] = smiles
    write(path, frames)
    assert read_labelled(path)[0].identities == ("CCO", "F")


@pytest.mark.parametrize("smiles", [None, "ethanol"])
def test_read_labelled_goes_by_formula_where_a_smiles_is_missing_or_cannot_be_read(
    images, path, smiles
):
    frames = [relabelled(image) for image in images[:6]]
    for frame in frames[1:]:
        frame.info["smiles"] = "CCO"
    if smiles:
        frames[0].info["smiles"] = smiles
    write(path, frames)
    formulas = dict.fromkeys(image.get_chemical_formula() for image in images[:6])
    assert read_labelled(path)[0].identities == tuple(formulas)


def test_read_labelled_takes_the_stem_where_every_structure_has_its_own_kind(images, path):
    frames = [relabelled(image) for image in images]
    for i, frame in enumerate(frames):
        frame.info["config_type"] = f"frame-{i}"
    write(path, frames)
    assert read_labelled(path)[0].kinds == ("mine",)


def test_read_labelled_takes_isolated_atoms_apart(images, path):
    atoms = [Atoms("H", info={"energy": energy}) for energy in (-11.5, -12.0)]
    cation = Atoms("C", info={"energy": -99.0, "charge": 1})
    write(path, [atoms[0], *(relabelled(image) for image in images[:3]), atoms[1], cation])
    data, _ = read_labelled(path)
    assert len(data) == 3
    assert data.atomic_energies == {1: -12.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.arrays.pop("forces"), "structure 1 has no forces under 'forces'"),
        (lambda f: f.info.pop("energy"), "structure 1 has no energies under 'energy'"),
        (lambda f: f.info.update(energy=np.nan), "energy of structure 1 must be finite numbers"),
        (lambda f: f.info.update(charge=0.5), "charge must be a whole number, not '0.5'"),
        (lambda f: f.set_cell([9, 9, 9]) or f.set_pbc(True), "structure 1 is periodic"),
        (lambda f: f.positions.__setitem__(0, f.positions[1]), "two atoms in one place"),
    ],
)
def test_read_labelled_refuses_a_bad_structure(images, path, change, message):
    frames = [relabelled(image) for image in images[:3]]
    change(frames[1])
    write(path, frames)
    with pytest.raises(InputError, match=message):
        read_labelled(path)


def test_read_labelled_refuses_a_file_without_labels(images, path):
    write(path, [Atoms(image.numbers, image.positions) for image in images[:3]])
    with pytest.raises(InputError, match=r"holds no energies, which a fit needs$"):
        read_labelled(path)
    frames = [Atoms(i.numbers, i.positions, info={"dft": -1.0, "id": 3}) for i in images[:3]]
    write(path, frames)
    with pytest.raises(InputError, match="energy_key names their key, of dft, id"):
        read_labelled(path)
    frames = [Atoms(i.numbers, i.positions, info={"energy": -1.0}) for i in images[:3]]
    write(path, frames)
    with pytest.raises(InputError, match="holds no forces, which a fit needs"):
        read_labelled(path)
    for frame in frames:
        frame.calc = SinglePointCalculator(frame, forces=np.zeros((len(frame), 3)))
    write(path, frames)
    with pytest.raises(InputError, match="all forces under 'forces' are 0"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "1,2", "is not labelled data"),
        ("a.xyz", "3\n\nH 0 0 0\n", "cannot be read"),
        ("a.db", "no database", "cannot be read"),
        ("a.json", "[1", "cannot be read"),
        ("a.extxyz", "", "holds no structure|cannot be read"),
        ("none.xyz", None, "does not exist"),
    ],
)
def test_read_labelled_refuses_other_files(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_labelled(tmp_path / name)


@pytest.mark.parametrize(
    ("info", "charge", "spin"),
    [
        ({"net_charge": 1, "spin": 2}, 1, 2),
        ({"Charge": -1.0}, -1, 2),
        ({"charge": 0, "mult": 3}, 0, 3),
    ],
)
def test_read_labelled_reads_charges_and_multiplicities_by_any_name(
    images, path, info, charge, spin
):
    image = relabelled(images[0])
    image.info |= info
    write(path, [image, relabelled(images[1])])
    molecules = read_labelled(path)[0].molecules
    assert (molecules.charge.tolist(), molecules.spin.tolist()[0]) == ([charge, 0], spin)


def test_read_labelled_refuses_charges_that_contradict_each_other(images, path):
    image = relabelled(images[0])
    image.info |= {"charge": 0, "total_charge": 1}
    write(path, [image])
    with pytest.raises(InputError, match="contradict each other"):
        read_labelled(path)

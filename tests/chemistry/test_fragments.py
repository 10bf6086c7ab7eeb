"""Fragments: attachment points, charge and multiplicity."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from rdkit.Chem import MolToMolBlock

from molrl.chemistry.embedding import from_smiles
from molrl.chemistry.fragments import face_to_face, load_fragment
from molrl.errors import InputError


def test_load_fragment_points_an_open_end_along_its_bond():
    phenyl = load_fragment("*c1ccccc1")
    assert sorted(phenyl.numbers.tolist()) == [1] * 5 + [6] * 6
    ((atom, outwards),) = phenyl.ends
    assert phenyl.numbers[atom] == 6
    from_middle = phenyl.positions[atom] - phenyl.positions[phenyl.numbers == 6].mean(0)
    assert outwards @ from_middle / np.linalg.norm(from_middle) > 0.99


@pytest.mark.parametrize("written", ["[*]C", "[*:1]C", "[1*]C", "C*"])
def test_load_fragment_takes_every_notation_of_an_open_end(written):
    methyl = load_fragment(written)
    assert sorted(methyl.numbers.tolist()) == [1, 1, 1, 6]
    assert len(methyl.ends) == 1


def test_load_fragment_takes_deuterium_as_hydrogen():
    water = load_fragment("[2H]O[2H]")
    assert sorted(water.numbers.tolist()) == [1, 1, 8]
    assert not water.ends


def test_face_to_face_puts_the_open_ends_at_the_gap():
    both = face_to_face(load_fragment("*C"), load_fragment("*C#N"), 3.0)
    carbons = both.positions[both.numbers == 6]
    assert min(np.linalg.norm(a - b) for a in carbons[:1] for b in carbons[1:]) == pytest.approx(3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("C((", r"invalid SMILES 'C\(\('"),
        ("c1ccccc1.*", "of several molecules"),
        ("*C.O", "of several molecules"),
        ("C*C", "exactly one neighbour"),
        ("*=C", "by a single bond"),
        ("*~C", "by a single bond"),
        ("[*-]C", "no charge or hydrogens"),
        ("[*H]C", "no charge or hydrogens"),
        ("*", "besides its attachment points"),
        ("**", "besides its attachment points"),
    ],
)
def test_load_fragment_refuses_invalid_smiles_and_open_ends(source, message):
    with pytest.raises(InputError, match=message) as error:
        load_fragment(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "charge"),
    [("C", 0), ("[NH4+]", 1), ("*[NH3+]", 1), ("*C(=O)[O-]", -1), ("[NH3+]CC(=O)[O-]", 0)],
)
def test_load_fragment_takes_the_charge_of_a_smiles(source, charge):
    fragment = load_fragment(source)
    assert (fragment.charge, fragment.spin) == (charge, None)


@pytest.mark.parametrize(
    ("info", "charge", "spin"),
    [
        ({}, 0, None),
        ({"charge": 1}, 1, None),
        ({"spin": 3}, 0, 3),
        ({"charge": 1, "spin": 4}, 1, 4),
    ],
)
def test_load_fragment_keeps_charge_and_spin_of_a_file(tmp_path, info, charge, spin):
    path = tmp_path / "a.extxyz"
    atoms = molecule("CH2_s1A1d")
    atoms.info = info
    write(path, atoms)
    fragment = load_fragment(str(path))
    assert (fragment.charge, fragment.spin) == (charge, spin)
    assert fragment.centered().charge == charge


@pytest.mark.parametrize("smiles", ["[c]1cc[c]cc1", "[CH2]C[CH2]", "C[CH2]", "C[C]C"])
@pytest.mark.parametrize("field", ["", "> <Multiplicity>\n{spin}\n\n"])
def test_radicals_of_an_sdf_are_places_for_bonds(tmp_path, smiles, field, capsys):
    mol = from_smiles(smiles, 0)
    spin = 1 + sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    path = tmp_path / "a.sdf"
    path.write_text(MolToMolBlock(mol) + field.format(spin=spin) + "$$$$\n")
    assert load_fragment(str(path)).spin == (spin if field and spin > 2 else None)
    assert field or not capsys.readouterr().err


def test_face_to_face_adds_charges_and_unpaired_electrons():
    ammonium, carboxylate = load_fragment("*[NH3+]"), load_fragment("*C(=O)[O-]")
    for others, charge in ((ammonium, 2), (carboxylate, 0)):
        both = face_to_face(ammonium, others, 2.0)
        assert (both.charge, both.spin) == (charge, None)
    doublet, triplet = replace(ammonium, spin=2), replace(ammonium, spin=3)
    assert face_to_face(ammonium, triplet, 2.0).spin == 3
    assert face_to_face(doublet, triplet, 2.0).spin == 4


def test_load_fragment_reads_a_changed_file_again(tmp_path):
    path = tmp_path / "a.xyz"
    for distance in (0.8, 0.9):
        write(path, Atoms("H2", [[0, 0, 0], [0, 0, distance]]))
        positions = load_fragment(str(path)).positions
        assert np.linalg.norm(positions[1] - positions[0]) == pytest.approx(distance, abs=1e-6)


def test_load_fragment_refuses_a_periodic_file(tmp_path):
    write(tmp_path / "crystal.extxyz", bulk("C", "diamond", a=3.6))
    with pytest.raises(InputError, match=r"crystal\.extxyz: a fragment takes molecules only"):
        load_fragment(str(tmp_path / "crystal.extxyz"))

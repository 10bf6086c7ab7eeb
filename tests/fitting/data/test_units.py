from dataclasses import replace

import pytest
import torch
from ase.io import write

from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.fitting.data.labelled import read_labelled
from molrl.fitting.data.units import HARTREE, KCAL, check_beside_start, check_units, work_ratio

BOHR = 0.529177


@pytest.fixture(scope="module")
def data(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("units") / "mine.extxyz"
    write(path, images)
    return read_labelled(path)[0]


def test_work_ratio_is_one_for_labels_of_one_calculation(data):
    assert work_ratio(data) == pytest.approx(1, abs=0.1)


def test_work_ratio_needs_several_geometries_of_a_molecule(data):
    assert work_ratio(data[::5]) is None


def test_check_units_lets_right_labels_pass_and_stays_silent(data, capsys):
    check_units(data, "mine")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("energy", "forces", "message"),
    [
        (1 / HARTREE, 1, "the energies in Hartree and the forces in eV/Å"),
        (1 / HARTREE, BOHR / HARTREE, "the energies in Hartree and the forces in Hartree/Bohr"),
        (1, BOHR / HARTREE, "the energies in eV and the forces in Hartree/Bohr"),
        (1, 1 / KCAL, "the forces in kcal/mol/Å"),
        (1 / KCAL, 1 / KCAL, "are the energies in kcal/mol"),
        (1, -1, "are the forces gradients"),
    ],
)
def test_check_units_names_the_units_of_wrong_labels(data, energy, forces, message):
    wrong = replace(data, energy=data.energy * energy, forces=data.forces * forces)
    with pytest.raises(InputError, match=message):
        check_units(wrong, "mine")


def test_check_units_refuses_forces_beyond_chemistry(data):
    apart = data[::5]
    with pytest.raises(InputError, match="half of the structures have a force above"):
        check_units(replace(apart, forces=apart.forces * 100), "mine")


def test_check_units_reports_labels_of_two_calculations(data, capsys):
    check_units(replace(data, energy=data.energy * 4), "mine")
    assert "are energies and forces of one calculation?" in capsys.readouterr().err


@pytest.fixture(scope="module")
def singles(images, tmp_path_factory):
    """One geometry of each molecule, and what the fit starts from."""
    path = tmp_path_factory.mktemp("units") / "one.extxyz"
    write(path, images[::2])
    return read_labelled(path)[0], load_energy("mace")


def test_check_beside_start_takes_labels_in_ev(singles):
    data, start = singles
    check_beside_start(data, start)
    shift = 1000.0 * data.molecules.n_atoms
    check_beside_start(replace(data, energy=data.energy - shift), start)
    check_beside_start(replace(data, forces=2 * data.forces), start)
    iron = replace(data.molecules, numbers=torch.full_like(data.molecules.numbers, 26))
    check_beside_start(replace(data, molecules=iron), start)


@pytest.mark.parametrize(
    ("energy", "force", "said"),
    [
        (1, -1, r"forces are -1.* the start; is their sign reversed\? Give eV/Å"),
        (1, BOHR / HARTREE, r"forces are 0\.0.*; are they in Hartree/Bohr\? Give eV/Å"),
        (1, 1 / KCAL, r"forces are 2\d.*; are they in kcal/mol/Å\?"),
        (1, -1 / KCAL, r"are they in kcal/mol/Å\? is their sign reversed\?"),
        (1 / HARTREE, 1, r"energies are 0\.0.*; are they in Hartree\? Give eV"),
    ],
)
def test_check_beside_start_names_units_and_reversed_signs(singles, energy, force, said):
    data, start = singles
    wrong = replace(data, energy=energy * data.energy, forces=force * data.forces)
    with pytest.raises(InputError, match=said):
        check_beside_start(wrong, start)

from dataclasses import replace

import pytest
from ase.io import write

from molrl.errors import InputError
from molrl.fitting.data.labelled import read_labelled
from molrl.fitting.data.units import HARTREE, KCAL, check_units, work_ratio

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

from dataclasses import replace

import pytest
import torch
from ase.io import write
from tblite.ase import TBLite

from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.fitting.data.isolated import (
    IsolatedEnergies,
    isolated_energies,
    parse_atomic_energies,
)
from molrl.fitting.data.labelled import read_labelled
from molrl.fitting.data.units import HARTREE


@pytest.fixture(scope="module")
def data(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("isolated") / "mine.extxyz"
    write(path, images)
    return read_labelled(path)[0]


@pytest.fixture(scope="module")
def atoms(data):
    """Isolated atoms by GFN1-xTB, of the lowest spin."""
    from ase import Atoms

    out = {}
    for number in sorted(set(data.molecules.numbers.tolist())):
        atom = Atoms(numbers=[number], positions=[[0, 0, 0]])
        atom.calc = TBLite(method="GFN1-xTB", multiplicity=number % 2 + 1, verbosity=0)
        out[number] = atom.get_potential_energy()
    return out


def test_isolated_energies_takes_those_that_are_given(data, atoms):
    isolated = isolated_energies(data, atoms)
    assert isolated.energies == pytest.approx(atoms)
    assert isolated.source.endswith(": given")
    interaction = (data.energy - isolated.total(data)) / data.molecules.n_atoms
    assert -8 < float(interaction.median()) < -2


def test_isolated_energies_takes_isolated_atoms_in_the_data(data, atoms):
    isolated = isolated_energies(replace(data, atomic_energies=atoms), {1: -11.0})
    assert isolated.energies == pytest.approx(atoms | {1: -11.0})
    assert isolated.source.startswith("H: given; C, ")
    assert isolated.source.endswith(": isolated atoms in the data")


def test_isolated_energies_takes_those_of_the_reference(data):
    gfn2 = load_energy("gfn2")
    energy = gfn2.evaluate(data.molecules).energy
    isolated = isolated_energies(replace(data, energy=energy, reference="gfn2"))
    assert isolated.energies == pytest.approx(dict(gfn2.atom_energies()))
    assert isolated.source.endswith(": of gfn2")


def test_isolated_energies_says_which_are_of_the_file_and_which_of_the_reference(data):
    atoms = load_energy("gfn2").atom_energies()
    labelled = replace(
        data,
        energy=load_energy("gfn2").evaluate(data.molecules).energy,
        reference="gfn2",
        atomic_energies={1: atoms[1], 6: atoms[6]},
        file_atoms=frozenset({1}),
    )
    source = isolated_energies(labelled).source
    assert source.startswith("H: isolated atoms in the data; C: of gfn2; N, ")
    assert source.endswith(": of gfn2")


def test_isolated_energies_by_least_squares_leave_little_per_atom(data):
    isolated = isolated_energies(data)
    assert "least squares over 12 compositions" in isolated.source
    rest = (data.energy - isolated.total(data)) / data.molecules.n_atoms
    assert float(rest.abs().mean()) < 0.5


def test_isolated_energies_by_least_squares_leave_the_start_no_error(data, atoms):
    start = load_energy("mace")
    known = IsolatedEnergies(atoms, "").total(data)
    interaction = start.evaluate(data.molecules).energy - start.isolated_energy(data.molecules)
    shifted = replace(data, energy=known + interaction)
    assert isolated_energies(shifted, start=start).energies == pytest.approx(atoms, abs=1e-4)
    some = isolated_energies(shifted, {1: atoms[1]}, start)
    assert some.energies == pytest.approx(atoms, abs=1e-4)


def test_isolated_energies_of_one_composition_are_right_in_sum(data):
    one = data[data.identity == 4]
    isolated = isolated_energies(one)
    assert isolated.source.endswith("over 1 composition, which do not determine each element")
    rest = (one.energy - isolated.total(one)) / one.molecules.n_atoms
    assert float(rest.mean()) == pytest.approx(0, abs=1e-6)


def test_isolated_energies_refuses_another_level_of_theory(data):
    all_electron = {1: -13.6, 6: -1029.0, 7: -1484.0, 8: -2041.0, 9: -2712.0, 16: -10832.0}
    with pytest.raises(InputError, match="another level of theory"):
        isolated_energies(data, all_electron)


def test_isolated_energies_hints_at_hartree(data, atoms):
    with pytest.raises(InputError, match="energies of isolated atoms in Hartree"):
        isolated_energies(data, {z: energy / HARTREE for z, energy in atoms.items()})
    with pytest.raises(InputError, match="are the energies in Hartree"):
        isolated_energies(replace(data, energy=data.energy / HARTREE), atoms)
    hartree = {1: -0.5, 6: -37.8, 7: -54.6, 8: -75.0, 9: -99.7, 16: -398.0}
    table = torch.zeros(99, dtype=torch.float64)
    table[list(hartree)] = torch.tensor(list(hartree.values()), dtype=torch.float64)
    energy = data.molecules.sum_atoms(table[data.molecules.numbers]) - 0.5
    with pytest.raises(InputError, match="are all energies in Hartree"):
        isolated_energies(replace(data, energy=energy))


def test_isolated_energies_names_one_absurd_structure(data, atoms):
    energy = data.energy.clone()
    energy[18] += 1000.0
    with pytest.raises(InputError, match=rf"a structure of {data.identities[3]} \(mine\) has"):
        isolated_energies(replace(data, energy=energy), atoms)


def test_parse_atomic_energies_takes_symbols_only():
    assert parse_atomic_energies({"H": -13.6, "Cl": -12500}) == {1: -13.6, 17: -12500.0}
    for symbol in ("h", "X", "1"):
        with pytest.raises(InputError, match="not the symbol of an element"):
            parse_atomic_energies({symbol: -1.0})

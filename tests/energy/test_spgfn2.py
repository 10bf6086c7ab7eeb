"""Spin-polarised GFN2-xTB: the lower of two spin states, chosen molecule by molecule."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.data import chemical_symbols, ground_state_magnetic_moments
from ase.data.g2 import get_atomization_energy
from ase.units import kcal, mol
from tblite.ase import TBLite

from molrl.energy import load_energy
from molrl.energy.spgfn2 import NO_HIGH_SPIN, SpinGFN2Energy
from molrl.molecules import MoleculeBatch

CLOSED = ("CH4", "H2O", "CH3OH", "C6H6", "CO", "H2")
ELEMENTS = ("H", "He", "C", "N", "O", "F", "Ne", "Si", "P", "S", "Cl", "Ar", "Br", "I", "Xe")
OPEN = ("CH2_s3B1d", "O2", "NH")  # their ground states are triplets
METHANOL_PREFIX = ("CH3O", "CH3", "OH")


@pytest.fixture(scope="module")
def model():
    return load_energy("spgfn2")


@pytest.fixture(scope="module")
def plain():
    return load_energy("gfn2")


def batch(*names, multiplicity=None):
    molecules = MoleculeBatch.from_ase([molecule(name) for name in names])
    if multiplicity is None:
        return molecules
    return replace(molecules, spin=torch.full((len(names),), multiplicity))


def by_tblite(atoms, multiplicity):
    return solved(atoms, multiplicity).get_potential_energy()


def solved(atoms, multiplicity):
    atoms = atoms.copy()
    atoms.calc = TBLite(
        method="GFN2-xTB", verbosity=0, multiplicity=multiplicity, spin_polarization=1.0
    )
    return atoms


def test_closed_shells_are_those_of_plain_gfn2(model, plain):
    found, wanted = (m.evaluate(batch(*CLOSED), forces=True) for m in (model, plain))
    torch.testing.assert_close(found.energy, wanted.energy, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.forces, wanted.forces, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", OPEN)
def test_triplets_lie_below_their_singlets(model, plain, name):
    atoms = molecule(name)
    singlet, triplet = (by_tblite(atoms, multiplicity) for multiplicity in (1, 3))
    found = float(model.evaluate(atoms).energy[0])
    assert found == pytest.approx(triplet, abs=1e-5)
    assert found < singlet - 0.3
    assert float(plain.evaluate(atoms).energy[0]) == pytest.approx(singlet, abs=1e-5)


def test_radicals_of_one_electron_are_doublets(model):
    for name, energy in zip(
        METHANOL_PREFIX, model.evaluate(batch(*METHANOL_PREFIX)).energy.tolist(), strict=True
    ):
        assert energy == pytest.approx(by_tblite(molecule(name), 2), abs=1e-5)


def test_atoms_are_in_their_ground_state(model):
    """Hund's rules hold for the main groups; boron's quartet is the method's own fault."""
    isolated = model.atom_energies()
    for symbol in ELEMENTS:
        number = chemical_symbols.index(symbol)
        unpaired = int(ground_state_magnetic_moments[number])
        tried = [
            by_tblite(Atoms(symbol), multiplicity)
            for multiplicity in range(1 + number % 2, 6 if number > 2 else 3, 2)
        ]
        assert isolated[number] == pytest.approx(min(tried), abs=1e-5)
        assert min(tried) == pytest.approx(by_tblite(Atoms(symbol), unpaired + 1), abs=1e-5)


def test_a_lone_atom_has_the_energy_of_an_atom(model):
    atoms = [Atoms(symbol) for symbol in "HBCNOF"]
    isolated = [model.atom_energies()[int(a.numbers[0])] for a in atoms]
    assert model.evaluate(atoms).energy.tolist() == pytest.approx(isolated, abs=1e-5)


def test_breaking_one_bond_leads_to_the_two_radicals(model):
    """At long distance the triplet is taken, and H2 falls apart into two atoms."""
    h2 = MoleculeBatch.from_arrays([(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 8.0]]))])
    assert float(model.evaluate(h2).energy[0]) == pytest.approx(
        2 * model.atom_energies()[1], abs=1e-3
    )


def test_a_given_spin_is_the_lower_of_the_two(model):
    """Methyl told to be a quartet is compared with its sextet only."""
    found = float(model.evaluate(batch("CH3", multiplicity=4)).energy[0])
    quartet, sextet = (by_tblite(molecule("CH3"), multiplicity) for multiplicity in (4, 6))
    assert found == pytest.approx(min(quartet, sextet), abs=1e-5)
    assert found > float(model.evaluate(batch("CH3")).energy[0]) + 5


@pytest.mark.parametrize("name", ["CH3OH", "CH3", "CH2_s3B1d"])
def test_forces_are_the_gradient_of_the_state_that_is_lower(model, name):
    atoms = molecule(name)
    atoms.rattle(0.05, seed=2)
    forces = model.evaluate(atoms, forces=True).forces.numpy()
    step = 1e-3 * np.eye(3 * len(atoms)).reshape(-1, len(atoms), 3)
    moved = [(atoms.numbers, atoms.positions + s * d) for s in (1, -1) for d in step]
    energy = model.evaluate(MoleculeBatch.from_arrays(moved)).energy.numpy()
    gradient = (energy[: len(step)] - energy[len(step) :]) / 2e-3
    np.testing.assert_allclose(forces.ravel(), -gradient, atol=2e-3)


def test_the_company_in_a_batch_does_not_matter(model):
    names = [*CLOSED[:3], *OPEN, *METHANOL_PREFIX]
    together = model.evaluate(batch(*names), forces=True)
    alone = [model.evaluate(batch(name), forces=True) for name in names]
    energy, forces = (torch.cat([getattr(o, name) for o in alone]) for name in ("energy", "forces"))
    torch.testing.assert_close(together.energy, energy, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.forces, forces, atol=1e-4, rtol=0)


def test_the_dipole_is_that_of_the_state_that_is_lower(model):
    names = ("CH3OH", "CH3O", "CH2_s3B1d")
    found = model.evaluate(batch(*names), properties=["dipole"]).properties["dipole"]
    for name, multiplicity, dipole in zip(names, (1, 2, 3), found.numpy(), strict=True):
        atoms = molecule(name)
        assert np.linalg.norm(dipole) > 0.1
        np.testing.assert_allclose(
            dipole, solved(atoms, multiplicity).get_dipole_moment(), atol=1e-4
        )


def test_an_empty_canvas_has_no_energy(model):
    empty = (np.zeros(0, int), np.zeros((0, 3)))
    out = model.evaluate(MoleculeBatch.from_arrays([empty, empty]), forces=True)
    assert out.energy.tolist() == [0.0, 0.0]
    assert out.forces.shape == (0, 3)


class Short(SpinGFN2Energy):
    """A multiplicity that may take one iteration only, which is never enough."""

    def __init__(self, hurried):
        super().__init__(n_workers=1)
        self._hurried = hurried

    def _worker_arguments(self, spin):
        unpaired, iterations, factor = super()._worker_arguments(spin)
        return unpaired, 1 if spin == self._hurried else iterations, factor


def test_without_a_higher_spin_the_lower_is_taken_and_counted(plain):
    model = Short(hurried=3)
    out = model.evaluate(batch("H2O", "CH3"))
    assert not out.failures
    assert out.faults == {NO_HIGH_SPIN: 1}
    assert float(out.energy[0]) == pytest.approx(
        float(plain.evaluate(batch("H2O")).energy[0]), abs=1e-6
    )
    model.close()


def test_without_the_lower_spin_there_is_no_energy(model):
    """Also where the triplet, which is lower, would have converged."""
    short = Short(hurried=1)
    out = short.evaluate(batch("O2", "CH3"), forces=True)
    assert list(out.failures) == [0]
    assert "SCF not converged" in out.failures[0]
    assert out.energy[0].isnan()
    assert out.forces[:2].isnan().all()
    assert float(out.energy[1]) == pytest.approx(
        float(model.evaluate(batch("CH3")).energy[0]), abs=1e-5
    )
    short.close()


def atomisation(model, molecules):
    """The energy of the isolated atoms less that of one molecule, eV."""
    atoms = sum(model.atom_energies()[z] for z in molecules.numbers.tolist())
    return atoms - float(model.evaluate(molecules).energy[0])


def test_spgfn2_is_nearer_to_the_atomisation_energy_of_methanol_than_plain_gfn2(model, plain):
    """Atoms in their ground states are lower; the molecule, a closed shell, is not."""
    methanol = batch("CH3OH")
    lower = sum(plain.atom_energies()[z] - model.atom_energies()[z] for z in (6, 8, 1, 1, 1, 1))
    worth = atomisation(model, methanol)
    assert worth == pytest.approx(atomisation(plain, methanol) - lower, abs=1e-4)
    measured = get_atomization_energy("CH3OH") * kcal / mol  # of experiment, G2/97's tables
    assert abs(worth - measured) < 1.5
    assert abs(worth - measured) < 0.3 * abs(atomisation(plain, methanol) - measured)


def test_spgfn2_pays_an_environment_the_atomisation_energy(model, rebuild):
    from molrl.envs.design import MolDesignEnv

    atoms = molecule("CH3OH")
    env = MolDesignEnv(bag="CH4O", energy="spgfn2")
    rewards, reason = rebuild(env, atoms.numbers, atoms.positions)
    assert reason == "complete"
    assert sum(rewards) == pytest.approx(atomisation(model, batch("CH3OH")), abs=1e-3)


def test_it_is_another_energy_than_plain_gfn2(model, plain):
    assert model.hash != plain.hash

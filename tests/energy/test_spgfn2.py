"""Spin-polarised GFN2-xTB: the lower of two spin states of each molecule."""

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
        return molecules.charged(molecules.charge)  # the lowest, whatever ASE's moments are
    return replace(molecules, spin=torch.full((len(names),), multiplicity))


def by_tblite(atoms, multiplicity):
    return solved(atoms, multiplicity).get_potential_energy()


def solved(atoms, multiplicity):
    atoms = atoms.copy()
    atoms.calc = TBLite(
        method="GFN2-xTB", verbosity=0, multiplicity=multiplicity, spin_polarization=1.0
    )
    return atoms


def test_spgfn2_agrees_with_gfn2_for_closed_shells(model, plain):
    found, wanted = (m.evaluate(batch(*CLOSED), forces=True) for m in (model, plain))
    torch.testing.assert_close(found.energy, wanted.energy, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.forces, wanted.forces, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", OPEN)
def test_spgfn2_puts_triplets_below_their_singlets(model, plain, name):
    atoms = molecule(name)
    singlet, triplet = (by_tblite(atoms, multiplicity) for multiplicity in (1, 3))
    atoms.info["spin"] = 1
    found = float(model.evaluate(atoms).energy[0])
    assert found == pytest.approx(triplet, abs=1e-5)
    assert found < singlet - 0.3
    assert float(plain.evaluate(atoms).energy[0]) == pytest.approx(singlet, abs=1e-5)


def test_spgfn2_takes_the_doublet_of_radicals(model):
    for name, energy in zip(
        METHANOL_PREFIX, model.evaluate(batch(*METHANOL_PREFIX)).energy.tolist(), strict=True
    ):
        assert energy == pytest.approx(by_tblite(molecule(name), 2), abs=1e-5)


def test_spgfn2_atom_energies_are_those_of_ground_states(model):
    """Hund's rules hold for main-group elements except boron, whose quartet the method favours."""
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


def test_spgfn2_of_a_single_atom_is_its_atom_energy(model):
    atoms = [Atoms(symbol) for symbol in "HBCNOF"]
    isolated = [model.atom_energies()[int(a.numbers[0])] for a in atoms]
    assert model.evaluate(atoms).energy.tolist() == pytest.approx(isolated, abs=1e-5)


def test_spgfn2_dissociates_hydrogen_into_two_atoms(model):
    """At long distance the triplet is lower, and H2 has the energy of two atoms."""
    h2 = MoleculeBatch.from_arrays([(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 8.0]]))])
    assert float(model.evaluate(h2).energy[0]) == pytest.approx(
        2 * model.atom_energies()[1], abs=1e-3
    )


def test_spgfn2_takes_the_spin_of_the_batch_as_the_lower_of_two(model):
    """Methyl given as a quartet is compared with its sextet only."""
    found = float(model.evaluate(batch("CH3", multiplicity=4)).energy[0])
    quartet, sextet = (by_tblite(molecule("CH3"), multiplicity) for multiplicity in (4, 6))
    assert found == pytest.approx(min(quartet, sextet), abs=1e-5)
    assert found > float(model.evaluate(batch("CH3")).energy[0]) + 5


@pytest.mark.parametrize("name", ["CH3OH", "CH3", "CH2_s3B1d"])
def test_spgfn2_forces_are_the_negative_gradient_of_the_lower_state(model, name):
    atoms = molecule(name)
    atoms.rattle(0.05, seed=2)
    forces = model.evaluate(atoms, forces=True).forces.numpy()
    step = 1e-3 * np.eye(3 * len(atoms)).reshape(-1, len(atoms), 3)
    moved = [(atoms.numbers, atoms.positions + s * d) for s in (1, -1) for d in step]
    energy = model.evaluate(MoleculeBatch.from_arrays(moved)).energy.numpy()
    gradient = (energy[: len(step)] - energy[len(step) :]) / 2e-3
    np.testing.assert_allclose(forces.ravel(), -gradient, atol=2e-3)


def test_spgfn2_gives_the_same_alone_and_in_a_batch(model):
    names = [*CLOSED[:3], *OPEN, *METHANOL_PREFIX]
    together = model.evaluate(batch(*names), forces=True)
    alone = [model.evaluate(batch(name), forces=True) for name in names]
    energy, forces = (torch.cat([getattr(o, name) for o in alone]) for name in ("energy", "forces"))
    torch.testing.assert_close(together.energy, energy, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.forces, forces, atol=1e-4, rtol=0)


def test_spgfn2_dipole_is_that_of_the_lower_state(model):
    names = ("CH3OH", "CH3O", "CH2_s3B1d")
    found = model.evaluate(batch(*names), properties=["dipole"]).properties["dipole"]
    for name, multiplicity, dipole in zip(names, (1, 2, 3), found.numpy(), strict=True):
        atoms = molecule(name)
        assert np.linalg.norm(dipole) > 0.1
        np.testing.assert_allclose(
            dipole, solved(atoms, multiplicity).get_dipole_moment(), atol=1e-4
        )


def test_spgfn2_properties_of_atoms_are_those_of_the_lower_state(model):
    batch_of = batch("CH3OH", "CH2_s3B1d", "O2")
    out = model.evaluate(batch_of, properties=["energies", "charges"])
    of_sites = batch_of.sum_atoms(out.properties["energies"])
    torch.testing.assert_close(of_sites, out.energy, atol=1e-6, rtol=0)
    assert batch_of.sum_atoms(out.properties["charges"]).abs().max() < 1e-6


def test_spgfn2_of_an_empty_canvas_is_zero(model):
    empty = (np.zeros(0, int), np.zeros((0, 3)))
    out = model.evaluate(MoleculeBatch.from_arrays([empty, empty]), forces=True)
    assert out.energy.tolist() == [0.0, 0.0]
    assert out.forces.shape == (0, 3)


class Unconverged(SpinGFN2Energy):
    """A model in which one multiplicity has a single SCF iteration, which is never enough."""

    def __init__(self, failing):
        super().__init__(n_workers=1)
        self._failing = failing

    def _worker_arguments(self, spin):
        unpaired, iterations, *others = super()._worker_arguments(spin)
        return unpaired, 1 if spin == self._failing else iterations, *others


def test_spgfn2_keeps_the_lower_spin_where_the_higher_fails_and_counts_it(plain):
    model = Unconverged(failing=3)
    out = model.evaluate(batch("H2O", "CH3"))
    assert not out.failures
    assert out.faults == {NO_HIGH_SPIN: 1}
    assert float(out.energy[0]) == pytest.approx(
        float(plain.evaluate(batch("H2O")).energy[0]), abs=1e-6
    )
    model.close()


def test_spgfn2_fails_where_the_lower_spin_fails(model):
    """Also where the triplet, which is lower, would have converged."""
    unconverged = Unconverged(failing=1)
    out = unconverged.evaluate(batch("O2", "CH3"), forces=True)
    assert list(out.failures) == [0]
    assert "SCF not converged" in out.failures[0]
    assert out.energy[0].isnan()
    assert out.forces[:2].isnan().all()
    assert float(out.energy[1]) == pytest.approx(
        float(model.evaluate(batch("CH3")).energy[0]), abs=1e-5
    )
    unconverged.close()


def atomisation(model, molecules):
    """Return the energy of the isolated atoms minus that of one molecule, eV."""
    atoms = sum(model.atom_energies()[z] for z in molecules.numbers.tolist())
    return atoms - float(model.evaluate(molecules).energy[0])


def test_spgfn2_is_nearer_to_the_measured_atomisation_energy_than_gfn2(model, plain):
    """The energies of open-shell atoms are lower, that of methanol, a closed shell, is the same."""
    methanol = batch("CH3OH")
    lower = sum(plain.atom_energies()[z] - model.atom_energies()[z] for z in (6, 8, 1, 1, 1, 1))
    found = atomisation(model, methanol)
    assert found == pytest.approx(atomisation(plain, methanol) - lower, abs=1e-4)
    measured = get_atomization_energy("CH3OH") * kcal / mol  # experiment, G2/97
    assert abs(found - measured) < 1.5
    assert abs(found - measured) < 0.3 * abs(atomisation(plain, methanol) - measured)


def test_spgfn2_makes_the_return_of_an_environment_the_atomisation_energy(model, rebuild):
    from molrl.envs.design import MolDesignEnv

    atoms = molecule("CH3OH")
    env = MolDesignEnv(bag="CH4O", energy="spgfn2")
    rewards, reason = rebuild(env, atoms.numbers, atoms.positions)
    assert reason == "complete"
    assert sum(rewards) == pytest.approx(atomisation(model, batch("CH3OH")), abs=1e-3)


def test_spgfn2_hash_differs_from_that_of_gfn2(model, plain):
    assert model.hash != plain.hash

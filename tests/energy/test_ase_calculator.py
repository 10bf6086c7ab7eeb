"""ASE calculators as energy models: energies, failures, properties, stress and rewards."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.stress import voigt_6_to_full_3x3_stress
from tblite.ase import TBLite

import molrl  # noqa: F401 - registers the environments
from molrl.energy import load_energy
from molrl.energy.ase_calculator import ASEEnergy
from molrl.errors import InputError


@pytest.fixture(scope="module")
def xtb():
    return load_energy(TBLite(method="GFN2-xTB", verbosity=0))


@pytest.fixture(scope="module")
def images():
    """Molecules with an ion, one of high spin and an empty one among them."""
    hydroxide, methylene = molecule("OH"), molecule("CH2_s3B1d")
    hydroxide.info = {"charge": -1}
    methylene.info = {"spin": 3}
    return [molecule("H2O"), hydroxide, Atoms(), methylene, molecule("CH3")]


def test_ase_energy_agrees_with_the_gfn2_model(xtb, images):
    ours = load_energy("gfn2").evaluate(images, forces=True, properties=["dipole"])
    theirs = xtb.evaluate(images, forces=True, properties=["dipole", "charges"])
    assert theirs.energy.numpy() == pytest.approx(ours.energy.numpy(), abs=1e-5)
    assert theirs.forces.numpy() == pytest.approx(ours.forces.numpy(), abs=1e-4)
    dipoles = [out.properties["dipole"].numpy() for out in (theirs, ours)]
    assert dipoles[0].shape == (5, 3)
    assert dipoles[0] == pytest.approx(dipoles[1], abs=1e-4)
    charges = theirs.properties["charges"]
    assert charges.shape == (sum(map(len, images)),)
    assert charges[3:5].sum() == pytest.approx(-1, abs=1e-6)


def test_evaluate_gives_a_dipole_that_rotates_with_the_molecule(xtb):
    water = molecule("H2O")
    turned = water.copy()
    turned.rotate(90, "x")
    for model in (load_energy("gfn2"), xtb):
        dipole = model.evaluate([water, turned], properties=["dipole"]).properties["dipole"]
        assert 0.3 < float(dipole[0].norm()) < 0.6  # e Å; 1.85 D is 0.39
        wanted = dipole[0] @ torch.tensor([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=dipole.dtype)
        assert torch.allclose(dipole[1], wanted, atol=1e-4)


def test_evaluate_refuses_unknown_properties():
    water = molecule("H2O")
    with pytest.raises(InputError, match="gfn2 has no property 'dipoles'; did you mean 'dipole'"):
        load_energy("gfn2").evaluate(water, properties=["dipoles"])
    with pytest.raises(InputError, match="mace has no property 'dipole'; it computes no further"):
        load_energy("mace").evaluate(water, properties=["dipole"])
    with pytest.raises(InputError, match=r"must be a list such as \['dipole'\], not 'dipole'"):
        load_energy("gfn2").evaluate(water, properties="dipole")


def test_ase_energy_failure_leaves_other_molecules_unchanged():
    model = load_energy(EMT())
    images = [molecule("CO"), molecule("SiH4"), molecule("N2")]
    out = model.evaluate(images, forces=True, properties=["energies"])
    assert list(out.failures) == [1]
    assert out.failures[1].startswith("EMT: NotImplementedError: ")
    assert torch.isnan(out.energy).tolist() == [False, True, False]
    assert torch.isnan(out.forces).all(-1).tolist() == [False] * 2 + [True] * 5 + [False] * 2
    assert torch.isfinite(out.properties["energies"]).sum() == 4
    assert float(model.evaluate(images[2]).energy[0]) == pytest.approx(float(out.energy[2]))


def test_ase_energy_computes_atom_energies_on_lookup(xtb):
    class Counting(LennardJones):
        calls = 0

        def calculate(self, *arguments, **options):
            self.calls += 1
            super().calculate(*arguments, **options)

    calculator = Counting()
    atoms = load_energy(calculator).atom_energies()
    assert (atoms[6], atoms[6], calculator.calls) == (0.0, 0.0, 1)
    assert 6 not in ASEEnergy(calculator, elements=[1, 8]).atom_energies()
    assert np.isnan(load_energy(EMT()).atom_energies()[26])
    quintet = Atoms("C", info={"spin": 3})
    of_quintet = float(xtb.evaluate(quintet).energy[0])
    assert xtb.atom_energies()[6] == pytest.approx(of_quintet, abs=1e-5)


def test_ase_energy_hash_depends_on_class_and_parameters():
    hashes = [
        load_energy(calculator).hash
        for calculator in (LennardJones(), LennardJones(), LennardJones(epsilon=2.0), EMT())
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_environment_computes_rewards_with_an_ase_calculator(rebuild):
    env = gym.make("MolDesign-v0", bag="H2O", energy=TBLite(method="GFN2-xTB", verbosity=0))
    water = molecule("H2O")
    rewards, reason = rebuild(env.unwrapped, water.numbers, water.positions)
    same, _ = rebuild(
        gym.make("MolDesign-v0", bag="H2O", energy="gfn2").unwrapped, water.numbers, water.positions
    )
    assert reason == "complete"
    # The oxygen atom is a triplet for a calculator, and in GFN2-xTB 0.05 eV above the singlet.
    assert sum(rewards) == pytest.approx(sum(same), abs=0.1)
    envs = gym.make_vec("MolDesign-v0", num_envs=2, bag="H2O", energy=LennardJones())
    envs.reset(seed=0)
    envs.action_space.seed(0)
    _, _, terminated, _, _ = envs.step(envs.action_space.sample())
    assert terminated.shape == (2,)


def test_ase_energy_passes_cells_and_returns_stress():
    crystal = bulk("Cu", "fcc", a=3.7).repeat((2, 1, 1))
    crystal.positions[0] += [0.1, 0.05, 0.0]
    out = ASEEnergy(EMT()).evaluate([molecule("H2O"), crystal], forces=True, stress=True)
    crystal.calc = EMT()
    assert float(out.energy[1]) == pytest.approx(crystal.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(out.stress[1].numpy(), crystal.get_stress(voigt=False), atol=1e-12)
    assert out.stress[0].isnan().all()


def test_ase_energy_takes_stress_as_a_matrix():
    class Matrix(EMT):
        def calculate(self, *arguments, **options):
            super().calculate(*arguments, **options)
            if "stress" in self.results:  # of periodic structures
                self.results["stress"] = voigt_6_to_full_3x3_stress(self.results["stress"])

    crystal = bulk("Cu", "fcc", a=3.7).repeat((2, 1, 1))
    crystal.positions[0] += [0.1, 0.05, 0.0]
    images = [crystal, molecule("H2O"), bulk("Cu")]
    found, wanted = (ASEEnergy(kind()).evaluate(images, stress=True) for kind in (Matrix, EMT))
    assert not found.failures
    torch.testing.assert_close(found.stress, wanted.stress, atol=1e-12, rtol=0, equal_nan=True)


def test_ase_energy_has_no_stress_for_structures_without_atoms():
    images = [Atoms(), Atoms(cell=[5, 5, 5], pbc=True), bulk("Cu")]
    out = ASEEnergy(EMT()).evaluate(images, stress=True)
    assert out.energy[:2].tolist() == [0.0, 0.0]
    assert out.stress.isnan().all(-1).all(-1).tolist() == [True, True, False]

"""Charged and open-shell fixed atoms are evaluated with their charge and multiplicity."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from molrl.agents.rollout import Actions, generate
from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment, load_fragment
from molrl.energy import load_energy
from molrl.envs.config import EnvConfig
from molrl.envs.design import MolDesignEnv
from molrl.envs.problem import Problem
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.tasks import FixedTask, Instance

TETRAHEDRON = load_fragment("C").positions  # Å, a centre and four corners
AXIS = TETRAHEDRON[4] / np.linalg.norm(TETRAHEDRON[4])


class Ammonium(FixedTask):
    """Placing a methyl group on an ammonium ion that lacks one hydrogen."""

    kind: Literal["ammonium"] = "ammonium"

    def build(self):
        fixed = Fragment(np.array([7, 1, 1, 1]), TETRAHEDRON[:4], charge=1)
        return Instance(Bag("CH3"), fixed)


class Oxygen(FixedTask):
    """Placing an oxygen atom beside one in its triplet state."""

    kind: Literal["oxygen"] = "oxygen"

    def build(self):
        return Instance(Bag("O"), Fragment(np.array([8]), np.zeros((1, 3)), spin=3))


METHYL = np.array([6, 1, 1, 1]), 1.5 * AXIS - np.array([[0, 0, 0], *TETRAHEDRON[1:4]])


def evaluate(obs, charge, spin):
    """Return the energy by GFN2-xTB of the atoms of an observation, in eV."""
    n = np.count_nonzero(obs["numbers"])
    batch = MoleculeBatch.from_arrays([(obs["numbers"][:n], obs["positions"][:n])])
    batch = replace(batch, charge=torch.tensor([charge]), spin=torch.tensor([spin]))
    return load_energy("gfn2").evaluate(batch).energy.item()


def test_env_evaluates_an_ammonium_scaffold_as_an_ion(rebuild):
    env = MolDesignEnv(task=Ammonium(), energy="gfn2")
    obs, info = env.reset()
    initial = evaluate(obs, charge=1, spin=2)
    assert info["energy"] == pytest.approx(initial, abs=1e-5)
    assert initial > evaluate(obs, charge=0, spin=1) + 5
    rewards, reason = rebuild(env, *METHYL)
    assert reason == "complete"
    final = {key: array[0] for key, array in env.state.arrays().items()}
    energy = evaluate(final, charge=1, spin=1)
    assert final["energy"] == pytest.approx(energy, abs=1e-5)
    atoms = sum(load_energy("gfn2").atom_energies()[z] for z in METHYL[0])
    assert sum(rewards) == pytest.approx(initial + atoms - energy, abs=1e-4)


def test_env_evaluates_a_triplet_fragment_as_a_triplet():
    env = MolDesignEnv(task=Oxygen(), energy="gfn2")
    obs, info = env.reset()
    assert info["energy"] == pytest.approx(evaluate(obs, charge=0, spin=3), abs=1e-5)
    obs, *_, info = env.step(np.array([0, 3, 1.21, 0, 0], np.float32))
    triplet = evaluate(obs, charge=0, spin=3)
    assert info["reason"] == "complete"
    assert info["energy"] == pytest.approx(triplet, abs=1e-5)
    assert abs(triplet - evaluate(obs, charge=0, spin=1)) > 0.05


def test_vector_env_keeps_charges_through_steps_and_resets(morse):
    envs = MolDesignVectorEnv(2, "SameStep", task=Ammonium(), energy=morse())
    envs.reset(seed=0)
    clash = [0, 1, 0.1, 0, 0]
    envs.step(np.array([[0, 1, *(1.5 * AXIS)], clash], np.float32))
    assert envs.state.charge.tolist() == [1, 1]
    assert envs.state.to_molecules().spin.tolist() == [2, 2]
    assert envs.state.n_atoms.tolist() == [5, 4]


def test_generate_returns_charged_molecules(morse):
    def act(observation, noise):
        placed = np.count_nonzero(observation["numbers"], axis=1) - 4
        return np.stack([_next_action(n) for n in placed])

    made = generate(
        Problem(EnvConfig(task=Ammonium(), energy=morse())), Actions(act, 1), n=2, seed=0
    )
    assert made.molecules.charge.tolist() == [1, 1]
    assert made.molecules.spin.tolist() == [1, 1]


def _next_action(placed):
    """Return the action that places the next atom of the methyl group."""
    numbers, positions = METHYL
    element = (1, 6, 7, 8).index(numbers[placed])
    focus = 0 if placed == 0 else 4
    origin = TETRAHEDRON[0] if placed == 0 else positions[0]
    return np.array([focus, element, *(positions[placed] - origin)], np.float32)


def test_environment_refuses_charged_fixed_atoms_of_a_model_that_ignores_charge():
    message = "lowest spin only: the fixed atoms have charge 1; use gfn2, spgfn2 or pm6"
    with pytest.raises(InputError, match=message):
        MolDesignEnv(task={"kind": "scaffold", "scaffold": "*C[NH3+]", "bag": "CH3"}, energy="mace")


def test_environment_refuses_triplet_fixed_atoms_of_a_model_that_ignores_charge():
    with pytest.raises(InputError, match="the fixed atoms have multiplicity 3; use gfn2"):
        MolDesignEnv(task=Oxygen(), energy="mace")


def test_environment_takes_charged_fixed_atoms_where_the_charge_is_ignored():
    energy = {"name": "mace-small", "ignore_charge": True}
    env, model = MolDesignEnv(task=Ammonium(), energy=energy), load_energy(energy)
    _, info = env.reset()
    atoms = MoleculeBatch.from_arrays([([7, 1, 1, 1], TETRAHEDRON[:4])])
    assert info["energy"] == pytest.approx(model.evaluate(atoms).energy.item(), abs=1e-4)

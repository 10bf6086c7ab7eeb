"""Counts of evaluations belong to each user's wrapper, not to the shared energy model."""

from collections import Counter

import gymnasium as gym
import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy import CountedEnergy, load_energy
from molrl.energy.interface import NO_ENERGY
from molrl.molecules import MoleculeBatch

FIRST, BOND = np.array([0, 1, 0, 0, 0], np.float32), np.array([0, 3, 1.2, 0, 0], np.float32)


def test_counted_energy_separates_two_environments_on_one_model():
    one, other = (gym.make("MolDesign-v0", bag="CO", energy="mace-small") for _ in range(2))
    assert one.unwrapped.energy_model.model is other.unwrapped.energy_model.model
    for env, bonds in ((one, 3), (other, 1)):
        for _ in range(bonds):
            env.reset()
            env.step(FIRST)
            env.step(BOND)
    assert one.unwrapped.energy_model.evaluations == 3
    assert other.unwrapped.energy_model.evaluations == 1


def test_counted_energy_counts_the_faults_of_its_own_evaluations(morse):
    model = morse(max_atoms=3)
    one, other = CountedEnergy(model), CountedEnergy(model)
    assert one.evaluate([molecule("CH4"), molecule("H2O")]).faults == {NO_ENERGY: 1}
    one.evaluate(molecule("CH4"))
    other.evaluate(molecule("H2O"))
    assert (one.faults, other.faults) == (Counter({NO_ENERGY: 2}), Counter())
    assert (one.calls, one.evaluations, other.calls) == (2, 3, 1)


def test_counted_energy_otherwise_behaves_as_its_model():
    model = load_energy("mace-small")
    counted = CountedEnergy(model)
    batch = MoleculeBatch.from_ase([molecule("CH3OH"), molecule("C6H6")])
    asked = {"forces": True, "uncertainty": True, "descriptors": True}
    found, wanted = counted.evaluate(batch, **asked), model.evaluate(batch, **asked)
    for name in ("energy", "forces", "uncertainty", "descriptors"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))
    assert (counted.name, counted.hash, counted.elements) == (
        model.name,
        model.hash,
        model.elements,
    )
    assert counted.atom_energies() == pytest.approx(model.atom_energies())
    torch.testing.assert_close(counted.isolated_energy(batch), model.isolated_energy(batch))


def test_counted_energy_counts_faults_of_atom_energies_for_each_user(morse):
    class Faulty(morse):
        def _evaluate(self, molecules, wanted):
            output = super()._evaluate(molecules, wanted)
            output.faults["recovered"] += 1
            return output

    model = Faulty()
    one, other = CountedEnergy(model), CountedEnergy(CountedEnergy(model))
    for counted in (one, other):
        counted.atom_energies()
        counted.isolated_energy(MoleculeBatch.from_ase(molecule("CH4")))
        assert counted.faults == {"recovered": 1}
        assert counted.evaluations == 0

"""Energy differences: 0 for first atoms, and independent of the order of placement."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator

import molrl
from molrl.energy import CountedEnergy
from molrl.energy.ase_calculator import ASEEnergy
from molrl.energy.output import Wanted
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.rewards import EnergyDifference, Placements

METHANOL = (
    np.array([6, 8, 1, 1, 1, 1]),
    np.array(
        [
            [-0.0503, 0.6685, 0.0],
            [-0.0503, -0.7585, 0.0],
            [-1.0807, 1.0417, 0.0],
            [0.4650, 1.0417, 0.8924],
            [0.4650, 1.0417, -0.8924],
            [0.8544, -1.0417, 0.0],
        ]
    ),
)

FIRST = (np.array([8]), np.zeros((1, 3)))
SECOND = (np.array([6, 8]), np.array([[0, 0, 0], [1.13, 0, 0]]))
THIRD = (np.array([8, 6, 8]), np.array([[-1.2, 0, 0], [0, 0, 0], [1.2, 0, 0]]))


@pytest.fixture(scope="module")
def gfn2():
    return molrl.load_energy("gfn2")


@pytest.fixture(scope="module")
def atomisation(gfn2):
    atoms = gfn2.atom_energies()
    whole = gfn2.evaluate(MoleculeBatch.from_arrays([METHANOL])).energy.item()
    return sum(atoms[z] for z in METHANOL[0]) - whole


def built(env, order):
    """Build methanol in the given order and return the rewards."""
    numbers, positions = METHANOL
    env.reset(seed=0)
    rewards = []
    for i in order:
        displacement = positions[i] - positions[order[0]]
        element = env.unwrapped.elements.index(numbers[i])
        action = np.array([0, element, *displacement], np.float32)
        *_, info = step = env.step(action)
        assert info["reason"] in ("", "complete")
        rewards.append(step[1])
    assert info["reason"] == "complete"
    return rewards


def test_return_is_the_atomisation_energy_in_any_order(gfn2, atomisation):
    env = gym.make("MolDesign-v0", bag="CH4O", energy=gfn2)
    orders = [[0, 1, *rest] for rest in itertools.permutations([2, 3, 4, 5])][::6]
    orders += [[2, 0, 1, 3, 4, 5], [5, 1, 0, 4, 3, 2], [1, 5, 0, 2, 3, 4]]
    for order in orders:
        rewards = built(env, order)
        assert rewards[0] == 0.0
        assert sum(rewards) == pytest.approx(atomisation, abs=1e-4)


def test_energy_is_that_of_the_observed_positions(gfn2):
    env = gym.make("MolDesign-v0", bag="CO", energy=gfn2)
    env.reset()
    env.step(np.array([0, 1, 0, 0, 0], np.float32))
    obs, _, _, _, info = env.step(np.array([0, 3, 0.7, 0.6, 0.5], np.float32))
    seen = MoleculeBatch.from_arrays([(obs["numbers"][:2], obs["positions"][:2])])
    assert gfn2.evaluate(seen).energy.item() == pytest.approx(info["energy"], abs=1e-5)


def test_compute_reward_evaluates_no_first_atoms(gfn2):
    atoms, counted = gfn2.atom_energies(), CountedEnergy(gfn2)
    term = EnergyDifference(counted, [6, 8])
    output = term.compute_reward(
        Placements(
            MoleculeBatch.from_arrays([FIRST, SECOND, FIRST]),
            np.array([8, 8, 8]),
            np.array([0.0, atoms[6], 0.0]),
        )
    )
    assert (counted.calls, counted.evaluations) == (1, 1)
    assert output.reward[[0, 2]].tolist() == [0.0, 0.0]
    assert output.energy[0] == atoms[8]
    co = gfn2.evaluate(MoleculeBatch.from_arrays([SECOND])).energy.item()
    assert output.reward[1] == pytest.approx(atoms[6] + atoms[8] - co)
    assert 10 < output.reward[1] < 16  # 11.1 eV in experiment


def test_compute_reward_gives_what_is_wanted_by_placement(gfn2):
    counted = CountedEnergy(gfn2)
    molecules = MoleculeBatch.from_arrays([THIRD, FIRST, SECOND])
    difference = EnergyDifference(counted, [6, 8], Wanted(forces=True, properties=("dipole",)))
    assert (counted.calls, counted.evaluations) == (0, 0)  # checked without a counted evaluation
    output = difference.compute_reward(Placements(molecules, np.array([8, 8, 8]), np.zeros(3)))
    assert (counted.calls, counted.evaluations) == (1, 3)
    assert sorted(output.properties) == ["dipole", "forces"]
    assert [forces.shape for forces in output.properties["forces"]] == [(3, 3), (1, 3), (2, 3)]
    for i, one in enumerate([THIRD, FIRST, SECOND]):
        alone = gfn2.evaluate(MoleculeBatch.from_arrays([one]), forces=True, properties=["dipole"])
        found = {name: arrays[i] for name, arrays in output.properties.items()}
        np.testing.assert_allclose(found["forces"], alone.forces, atol=1e-5)
        np.testing.assert_allclose(found["dipole"], alone.properties["dipole"][0], atol=1e-5)


def test_compute_reward_evaluates_no_first_atoms_for_the_uncertainty_alone():
    model = CountedEnergy(molrl.load_energy("mace-small"))
    difference = EnergyDifference(model, [6, 8], Wanted(uncertainty=True))
    first = MoleculeBatch.from_arrays([FIRST])
    output = difference.compute_reward(Placements(first, np.array([8]), np.zeros(1)))
    assert model.calls == 0
    isolated = model.model.evaluate(first, uncertainty=True).uncertainty.item()
    assert output.properties == {"uncertainty": [isolated]}
    both = MoleculeBatch.from_arrays([FIRST, SECOND])
    output = difference.compute_reward(Placements(both, np.array([8, 8]), np.zeros(2)))
    assert (model.calls, model.evaluations) == (1, 1)
    expected = model.model.evaluate(both, uncertainty=True).uncertainty
    np.testing.assert_allclose(output.properties["uncertainty"], expected, atol=1e-4)
    assert output.properties["uncertainty"][1] != pytest.approx(isolated, abs=0.01)


def test_compute_reward_gives_failures_by_placement(gfn2):
    class Fragile(type(gfn2)):
        def _evaluate(self, molecules, wanted):
            output = gfn2._evaluate(molecules, wanted)
            output.energy[molecules.n_atoms == 3] = torch.nan
            return output

    molecules = [
        (np.array([6]), np.zeros((1, 3))),
        SECOND,
        THIRD,
    ]
    output = EnergyDifference(Fragile(), [6, 8]).compute_reward(
        Placements(MoleculeBatch.from_arrays(molecules), np.array([6, 8, 8]), np.zeros(3))
    )
    assert list(output.failures) == [2]
    assert np.isfinite(output.reward).tolist() == [True, True, False]


def test_energy_difference_names_why_an_atom_has_no_energy():
    class Unlicensed(Calculator):
        implemented_properties = ("energy",)

        def calculate(self, *args, **options):
            raise RuntimeError("no licence file")

    cause = "'Unlicensed' has no energy of a single O atom: Unlicensed: RuntimeError: no licence"
    with pytest.raises(InputError, match=cause):
        EnergyDifference(ASEEnergy(Unlicensed()), [8])


def test_energy_difference_refuses_unknown_elements(gfn2):
    with pytest.raises(InputError, match="does not know U; known are: H He"):
        EnergyDifference(gfn2, [1, 92])

"""Reward terms: values, sums, and independence of the order of placement."""

import itertools
import json

import gymnasium as gym
import numpy as np
import pytest
import torch

import molrl
from molrl.chemistry.fragments import load_fragment
from molrl.chemistry.geometry import rmsd
from molrl.energy import CountedEnergy, EnergyModel, EnergyOutput
from molrl.energy.gfn2 import GFN2Energy
from molrl.energy.relaxation import relax
from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.rewards import REWARD_TERMS, build_reward

METHANOL = load_fragment("CO")  # C, O, three H of C, H of O


@pytest.fixture(scope="module")
def gfn2():
    return molrl.load_energy("gfn2")


def carbon_to_oxygen(molecules):
    """Å between the first carbon and the first oxygen of each molecule."""
    return [
        np.linalg.norm(x[np.argmax(z == 6)] - x[np.argmax(z == 8)]) for z, x in molecules.arrays()
    ]


def dipole_alone(properties):
    """Take one argument where two are given."""


dipole_alone.wants = ("dipole",)


def built(rebuild, energy, reward, order=range(6), **config):
    """Build methanol in an order and return the rewards and infos."""
    env = MolDesignEnv(bag="CH4O", energy=energy, reward=reward, **config)
    infos, step = [], env.step
    env.step = lambda action: infos.append(step(action)) or infos[-1]
    order = list(order)
    rewards, reason = rebuild(env, METHANOL.numbers[order], METHANOL.positions[order])
    assert reason == "complete"
    return rewards, [info for *_, info in infos]


@pytest.fixture(scope="module")
def whole(gfn2):
    molecules = MoleculeBatch.from_arrays([(METHANOL.numbers, METHANOL.positions)])
    atoms = sum(gfn2.atom_energies()[z] for z in METHANOL.numbers)
    return molecules, gfn2.evaluate(molecules).energy.item(), atoms


def test_terms_at_the_end_have_the_documented_values(rebuild, gfn2, whole):
    molecules, energy, atoms = whole
    relaxed = relax(molecules, gfn2)
    expected = {
        "atomisation": (atoms - energy) / 6,
        "relative_energy": -700.0 - energy,
        "relaxed_energy": atoms - relaxed.energy.item(),
        "relaxation_move": -rmsd(molecules, relaxed.molecules).item(),
        "valid": 1.0,
    }
    options = {"relative_energy": {"weight": 1.0, "references": {"CH4O": -700.0}}}
    reward = {name: options.get(name, 1.0) for name in expected}
    rewards, infos = built(rebuild, gfn2, reward)
    assert rewards[:-1] == [0.0] * 5
    for name, value in expected.items():
        assert infos[-1][f"reward_{name}"] == pytest.approx(value, abs=2e-2), name
        assert all(info[f"reward_{name}"] == 0.0 for info in infos[:-1])
    assert rewards[-1] == pytest.approx(sum(infos[-1][f"reward_{n}"] for n in reward))


def test_reward_is_the_weighted_sum_of_its_terms(rebuild, gfn2, whole):
    _, energy, atoms = whole
    rewards, infos = built(rebuild, gfn2, {"energy": 0.5, "valid": {"weight": 3.0}})
    assert sum(rewards) == pytest.approx(0.5 * (atoms - energy) + 3.0, abs=1e-3)
    for reward, info in zip(rewards, infos, strict=True):
        assert reward == pytest.approx(info["reward_energy"] + info["reward_valid"])


ORDERS = [*itertools.islice(itertools.permutations(range(6)), 0, None, 90), (5, 1, 0, 4, 3, 2)]


def test_return_does_not_depend_on_the_order_of_placement(rebuild, gfn2):
    reward = {
        "energy": 1.0,
        "atomisation": 2.0,
        "valid": 3.0,
        "relaxed_energy": 0.1,
        "relaxation_move": 1.0,
        "length": carbon_to_oxygen,
    }
    loose = {"monovalent_distance": None, "max_displacement": 4.0}
    returns = [
        sum(built(rebuild, gfn2, reward, order, rules=loose)[0])
        for order in ORDERS
        if order[0] not in (3, 4)
    ]
    assert len(returns) > 5
    assert np.ptp(returns) < 5e-3


def test_distance_terms_do_not_depend_on_the_order_of_placement(rebuild, morse):
    reward = {"energy": 1.0, "distance": 0.3, "within": {"weight": 0.5, "radius": 1.0}}
    task = {"kind": "scaffold", "scaffold": "*C", "bag": "CO2"}
    env = MolDesignEnv(task=task, energy=morse(), reward=reward)
    atoms = [(6, [1.6, 0.2, 0.1]), (8, [2.7, 1.0, 0.0]), (8, [1.9, -1.2, 0.4])]
    returns = []
    for order in itertools.permutations(atoms):
        rewards, reason = rebuild(env, *zip(*order, strict=True))
        assert reason == "complete"
        returns.append(sum(rewards))
    assert np.ptp(returns) < 1e-6


def test_custom_term_is_the_value_of_the_function(rebuild, gfn2):
    reward = {"length": {"call": carbon_to_oxygen, "weight": -2.0}}
    rewards, infos = built(rebuild, gfn2, reward)
    distance = np.linalg.norm(METHANOL.positions[0] - METHANOL.positions[1])
    assert sum(rewards) == infos[-1]["reward_length"] == pytest.approx(-2.0 * distance, abs=1e-5)


def test_custom_term_named_by_a_string_survives_json(gfn2):
    reward = {"size": {"call": "molrl.molecules:MoleculeBatch.__len__", "weight": 1.0}}
    with pytest.raises(InputError, match=r"'size'.*cannot be imported"):
        build_reward(reward, gfn2)
    reward = {"size": {"call": "molrl.chemistry.bonds:validity", "weight": 1.0}}
    env = gym.make("MolDesign-v0", energy="gfn2", reward=reward)
    assert json.loads(env.spec.to_json())["kwargs"]["reward"] == reward


def test_custom_term_that_is_nan_fails_the_episode(rebuild, gfn2):
    env = MolDesignEnv(bag="CH4O", energy=gfn2, reward={"mine": lambda m: [np.nan] * len(m)})
    rewards, reason = rebuild(env, METHANOL.numbers, METHANOL.positions)
    assert reason == "reward failed: mine is not a finite number for CH4O"
    assert rewards[-1] == env.config.rules.min_reward
    assert env.endings == {"reward failed": 1}


def test_energy_difference_rejects_atoms_under_any_reward(morse):
    loose = {"clash_fraction": 0, "clash_distance": 0.1}
    env = MolDesignEnv(bag="CO", energy=morse(), reward={"valid": 1.0}, rules=loose)
    env.reset()
    env.step(np.array([0, 1, 0, 0, 0], np.float32))
    *_, info = env.step(np.array([0, 3, 0.2, 0, 0], np.float32))
    assert info["reason"] == "energy rise too large"


def test_relaxation_terms_share_one_relaxation(rebuild):
    model = CountedEnergy(GFN2Energy(n_workers=1))
    both = {"relaxed_energy": 1.0, "relaxation_move": 1.0}
    calls = []
    for reward in ({"relaxed_energy": 1.0}, both):
        before = model.calls
        built(rebuild, model, reward)
        calls.append(model.calls - before)
    model.close()
    assert calls[0] > 7
    assert calls[1] < 1.5 * calls[0]  # two relaxations would be almost twice as many


REFERENCES = {"relative_energy": {"references": {"CH4": -40.0, "C2H6O": -80.0}}}


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        ({"bag": "CH4O"}, "CH4O"),
        ({"task": {"kind": "bags", "bags": ["CH4", "CH2O"], "held_out": []}}, "CH2O"),
        ({"task": {"kind": "scaffold", "scaffold": "*C", "bag": "HO"}}, "CH4O"),
        ({"task": {"kind": "cluster", "solute": "C", "n_solvent": 2}}, "CH8O2"),
    ],
    ids=["bag", "bags", "scaffold", "cluster"],
)
def test_relative_energy_refuses_tasks_with_a_bag_without_reference(morse, task, missing):
    with pytest.raises(InputError, match=f"'relative_energy': no reference energy for {missing}"):
        MolDesignEnv(energy=morse(), reward=REFERENCES, **task)


def test_relative_energy_refuses_reset_options_without_reference(morse):
    env = MolDesignEnv(
        task={"kind": "bags"}, bags=["CH4"], held_out=["CH2O"], energy=morse(), reward=REFERENCES
    )
    for options in ({"held_out": True}, {"bag": "CH4O"}):
        with pytest.raises(InputError, match="no reference energy for CH"):
            env.reset(options=options)
    env.reset(options={"bag": "C2H6O"})


def test_relative_energy_without_reference_fails_that_episode_only(morse):
    reward = {"relative_energy": {"references": {"CO2": -40.0}}}
    task = {"kind": "stochastic", "reference": "CO2", "min_size": 3, "max_size": 3}
    envs = MolDesignVectorEnv(16, "Disabled", task=task, energy=morse(), reward=reward)
    bags = envs.reset(seed=0)[0]["bag"]
    for x in (0.0, 1.3, -1.3):
        actions = [[0, np.argmax(bag > 0), x, 0, 0] for bag in envs.state.bag]
        *_, info = envs.step(np.array(actions, np.float32))
    is_co2 = bags[:, envs.elements.index(8)] == 2
    assert 0 < is_co2.sum() < 16
    assert set(info["reason"][is_co2]) == {"complete"}
    failed = "reward failed: relative_energy is not a finite number for "
    assert all(reason.startswith(failed) for reason in info["reason"][~is_co2])


class Unsure(EnergyModel):
    """Energy of 0 with an uncertainty."""

    name = "unsure"
    elements = (1, 6, 7, 8)
    hash = "unsure"
    offers_uncertainty = True

    def __init__(self, sure=0):
        self.sure = sure

    def _evaluate(self, molecules, wanted):
        energy = torch.zeros(len(molecules), dtype=torch.float64)
        uncertainty = (molecules.n_atoms - self.sure).double() / 100
        return EnergyOutput(energy, uncertainty=uncertainty if wanted.uncertainty else None)


def test_uncertainty_penalty_is_given_once_at_the_end(rebuild):
    model = CountedEnergy(Unsure())
    unlimited = {"max_uncertainty": None}
    rewards, _ = built(rebuild, model, {"energy": 1.0, "uncertainty": 10.0}, rules=unlimited)
    assert rewards == pytest.approx([0.0] * 5 + [-0.6])
    assert model.calls == 5  # six atoms, of which the first is not evaluated
    rewards, _ = built(rebuild, Unsure(sure=8), {"energy": 1.0, "uncertainty": 10.0})
    assert rewards == [0.0] * 6  # there is no reward for certainty


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({"enrgy": 1.0}, "did you mean 'energy'"),
        ({}, "a reward must be a mapping"),
        ("energy", "a reward must be a mapping"),
        ({1: 1.0}, "the name of a reward term must be a string"),
        ({"energy": "much"}, "weight must be a number"),
        ({"energy": True}, "weight must be a number"),
        ({"energy": float("nan")}, "weight must be a number"),
        ({"energy": {"wieght": 1.0}}, "'energy': unknown option 'wieght'; did you mean 'weight'"),
        ({"mine": {"call": len, "scale": 2}}, "'mine': unknown option 'scale'"),
        ({"within": {"radius": -1.0}}, "radius above 0"),
        ({"relative_energy": {"references": {"CH4": float("nan")}}}, "CH4 is nan"),
        ({"within": {"radius": "big"}}, "radius must be a valid number"),
        ({"within": {"center": [0, 0]}}, "three coordinates"),
        ({"relative_energy": 1.0}, "references must be given, as in {relative_energy"),
        ({"relative_energy": {"references": {}}}, "references must be a mapping"),
        ({"relative_energy": {"references": {"CH4": None}}}, "references must be a valid number"),
        ({"similarity": {"sharpness": float("nan")}}, "sharpness must be above 0, not nan"),
        ({"similarity": {"sharpness": "sharp"}}, "sharpness must be a valid number"),
        ({"similarity": {"reference": 5}}, "reference must be a valid string, not 5"),
        ({"relative_energy": {"references": {"Xx": 1.0}}}, "unknown element"),
        ({"uncertainty": 1.0}, "'gfn2' offers no uncertainty"),
        ({"distance": 1.0}, "requires a task with fixed atoms"),
        ({"coverage": 1.0}, "requires a task with a shape"),
        ({"mine": {"call": "nowhere:f"}}, "cannot be imported"),
        ({"mine": {"call": 3}}, "must be a function"),
        ({"mine": {"call": len, "wieght": 1.0}}, "did you mean 'weight'"),
        ({"valid": len}, "already exists"),
        ({"mine": {"weight": 2.0, "function": len}}, "give its function as 'call'"),
        ({"mine": lambda: [1.0]}, "'mine': a reward function is called with molecules, which"),
        ({"mine": dipole_alone}, "is called with molecules and properties, which 'dipole_alone'"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(list(value)),
)
def test_build_reward_refuses_bad_rewards_in_one_line(reward, message, gfn2):
    with pytest.raises(InputError, match=message) as error:
        MolDesignEnv(energy=gfn2, reward=reward)
    assert "\n" not in str(error.value)


def test_registry_names_reward_terms():
    for name in REWARD_TERMS:
        term = REWARD_TERMS.load(name)
        assert term.at_end in (True, False)
        assert getattr(term, "requires", "") in ("", "fixed", "shape")

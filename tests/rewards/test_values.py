"""Values of reward terms: checked, failed where a term raises, and safe from one another."""

import numpy as np
import pytest
import torch

import molrl
from molrl.chemistry.fragments import load_fragment
from molrl.energy import CountedEnergy
from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.rewards import REWARD_TERMS, build_reward

METHANOL = load_fragment("CO")  # C, O, three H of C, H of O


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """Forget the terms that a test registers."""
    monkeypatch.setattr(REWARD_TERMS, "_entries", dict(REWARD_TERMS._entries))


def built(rebuild, energy, reward):
    """Build methanol; return the rewards, and the energies of the canvases."""
    env = MolDesignEnv(bag="CH4O", energy=energy, reward=reward)
    energies, step = [], env.step

    def observed(action):
        outcome = step(action)
        energies.append(outcome[-1]["energy"])
        return outcome

    env.step = observed
    rewards, reason = rebuild(env, METHANOL.numbers, METHANOL.positions)
    assert reason == "complete"
    return rewards, energies


class Returning:
    """A term at the end that returns what it was made with."""

    at_end = True

    def __init__(self, values):
        self.values = values

    def __call__(self, placed):
        return self.values


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], 1.0, np.ones((1, 1)), ["1.5"], [1j], [None], [[1.0], [1.0, 2.0]], "a"]
)
def test_terms_are_refused_unless_they_return_one_real_number_a_molecule(values, rebuild, morse):
    with pytest.raises(InputError, match="reward term 'mine': it must return 1 real numbers"):
        built(rebuild, morse(), {"mine": lambda molecules: values})
    molrl.register("reward", "returning", lambda model: Returning(values))
    with pytest.raises(InputError, match="reward term 'returning': it must return 1 real numbers"):
        built(rebuild, morse(), {"returning": 1.0})


def test_terms_may_return_tensors_that_require_gradients(rebuild, morse):
    reward = {"mine": lambda molecules: torch.ones(len(molecules), requires_grad=True)}
    rewards, _ = built(rebuild, morse(), reward)
    assert sum(rewards) == 1.0


def test_term_that_raises_fails_the_canvases_for_which_it_raises(morse):
    def no_oxygen(molecules):
        if any(8 in bag for bag in molecules.bags()):
            raise ValueError("no oxygen\nplease")
        return [1.0] * len(molecules)

    options = {"elements": ["H", "C", "O"], "reward": {"mine": no_oxygen}}
    envs = MolDesignVectorEnv(3, "SameStep", bag="C2", energy=morse(), **options)
    envs.reset(options={"bag": ["C2", "CO", "C2"]})
    envs.step(np.array([[0, 1, 0, 0, 0]] * 3, np.float32))
    actions = [[0, 1, 1.3, 0, 0], [0, 2, 1.2, 0, 0], [0, 1, 1.3, 0, 0]]
    _, rewards, _, _, infos = envs.step(np.array(actions, np.float32))
    assert rewards.tolist() == [1.0, envs.config.rules.min_reward, 1.0]
    failed = "reward failed: mine: ValueError: no oxygen please"
    assert infos["final_info"]["reason"].tolist() == ["complete", failed, "complete"]


class Greedy:
    """A term that writes to what it is given, if it can."""

    at_end = False

    def __init__(self, model):
        pass

    def __call__(self, placed):
        placed.molecules.positions.zero_()
        for array in (placed.binding, placed.energy, placed.n_fixed, placed.shape):
            assert not array.flags.writeable
        return np.zeros(len(placed))


def test_terms_cannot_change_what_other_terms_and_the_environment_see(rebuild, morse):
    molrl.register("reward", "greedy", Greedy)
    plain = built(rebuild, morse(), {"energy": 1.0, "valid": 5.0})
    assert built(rebuild, morse(), {"greedy": 1.0, "energy": 1.0, "valid": 5.0}) == plain


@pytest.mark.parametrize("at_end", ["no", None, 1])
def test_build_reward_refuses_terms_that_do_not_say_when_they_are_computed(at_end, morse):
    made = type("Undecided", (Greedy,), {"at_end": at_end})
    molrl.register("reward", "undecided", made)
    with pytest.raises(InputError, match="'undecided': at_end must be True or False, not"):
        build_reward({"undecided": 1.0}, morse())


class Relaxing(Greedy):
    """A term of the relaxed molecules."""

    at_end = True

    def __call__(self, placed):
        return placed.relaxed.energy.numpy()


def test_terms_of_users_share_one_relaxation(rebuild):
    for name in ("first", "second"):
        molrl.register("reward", name, type(name, (Relaxing,), {}))
    model = CountedEnergy(molrl.load_energy("gfn2"))
    calls = []
    for reward in ({"first": 1.0}, {"first": 1.0, "second": 1.0}):
        before = model.evaluations
        built(rebuild, model, reward)
        calls.append(model.evaluations - before)
    assert calls[0] == calls[1] > 6


def test_terms_that_raise_are_told_of_once(morse, capsys):
    env = MolDesignEnv(bag="CO", energy=morse(), reward={"mine": lambda m: [1 / 0]})
    for _ in range(2):
        env.reset()
        env.step(np.array([0, 1, 0, 0, 0], np.float32))
        *_, info = env.step(np.array([0, 3, 1.2, 0, 0], np.float32))
        assert info["reason"] == "reward failed: mine: ZeroDivisionError: division by zero"
    assert capsys.readouterr().err.count("mine: ZeroDivisionError") == 1


class AnyOptions:
    """A term that takes any options."""

    at_end = True

    def __init__(self, model, **options):
        self.options = options


def test_build_reward_passes_any_options_to_a_term_that_takes_them(morse):
    molrl.register("reward", "any", AnyOptions)
    reward = build_reward({"any": {"depth": 2, "weight": np.float32(0.5)}}, morse())
    weight, term = reward.terms["any"]
    assert (weight, term.options) == (0.5, {"depth": 2})

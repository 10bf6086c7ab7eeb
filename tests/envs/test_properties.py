"""Properties of every task under any actions: 8 tasks, 50 examples, 6 episodes each."""

import pickle

import hypothesis
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molrl.bags import Bag
from molrl.envs.design import MolDesignEnv

EXAMPLES, EPISODES = 50, 6  # of each of 8 tasks: 2,400 episodes

# The fixture is a name and options, which do not change between examples.
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# A bag that is refilled determines the order of placement.
WITHOUT_REFILLS = ["bag", "bags", "stochastic", "scaffold", "linker", "shape", "complex"]
seeds = st.integers(0, 2**31 - 1)


def all_atoms(env, obs):
    """Atoms of each element on the canvas, in the bag, and in the refills to come."""
    placed = np.array([np.count_nonzero(obs["numbers"] == z) for z in env.elements])
    return placed + obs["bag"]


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in a)


def act(rng, obs, actors):
    return actors[int(rng.integers(len(actors)))](rng, obs)


@many
@given(seed=seeds, rules=st.sampled_from(["default", "molgym"]))
def test_step_keeps_its_invariants_in_every_task(seed, rules, task, morse, build, scramble):
    env, rng = MolDesignEnv(energy=morse(), rules=rules, **task), np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    for _ in range(EPISODES):
        total, refills, ended, bag = all_atoms(env, obs), obs.get("refills"), False, obs["bag"]
        while not ended:
            before = obs
            obs, reward, ended, truncated, info = env.step(act(rng, obs, [build, build, scramble]))
            assert env.observation_space.contains(obs)
            assert np.isfinite([reward, info["energy"], *obs["positions"].flat]).all()
            assert ended == bool(info["reason"])
            assert not truncated
            assert info["n_atoms"] == np.count_nonzero(obs["numbers"])
            refused = info["n_atoms"] == np.count_nonzero(before["numbers"])
            assert same(obs, before) == refused
            assert ended or not refused
            if refills is not None:
                total = total + bag * int(before["refills"][0] - obs["refills"][0])
            assert all_atoms(env, obs).tolist() == total.tolist()
            terms = sum(value for key, value in info.items() if key.startswith("reward_"))
            accepted = info["reason"] in ("", "complete")
            assert accepted or not terms
            expected = terms if accepted else env.config.rules.min_reward
            np.testing.assert_allclose(reward, expected, rtol=1e-9, atol=1e-9)
        if info["reason"] == "complete":
            assert not obs["bag"].any()
        obs, info = env.reset()
        assert not any(info[key] for key in info if key.startswith("reward_"))


@settings(many, max_examples=10)
@given(seed=seeds)
def test_seed_determines_all_that_follows(seed, task, morse, build, scramble):
    one, other = (MolDesignEnv(energy=morse(), **task) for _ in range(2))
    one.reset(seed=seed ^ 1)
    rng = np.random.default_rng(seed)
    obs, _ = first = one.reset(seed=seed)
    assert data_equivalence(first, other.reset(seed=seed), exact=True)
    for _ in range(25):
        action = act(rng, obs, [build, scramble])
        step = one.step(action)
        assert data_equivalence(step, other.step(action), exact=True)
        obs = step[0]
        if step[2]:
            again = one.reset()
            assert data_equivalence(again, other.reset(), exact=True)
            obs = again[0]


@settings(many, max_examples=10)
@given(seed=seeds, steps=st.integers(0, 4))
def test_pickled_env_continues_as_the_original_in_every_task(seed, steps, task, morse, build):
    env, rng = MolDesignEnv(energy=morse(), **task), np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    for _ in range(steps):
        obs, _, ended, _, _ = env.step(build(rng, obs))
        if ended:
            obs, _ = env.reset()
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(12):
        action = build(rng, obs)
        step = env.step(action)
        assert data_equivalence(step, twin.step(action), exact=True)
        obs = step[0]
        if step[2]:
            again = env.reset()
            assert data_equivalence(again, twin.reset(), exact=True)
            obs = again[0]


@settings(many, max_examples=20)
@given(seed=seeds)
@pytest.mark.parametrize("task", WITHOUT_REFILLS, indirect=True)
def test_return_does_not_depend_on_the_order_of_placement(seed, task, morse, build, rebuild):
    loose = {"monovalent_distance": None, "clash_fraction": 0.2, "max_displacement": 20.0}
    config = {"energy": morse(depth=1.0), "rules": loose} | task
    env, rng = MolDesignEnv(**config), np.random.default_rng(seed)
    obs, _ = env.reset(seed=0)
    fixed, ended, total = int((obs["numbers"] > 0).sum()), False, 0.0
    bag = Bag(dict(zip(env.elements, obs["bag"].tolist(), strict=True)))
    while not ended:
        obs, reward, ended, _, info = env.step(build(rng, obs))
        total += reward
    hypothesis.target(float(info["reason"] == "complete"))
    hypothesis.assume(info["reason"] == "complete")
    numbers, positions = obs["numbers"], obs["positions"].astype(float)
    n = info["n_atoms"]
    # On an empty canvas the first atom is at the origin, so it must stay the first.
    first = [] if fixed else [0]
    order = [*first, *rng.permutation(np.arange(fixed + len(first), n))]
    rewards, reason = rebuild(env, numbers[order], positions[order], {"bag": bag})
    assert reason == "complete"
    np.testing.assert_allclose(sum(rewards), total, atol=1e-4)

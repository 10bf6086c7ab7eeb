"""Requirements of Gymnasium and SB3 for every id that molrl registers."""

import json
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

import molrl

SPECS = [spec for name, spec in gym.registry.items() if name.startswith("MolDesign")]
each_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)

# Advice that is not followed: an action is two indices and a displacement in Å, and policies
# read positions as (N, 3).
BOX_ADVICE = "symmetric and normalized"
SHAPE_ADVICE = "unconventional shape"


def make(spec, **kwargs):
    return gym.make(spec, **kwargs)


def test_register_envs_registers_the_ids():
    assert "MolDesign-v0" in [spec.id for spec in SPECS]
    gym.register_envs(molrl)


@each_spec
def test_check_env_warns_only_about_the_action_box(spec):
    env = make(spec, disable_env_checker=True).unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    assert [w for w in caught if BOX_ADVICE not in str(w.message)] == []


@each_spec
def test_sb3_check_env_warns_only_as_expected(spec):
    from stable_baselines3.common.env_checker import check_env as sb3_check_env

    env = make(spec)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sb3_check_env(env, warn=True)
    texts = [str(warning.message) for warning in caught]
    assert [t for t in texts if BOX_ADVICE not in t and SHAPE_ADVICE not in t] == []


@each_spec
def test_passive_checker_gives_no_warning(spec, build):
    env, rng = make(spec, disable_env_checker=False), np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=f".*{BOX_ADVICE}.*")
        obs, _ = env.reset(seed=0)
        ended = False
        while not ended:
            obs, _, ended, _, _ = env.step(build(rng, obs))


@each_spec
def test_reset_with_one_seed_makes_equal_environments(spec):
    one, other = make(spec), make(spec)
    assert data_equivalence(one.reset(seed=0), other.reset(seed=0), exact=True)
    one.action_space.seed(0)
    for _ in range(50):
        action = one.action_space.sample()
        step = one.step(action)
        assert data_equivalence(step, other.step(action), exact=True)
        assert one.observation_space.contains(step[0])
        if step[2] or step[3]:
            assert data_equivalence(one.reset(seed=0), other.reset(seed=0), exact=True)


@each_spec
def test_render_draws_in_every_mode(spec):
    modes = gym.make(spec).metadata["render_modes"]
    assert set(modes) == {"rgb_array", "ansi"}
    for mode in [*modes, "rgb_array_list", "ansi_list"]:
        env = make(spec, render_mode=mode)
        env.reset(seed=0)
        env.action_space.seed(0)
        frames = [env.render()]
        env.step(env.action_space.sample())
        frames.append(env.render())
        for frame in frames:
            for picture in frame if mode.endswith("_list") else [frame]:
                check_picture(picture, mode)


def check_picture(picture, mode):
    if mode.startswith("ansi"):
        assert isinstance(picture, str)
        assert "bag left" in picture
    else:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3


@each_spec
def test_pickled_env_continues_as_the_original(spec, build):
    env, rng = make(spec), np.random.default_rng(0)
    obs, _ = env.reset(seed=3)
    obs, *_ = env.step(build(rng, obs))
    twin = pickle.loads(pickle.dumps(env))
    ended = False
    while not ended:
        action = build(rng, obs)
        step = env.step(action)
        assert data_equivalence(step, twin.step(action), exact=True)
        obs, _, ended, _, _ = step
    assert data_equivalence(env.reset(), twin.reset(), exact=True)


@each_spec
def test_spec_survives_json(spec):
    env = make(spec, rules="molgym", canvas_size=30, reward={"energy": 1.0, "valid": 2.0})
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.config == env.unwrapped.config
    assert json.loads(env.spec.to_json())["kwargs"]["rules"] == "molgym"


@each_spec
def test_gymnasium_wrappers_accept_the_env(spec, build):
    env = gym.wrappers.RecordEpisodeStatistics(make(spec, max_episode_steps=2))
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    obs, *_ = env.step(build(rng, obs))
    *_, terminated, truncated, info = env.step(build(rng, obs))
    assert truncated
    assert not terminated
    assert info["episode"]["l"] == 2
    flat = gym.wrappers.FlattenObservation(make(spec))
    assert flat.observation_space.contains(flat.reset(seed=0)[0])

import csv
import warnings

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor, VecVideoRecorder

from molrl.agents.policy import CovariantPolicy
from molrl.agents.vec_env import SB3VecEnv, ScaledReward
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError

REWARD = {"energy": 1.0, "valid": 2.0}


def vec_env(num_envs=8, **config):
    config = {"bag": "CH4O", "energy": "gfn2"} | config
    return SB3VecEnv(MolDesignVectorEnv(num_envs=num_envs, autoreset_mode="SameStep", **config))


def random_actions(env, rng):
    low, high = env.action_space.low, env.action_space.high
    return rng.uniform(low, high, (env.num_envs, 5)).astype(np.float32)


def ppo(env):
    return PPO(CovariantPolicy, env, n_steps=8, batch_size=16, n_epochs=1, seed=0)


def test_adapter_infos_are_those_of_single_environments(morse):
    """They are equal in every step, also at the end of an episode, with reset_infos after it."""
    config = {"bag": "CH4", "energy": morse(), "reward": REWARD}
    env = vec_env(4, **config)
    singles = [gym.make("MolDesign-v0", **config) for _ in range(4)]
    env.seed(0)
    env.reset()
    assert env.reset_infos == [single.reset(seed=i)[1] for i, single in enumerate(singles)]
    model, rng, ends = ppo(vec_env(4, **config)), np.random.default_rng(0), 0
    observation = env.reset()
    for _ in range(30):
        actions = model.predict(observation)[0] if rng.random() < 0.9 else random_actions(env, rng)
        observation, _, dones, infos = env.step(actions)
        for i, single in enumerate(singles):
            last, _, terminated, truncated, expected = single.step(actions[i])
            got = dict(infos[i])
            assert dones[i] == (terminated or truncated)
            if dones[i]:
                final = got.pop("terminal_observation")
                assert all(np.array_equal(final[key], last[key]) for key in last)
                assert got.pop("TimeLimit.truncated") == truncated
                assert got.pop("episode")["reason"] == expected["reason"]
                _, reset_info = single.reset()
                assert env.reset_infos[i] == reset_info
                ends += 1
            assert got == pytest.approx(expected)
            assert {"energy", "n_atoms", "reason", "reward_energy", "reward_valid"} == set(got)
    assert ends > 3


def test_adapter_infos_hold_plain_numbers(morse):
    env = vec_env(2, energy=morse())
    env.reset()
    _, _, _, (info, _) = env.step(np.zeros((2, 5), np.float32))
    assert [type(info[key]) for key in ("energy", "n_atoms", "reason")] == [float, int, str]


def test_vec_monitor_writes_the_reasons(morse, tmp_path):
    env = VecMonitor(
        vec_env(4, energy=morse()), str(tmp_path / "log"), info_keywords=("reason", "n_atoms")
    )
    env.reset()
    rng, reasons = np.random.default_rng(0), []
    for _ in range(10):
        _, _, dones, infos = env.step(random_actions(env, rng))
        reasons += [infos[i]["reason"] for i in np.flatnonzero(dones)]
    env.close()
    lines = (tmp_path / "log.monitor.csv").read_text().splitlines()
    assert [row["reason"] for row in csv.DictReader(lines[1:])] == reasons
    assert reasons


def test_adapter_images_are_those_of_the_environment(morse):
    env = vec_env(4, energy=morse(), render_mode="rgb_array")
    env.reset()
    env.step(np.tile(np.array([0, 1, 0, 0, 0], np.float32), (4, 1)))
    images = env.get_images()
    assert all(np.array_equal(*pair) for pair in zip(images, env.env.render(), strict=True))
    height, width, _ = images[0].shape
    tiled = env.render()
    assert tiled.shape == (2 * height, 2 * width, 3)
    assert np.array_equal(tiled[:height, :width], images[0])


@pytest.mark.parametrize("mode", [None, "ansi"])
def test_adapter_refuses_images_without_their_render_mode(morse, mode):
    env = vec_env(2, energy=morse(), render_mode=mode)
    env.reset()
    for draw in (env.get_images, env.render):
        with pytest.raises(InputError, match="make the environment with render_mode='rgb_array'"):
            draw()


def test_vec_video_recorder_writes_a_video(morse, tmp_path):
    pytest.importorskip("moviepy")
    env = vec_env(2, energy=morse(), render_mode="rgb_array")
    film = VecVideoRecorder(env, str(tmp_path), lambda step: step == 0, video_length=4)
    film.reset()
    rng = np.random.default_rng(0)
    for _ in range(5):
        film.step(random_actions(env, rng))
    assert film.frames_per_sec == env.env.metadata["render_fps"]
    assert [path.suffix for path in tmp_path.iterdir() if path.stat().st_size > 1000] == [".mp4"]


@pytest.mark.parametrize("scale", [1.0, 27.2])
def test_evaluate_policy_returns_ev_without_a_monitor_warning(morse, scale):
    """They equal those of VecMonitor, which sums the rewards of the wrapped environment."""

    def evaluate(env):
        env.seed(0)
        model.set_random_seed(0)
        return evaluate_policy(model, env, 6, deterministic=False, return_episode_rewards=True)

    model = ppo(vec_env(4, energy=morse()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        returns, lengths = evaluate(ScaledReward(vec_env(4, energy=morse()), scale))
    expected, expected_lengths = evaluate(VecMonitor(vec_env(4, energy=morse())))
    assert returns == pytest.approx(expected, rel=1e-4)
    assert lengths == expected_lengths


def test_eval_callback_reports_ev_without_a_monitor_warning(morse):
    means = []
    for scale in (1.0, 27.2):
        env, other = (ScaledReward(vec_env(4, energy=morse()), scale) for _ in range(2))
        callback = EvalCallback(other, eval_freq=8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ppo(env).learn(32, callback)
        means.append(callback.last_mean_reward)
    assert means[0] == pytest.approx(means[1], rel=1e-4)
    assert np.isfinite(means[0])


@pytest.mark.parametrize("scale", [27.2, np.float64(27.2)])
def test_scaled_reward_keeps_infos_in_ev_and_rewards_in_float32(scale):
    plain, scaled = vec_env(4), ScaledReward(vec_env(4), scale)
    plain.reset(), scaled.reset()
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(12):
        actions = random_actions(plain, rng)
        _, r, d, i = plain.step(actions)
        _, rs, ds, js = scaled.step(actions)
        assert np.allclose(r, 27.2 * rs, atol=1e-5)
        assert rs.dtype == np.float32
        assert np.array_equal(d, ds)
        for one, other in zip(i, js, strict=True):
            assert one.get("episode") == other.get("episode")
            seen += "episode" in one
    assert seen


def test_adapter_sums_the_rewards_of_an_episode():
    env = vec_env(4)
    env.reset()
    rng = np.random.default_rng(1)
    total = np.zeros(4)
    for _ in range(20):
        _, rewards, dones, infos = env.step(random_actions(env, rng))
        total += rewards
        for i in np.flatnonzero(dones):
            assert infos[i]["episode"]["r"] == pytest.approx(total[i], abs=1e-4)
            assert infos[i]["terminal_observation"]["numbers"].shape == (25,)
            total[i] = 0


def test_adapter_requires_same_step():
    with pytest.raises(InputError, match="SameStep"):
        SB3VecEnv(MolDesignVectorEnv(num_envs=2, bag="CH4O", energy="gfn2"))


def test_adapter_passes_options_on_once(morse):
    env = vec_env(2, bag="CO", energy=morse())
    env.set_options({"bag": "CH4"})
    assert env.reset()["bag"].tolist() == [[4, 1, 0, 0]] * 2
    assert env.reset()["bag"].tolist() == [[0, 1, 0, 1]] * 2
    env.set_options([{"bag": "CH4"}, {"bag": "CO"}])
    assert env.reset()["bag"].tolist() == [[4, 1, 0, 0], [0, 1, 0, 1]]


@pytest.mark.parametrize("options", [{"gab": "CH4"}, [{"bag": "CH4"}, {}]])
def test_adapter_forgets_options_that_it_refuses(options, morse):
    env = vec_env(2, bag="CO", energy=morse())
    env.set_options(options)
    with pytest.raises(InputError, match="option"):
        env.reset()
    assert env.reset()["bag"].tolist() == [[0, 1, 0, 1]] * 2

"""PPO(CovariantPolicy) with the tools of stable-baselines3, and its policy as a generator."""

import csv

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize, VecVideoRecorder

import molrl
from molrl.agents.config import PPOConfig
from molrl.agents.generator import save_model
from molrl.agents.policy import CovariantPolicy
from molrl.agents.vec_env import SB3VecEnv, ScaledReward
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError

SMALL = {"config": {"width": 16, "channels": 4, "degree": 2, "layers": 1}}
TASKS = {
    "bag": "CH4",
    "shape": {"kind": "shape", "shape": "line", "n_points": 8, "bag": "C2"},
    "cluster": {"kind": "cluster", "solute": "C=O", "solvent": "H2O", "n_solvent": 2},
}


@pytest.fixture
def make_env(morse):
    """``make_env(task)`` makes 4 environments."""

    def make(task="CH4", **options):
        return SB3VecEnv(MolDesignVectorEnv(4, "SameStep", task=task, energy=morse(), **options))

    return make


def ppo(env):
    return PPO(CovariantPolicy, env, n_steps=8, batch_size=16, n_epochs=1, policy_kwargs=SMALL)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_ppo_saves_loads_and_trains_on(make_env, task, tmp_path):
    env = make_env(task)
    model = ppo(env).learn(32)
    model.save(tmp_path / "model.zip")
    again = PPO.load(tmp_path / "model.zip", env=env)
    observation = env.reset()
    actions = [one.predict(observation, deterministic=True)[0] for one in (model, again)]
    np.testing.assert_allclose(*actions, atol=1e-5)
    before = [p.detach().clone() for p in again.policy.parameters()]
    again.learn(32, reset_num_timesteps=False)
    assert again.num_timesteps == 64
    after = list(again.policy.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_ppo_with_options_of_a_config_saves_and_loads(make_env, tmp_path):
    options = PPOConfig(num_envs=4, n_steps=8, batch_size=16).sb3_options()
    model = PPO(CovariantPolicy, ScaledReward(make_env(), 27.2), policy_kwargs=SMALL, **options)
    model.learn(32).save(tmp_path / "model")
    assert PPO.load(tmp_path / "model").policy.config == model.policy.config


def test_sb3_options_have_the_schedule_of_the_learning_rate(make_env):
    config = PPOConfig(num_envs=4, n_steps=8, learning_rate=1e-2, final_learning_rate=1e-4)
    model = PPO(CovariantPolicy, make_env(), policy_kwargs=SMALL, **config.sb3_options())
    rates = [model.lr_schedule(remaining) for remaining in (1.0, 0.5, 0.0, -0.1)]
    assert rates == pytest.approx([1e-2, 5.05e-3, 1e-4, 1e-4])


def test_ppo_trains_under_vec_monitor(make_env, tmp_path):
    env = VecMonitor(make_env(), str(tmp_path / "log"), info_keywords=("reason",))
    ppo(env).learn(64)
    env.close()
    lines = (tmp_path / "log.monitor.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines[1:]))
    assert sum(int(row["l"]) for row in rows) <= 64
    assert len(rows) > 5


def test_ppo_trains_with_normalised_rewards_and_evaluations(make_env, tmp_path):
    """The best model of the callback is loaded; returns of the evaluation are eV."""
    env = VecNormalize(make_env(), norm_obs=False)
    seen = VecNormalize(make_env(), norm_obs=False, training=False, norm_reward=False)
    callback = EvalCallback(
        seen, n_eval_episodes=4, eval_freq=8, best_model_save_path=str(tmp_path), verbose=0
    )
    model = ppo(env).learn(64, callback)
    assert env.ret_rms.count > 60
    assert np.isfinite(callback.best_mean_reward)
    best = PPO.load(tmp_path / "best_model", env=env)
    assert best.policy.config == model.policy.config
    env.save(str(tmp_path / "normalised.pkl"))
    again = VecNormalize.load(str(tmp_path / "normalised.pkl"), make_env())
    assert again.ret_rms.var == pytest.approx(env.ret_rms.var)


def test_ppo_acts_under_a_video_recorder(make_env, tmp_path):
    pytest.importorskip("moviepy")
    env = VecVideoRecorder(
        make_env(render_mode="rgb_array"), str(tmp_path), lambda step: step == 0, video_length=6
    )
    ppo(env).learn(32)
    assert [path.suffix for path in tmp_path.iterdir() if path.stat().st_size > 1000] == [".mp4"]


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_save_model_writes_a_policy_that_generates_and_is_evaluated(algorithm, tmp_path):
    envs = MolDesignVectorEnv(4, "SameStep", bag="CO", energy="gfn2")
    env = VecMonitor(VecNormalize(SB3VecEnv(envs), norm_obs=False))
    model = algorithm(CovariantPolicy, env, n_steps=8, policy_kwargs=SMALL, seed=0)
    save_model(tmp_path / "mine", model.learn(32))
    generator = molrl.load_generator(f"run:{tmp_path / 'mine'}", reward={"energy": 1.0})
    made = generator.generate("CO", n=4, seed=0)
    assert [bag.formula for bag in made.molecules.bags()] == ["CO"] * 4
    assert len(made.returns) == made.attempts
    assert molrl.evaluate(made.molecules).summary()["n_molecules"] == 4
    observation = env.reset()
    tensors = {name: torch.as_tensor(x) for name, x in observation.items()}
    noise = torch.rand(4, generator._network.n_noise, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mine, theirs = (
            network.act(tensors, noise).actions
            for network in (model.policy.network, generator._network)
        )
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_save_model_refuses_other_policies_and_missing_environments(make_env, tmp_path):
    model = ppo(make_env())
    model.save(tmp_path / "model")
    with pytest.raises(InputError, match="load it with env=SB3VecEnv"):
        save_model(tmp_path / "mine", PPO.load(tmp_path / "model"))
    with pytest.raises(InputError, match="MultiInputActorCriticPolicy cannot be saved"):
        save_model(tmp_path / "mine", PPO("MultiInputPolicy", make_env()))

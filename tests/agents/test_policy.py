import inspect

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import TRPO, RecurrentPPO
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecNormalize

from molrl.agents.config import parse_policy
from molrl.agents.policy import CovariantPolicy
from molrl.agents.vec_env import SB3VecEnv, ScaledReward
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError


def vec_env(num_envs=8, bag="CH4O"):
    return SB3VecEnv(
        MolDesignVectorEnv(num_envs=num_envs, autoreset_mode="SameStep", bag=bag, energy="gfn2")
    )


def test_parse_policy_takes_the_numbers_of_numpy_and_refuses_what_is_no_plain_data():
    policy = parse_policy({"width": np.int64(32), "distances": np.array([0.8, 1.9])})
    assert (policy.width, policy.distances) == (32, (0.8, 1.9))
    with pytest.raises(InputError, match=r"\{1\} is no plain data"):
        parse_policy({"width": {1}})


@pytest.fixture
def model():
    return PPO(CovariantPolicy, vec_env(), n_steps=8, batch_size=16, n_epochs=2, seed=0)


def some_observation(model, steps=3):
    env = model.get_env()
    observation = env.reset()
    for _ in range(steps):
        actions, _ = model.predict(observation)
        observation, _, _, _ = env.step(actions)
    return observation


def test_predict_needs_no_clipping(model):
    observation = some_observation(model)
    policy = model.policy
    torch.manual_seed(0)
    with torch.no_grad():
        raw = policy._predict(obs_as_tensor(observation, "cpu")).numpy()
    torch.manual_seed(0)
    clipped, _ = model.predict(observation)
    assert np.allclose(raw, clipped, atol=1e-6)
    assert model.action_space.high[2:].min() > policy.config.distances[1]


def test_predict_is_covariant(model, turn):
    """Through ``predict`` and its clip: the log-probability of a turned action is the same."""
    observation = some_observation(model)
    actions, _ = model.predict(observation)
    for matrix in (turn(3).numpy(), -turn(4).numpy()):
        turned = observation | {"positions": observation["positions"] @ matrix.T}
        moved = actions.copy()
        moved[:, 2:] = actions[:, 2:] @ matrix.T
        clipped = np.clip(moved, model.action_space.low, model.action_space.high)
        assert np.array_equal(clipped, moved)
        with torch.no_grad():
            before = model.policy.evaluate_actions(
                obs_as_tensor(observation, "cpu"), torch.from_numpy(actions)
            )
            after = model.policy.evaluate_actions(
                obs_as_tensor(turned, "cpu"), torch.from_numpy(moved)
            )
        for a, b in zip(before, after, strict=True):
            assert (a - b).abs().max() < 1e-4


def test_forward_and_evaluate_actions_agree(model):
    observation = obs_as_tensor(some_observation(model), "cpu")
    with torch.no_grad():
        actions, value, log_prob = model.policy(observation)
        again = model.policy.evaluate_actions(observation, actions)
        greedy, _, most = model.policy(observation, deterministic=True)
        assert (model.policy.evaluate_actions(observation, greedy)[1] - most).abs().max() < 1e-4
    assert (log_prob - again[1]).abs().max() < 1e-4
    assert (value - again[0]).abs().max() < 1e-4


def test_policy_trains_reproducibly_from_a_seed():
    weights = []
    for _ in range(2):
        model = PPO(CovariantPolicy, vec_env(), n_steps=8, batch_size=16, n_epochs=2, seed=5)
        model.learn(128)
        weights.append(torch.cat([p.detach().flatten() for p in model.policy.parameters()]))
    assert torch.allclose(*weights, atol=1e-5)
    other = PPO(CovariantPolicy, vec_env(), n_steps=8, batch_size=16, n_epochs=2, seed=6)
    other.learn(128)
    different = torch.cat([p.detach().flatten() for p in other.policy.parameters()])
    assert (weights[0] - different).abs().max() > 0.01


def test_policy_survives_save_and_load(model, tmp_path):
    observation = some_observation(model)
    model.policy.save(tmp_path / "policy")
    loaded = CovariantPolicy.load(tmp_path / "policy")
    actions, _ = model.predict(observation, deterministic=True)
    again, _ = loaded.predict(observation, deterministic=True)
    assert np.allclose(actions, again, atol=1e-5)


def test_policy_trains_under_a2c_with_its_optimizer(tmp_path):
    env = ScaledReward(vec_env(4, "H2O"), 27.2)
    model = A2C(CovariantPolicy, env, n_steps=4, seed=0)
    assert type(model.policy.optimizer) is torch.optim.RMSprop
    assert model.policy.optimizer.defaults["alpha"] == 0.99
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(160)
    after = list(model.policy.parameters())
    assert all(torch.isfinite(p).all() for p in after)
    moved = [not torch.allclose(a, b, atol=1e-7) for a, b in zip(before, after, strict=True)]
    assert sum(moved) > 0.8 * len(moved)
    observation = env.reset()
    model.save(tmp_path / "a2c")
    again = A2C.load(tmp_path / "a2c")
    assert type(again.policy.optimizer) is torch.optim.RMSprop
    actions = [one.predict(observation, deterministic=True)[0] for one in (model, again)]
    assert np.allclose(*actions, atol=1e-5)


def test_policy_uses_the_optimizer_of_its_keywords(tmp_path):
    options = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.7}}
    model = PPO(CovariantPolicy, vec_env(2), policy_kwargs=options, learning_rate=0.01)
    model.policy.save(tmp_path / "policy")
    for policy in (model.policy, CovariantPolicy.load(tmp_path / "policy")):
        assert type(policy.optimizer) is torch.optim.SGD
        assert policy.optimizer.defaults["momentum"] == 0.7
    assert model.policy.optimizer.defaults["lr"] == 0.01
    defaults = PPO(CovariantPolicy, vec_env(2)).policy.optimizer.defaults
    assert defaults["eps"] == 1e-5
    assert defaults["fused"]


@pytest.mark.parametrize("algorithm", [SAC, TD3])
def test_policy_refuses_off_policy_algorithms(algorithm):
    with pytest.raises(InputError, match="train it with SB3's PPO or A2C"):
        algorithm(CovariantPolicy, vec_env(2), buffer_size=10)


def test_policy_has_no_attribute_actor(model):
    assert not hasattr(model.policy, "actor")
    assert "network" in dict(inspect.getmembers(model.policy))


def test_policy_refuses_recurrent_ppo():
    with pytest.raises(InputError, match=r"RecurrentPPO needs a recurrent network.* PPO or A2C"):
        RecurrentPPO(CovariantPolicy, vec_env(2), n_steps=4, batch_size=8)


def test_policy_refuses_trpo():
    model = TRPO(CovariantPolicy, vec_env(2), n_steps=4, batch_size=8)
    with pytest.raises(InputError, match=r"TRPO needs .* PPO or A2C"):
        model.learn(8)


@pytest.mark.parametrize("option", [{"net_arch": [64]}, {"n_critics": 2}, {"ortho_init": True}])
def test_policy_refuses_unsupported_keywords(option):
    with pytest.raises(InputError, match=f"does not take {next(iter(option))}") as refused:
        PPO(CovariantPolicy, vec_env(2), policy_kwargs=option)
    assert "by policy_kwargs={'config': {'width': 32}}, and" in str(refused.value)
    model = PPO(CovariantPolicy, vec_env(2), policy_kwargs={"config": {"width": 32}})
    assert model.policy.config.width == 32


def test_policy_refuses_rescaled_observations():
    env = VecNormalize(vec_env(4), norm_obs=True)
    model = PPO(CovariantPolicy, env, n_steps=4, batch_size=16)
    with pytest.raises(InputError, match=r"were rescaled: .* norm_obs=False"):
        model.learn(16)
    with pytest.raises(InputError, match="were rescaled"):
        model.predict(env.reset())


def test_policy_reads_integers_from_a_float_buffer(model):
    observation = some_observation(model)
    floats = {key: torch.as_tensor(array).float() for key, array in observation.items()}
    with torch.no_grad():
        actions, *_ = model.policy(obs_as_tensor(observation, "cpu"))
        whole = model.policy.evaluate_actions(obs_as_tensor(observation, "cpu"), actions)
        read = model.policy.evaluate_actions(floats, actions)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(whole, read, strict=True))


def test_policy_refuses_foreign_spaces():
    box = spaces.Box(-1, 1, (5,))
    with pytest.raises(InputError, match="needs observations with"):
        CovariantPolicy(spaces.Dict({"x": box}), box, lambda _: 1e-3)
    env = vec_env(1)
    narrow = spaces.Box(-1.5, 1.5, (5,))
    with pytest.raises(InputError, match="leave the action space"):
        CovariantPolicy(env.observation_space, narrow, lambda _: 1e-3)
    with pytest.raises(InputError, match="Box"):
        CovariantPolicy(env.observation_space, spaces.Discrete(3), lambda _: 1e-3)

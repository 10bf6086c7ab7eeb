"""The environments work in common training code: one smoke test each."""

from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

import molrl

gym.register_envs(molrl)  # the import has; this tells linters its purpose
IDS = [name for name in gym.registry if name.startswith("MolDesign")]


def requires(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


@pytest.mark.parametrize("name", IDS)
def test_render_collection_shows_each_placed_atom(name, build):
    env = gym.make(name, energy="gfn2", render_mode="rgb_array")
    env = gym.wrappers.RenderCollection(env)
    rng = np.random.default_rng(3)
    obs, _ = env.reset(seed=0)
    ended, atoms = False, [np.count_nonzero(obs["numbers"])]
    while not ended:
        obs, _, ended, _, _ = env.step(build(rng, obs))
        atoms.append(np.count_nonzero(obs["numbers"]))
    frames = env.render()
    assert len(frames) == len(atoms)
    assert len({frame.shape for frame in frames}) == 1
    for i in range(1, len(atoms)):
        assert np.array_equal(frames[i], frames[i - 1]) == (atoms[i] == atoms[i - 1])


def test_draw_replaces_the_renderer(build):
    def draw(numbers, positions):
        return np.full((8, 8, 3), len(numbers), np.uint8)

    for env in (
        gym.make("MolDesign-v0", energy="gfn2", render_mode="rgb_array", draw=draw),
        gym.make_vec("MolDesign-v0", 1, energy="gfn2", render_mode="rgb_array", draw=draw),
    ):
        env.reset()
        action = np.array([0, 1, 0, 0, 0], np.float32)
        env.step(action if env.action_space.shape == (5,) else action[None])
        assert np.unique(env.render()).tolist() == [1]


@requires("moviepy")
def test_record_video_writes_a_video(tmp_path, build):
    env = gym.make("MolDesign-v0", bag="CH4O", energy="gfn2", render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(tmp_path), disable_logger=True)
    rng, ended = np.random.default_rng(0), False
    obs, _ = env.reset(seed=0)
    while not ended:
        obs, _, ended, _, _ = env.step(build(rng, obs))
    env.close()
    assert [path.suffix for path in tmp_path.iterdir() if path.stat().st_size > 1000] == [".mp4"]


class Agent(nn.Module):
    """Gaussian actor and critic over a flat observation."""

    def __init__(self, n_seen, n_actions):
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(n_seen, 32), nn.Tanh(), nn.Linear(32, n_actions))
        self.critic = nn.Sequential(nn.Linear(n_seen, 32), nn.Tanh(), nn.Linear(32, 1))
        self.log_std = nn.Parameter(torch.zeros(n_actions))

    def act(self, seen, action=None):
        density = torch.distributions.Normal(self.actor(seen), self.log_std.exp())
        action = density.sample() if action is None else action
        return action, density.log_prob(action).sum(-1), self.critic(seen).squeeze(-1)


@pytest.mark.parametrize("name", ["MolDesign-v0", "MolDesignStochastic-v0", "MolDesignCluster-v0"])
def test_vector_env_trains_a_single_file_ppo(name):
    torch.manual_seed(0)
    envs = gym.make_vec(name, 4, energy="gfn2")
    envs = gym.wrappers.vector.FlattenObservation(gym.wrappers.vector.RecordEpisodeStatistics(envs))
    low, high = (torch.as_tensor(x) for x in (envs.action_space.low, envs.action_space.high))
    agent = Agent(envs.single_observation_space.shape[0], envs.single_action_space.shape[0])
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-3)
    seen, _ = envs.reset(seed=0)
    seen, done, episodes = torch.as_tensor(seen, dtype=torch.float32), torch.zeros(4), 0
    for _ in range(3):
        rows = []
        for _ in range(16):
            with torch.no_grad():
                action, log_prob, value = agent.act(seen)
            clipped = action.clamp(low, high).numpy()
            following, reward, terminated, truncated, info = envs.step(clipped)
            rows.append((seen, action, log_prob, value, torch.as_tensor(reward).float(), done))
            done = torch.as_tensor(terminated | truncated).float()
            seen = torch.as_tensor(following, dtype=torch.float32)
            episodes += int(info["_episode"].sum()) if "_episode" in info else 0
        states, actions, old, values, rewards, dones = (
            torch.stack(x) for x in zip(*rows, strict=True)
        )
        returns, running = torch.zeros_like(rewards), torch.zeros(4)
        for t in reversed(range(16)):
            ended = done if t == 15 else dones[t + 1]
            running = rewards[t] + (1 - ended) * running
            returns[t] = running
        fresh = dones == 0  # in mode NextStep the step after the end is a reset
        for _ in range(2):
            _, log_prob, value = agent.act(states, actions)
            ratio, advantage = (log_prob - old).exp(), (returns - values) / 27.2
            policy = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            loss = (policy + 0.5 * ((returns - value) / 27.2).square())[fresh].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter).all() for parameter in agent.parameters())
    assert episodes > 10


@requires("torchrl")
@pytest.mark.parametrize("name", IDS)
def test_torchrl_checks_and_rolls_out_each_env(name):
    from torchrl.envs import GymEnv
    from torchrl.envs.utils import check_env_specs

    env = GymEnv(name, energy="gfn2")
    check_env_specs(env)
    rollout = env.rollout(20, break_when_any_done=False)
    assert rollout["next", "reward"].shape == (20, 1)
    assert torch.isfinite(rollout["next", "reward"]).all()


@requires("torchrl")
def test_torchrl_rolls_out_the_vector_env():
    from torchrl.envs import GymWrapper

    # TorchRL 0.14 cannot read the final observations of mode SameStep where they are dicts.
    envs = gym.make_vec("MolDesignStochastic-v0", 3, energy="gfn2", autoreset_mode="Disabled")
    rollout = GymWrapper(envs).rollout(12, break_when_any_done=False)
    assert rollout["next", "reward"].shape == (3, 12, 1)

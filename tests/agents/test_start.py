"""Training that starts from a policy that observes less than its own."""

import numpy as np
import pytest
import torch

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.generator import save_agent
from molrl.agents.trainable import load_start
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.runs.weights import save_weights

TASKS = {
    "shape": {"kind": "shape", "shape": "line", "n_points": 8, "bag": "CH2O"},
    "cluster": {"kind": "cluster", "solute": "CO", "solvent": "CH2O", "n_solvent": 2},
}


def training(task, morse, seed):
    env = MolDesignVectorEnv(16, "SameStep", task=task, energy=morse(), canvas_size=14)
    policy = PolicyConfig(width=16, channels=4, degree=2, layers=1)
    return AgentTraining(env, policy, PPOConfig(num_envs=16), 1000, seed)


@pytest.fixture
def start(morse, tmp_path):
    agent = training("CH2O", morse, seed=0)
    save_agent(tmp_path, agent.network, agent.header)
    return agent, f"run:{tmp_path}"


@pytest.mark.parametrize("kind", TASKS)
def test_load_start_gives_the_densities_of_the_start_where_more_is_observed(kind, start, morse):
    before, path = start
    agent = training(TASKS[kind], morse, seed=1)
    load_start(agent, path)
    observation, _ = agent.env.reset(seed=0)
    noise = torch.rand(16, agent.network.n_noise, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        seen = {key: torch.as_tensor(np.array(x)) for key, x in observation.items()}
        known = {k: x for k, x in seen.items() if k not in ("points", "refills", "n_fixed")}
        drawn = agent.network.act(seen, noise)
        evaluated = agent.network.evaluate_actions(seen, drawn.actions)
        wanted = before.network.evaluate_actions(known, drawn.actions)
        assert torch.equal(evaluated.log_prob, wanted.log_prob)
        assert torch.equal(evaluated.value, wanted.value)
        assert torch.equal(evaluated.entropy, wanted.entropy)
        observation = agent.env.step(drawn.actions.numpy())[0]
    evaluated.log_prob.sum().backward()
    gradients = {name: x.grad for name, x in agent.network.named_parameters()}
    new = [name for name in agent.network.state_dict() if name not in before.network.state_dict()]
    moved = {name.split(".")[0] for name in new if gradients[name].abs().max() > 0}
    assert moved == {"shape": {"points"}, "cluster": {"refills", "fixed"}}[kind]


def test_load_start_refuses_weights_of_another_version(start, morse, tmp_path):
    agent, path = start
    tensors = dict(agent.network.state_dict())
    del tensors[sorted(tensors)[0]]
    fields = agent.header.model_dump(mode="json", exclude={"policy": {"start": True}})
    save_weights(tmp_path / "policy.json", tensors, {"kind": "covariant", **fields})
    with pytest.raises(InputError, match="do not fit the covariant network of this version"):
        load_start(training("CH2O", morse, seed=1), path)


def test_load_start_refuses_a_policy_that_observes_what_the_task_has_not(morse, tmp_path):
    agent = training(TASKS["cluster"], morse, seed=0)
    save_agent(tmp_path, agent.network, agent.header)
    with pytest.raises(InputError, match="observes fixed, refills, which CH2O has not; start from"):
        load_start(training("CH2O", morse, seed=1), f"run:{tmp_path}")

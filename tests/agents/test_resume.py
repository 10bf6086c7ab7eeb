"""A resumed training ends as one that was never interrupted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoints

PPO = PPOConfig(num_envs=8, n_steps=5, batch_size=20, n_epochs=2)
POLICY = PolicyConfig(width=16, channels=4, degree=2, layers=1)


def training(policy=POLICY, total_steps=400):
    env = MolDesignVectorEnv(num_envs=8, autoreset_mode="SameStep", bag="CH2O", energy="gfn2")
    return AgentTraining(env, policy, PPO, total_steps, seed=0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Return a complete training, its rows, and a checkpoint of every update."""
    agent, rows = training(), []
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run"), keep=100)

    def on_update(step, figures):
        rows.append((step, figures))
        checkpoints.save(snapshot(agent))

    agent.run(on_update)
    return agent, rows, checkpoints


@pytest.mark.bitwise
@pytest.mark.parametrize("when", [0, 3, -2])
def test_restore_resumes_a_training_bit_for_bit(uninterrupted, when):
    whole, rows, checkpoints = uninterrupted
    torch.manual_seed(99)
    agent, again = training(), []
    step = checkpoints.steps()[when]
    restore(agent, checkpoints.load(step))
    agent.run(lambda step, figures: again.append((step, figures)))
    assert repr(again) == repr([row for row in rows if row[0] > step])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(agent.network.state_dict()[name], tensor), name
    assert agent.env.endings == whole.env.endings


def test_restore_refuses_a_checkpoint_of_another_energy(uninterrupted):
    _, _, checkpoints = uninterrupted
    checkpoint = checkpoints.load(checkpoints.steps()[0])
    other = replace(checkpoint, state=checkpoint.state | {"energy_hash": "0" * 12})
    with pytest.raises(InputError, match="was begun with gfn2 000000000000"):
        restore(training(), other)


def test_restore_refuses_a_checkpoint_of_another_network(uninterrupted):
    _, _, checkpoints = uninterrupted
    checkpoint = checkpoints.load(checkpoints.steps()[0])
    wider = POLICY.model_copy(update={"width": 24})
    with pytest.raises(InputError, match="does not belong to this config"):
        restore(training(wider), checkpoint)


@pytest.mark.parametrize("change", ["unknown", "missing"])
def test_restore_refuses_a_checkpoint_of_a_network_of_another_version(uninterrupted, change):
    _, _, checkpoints = uninterrupted
    checkpoint = checkpoints.load(checkpoints.steps()[0])
    name = next(name for name in checkpoint.tensors if name.startswith("policy/"))
    if change == "unknown":
        checkpoint.tensors["policy/network.former"] = torch.ones(2)
    else:
        del checkpoint.tensors[name]
    with pytest.raises(InputError, match=r"this config and version of molrl: .*key"):
        restore(training(), checkpoint)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_envs": 4}, "numbers"),
        ({"canvas_size": 6}, "numbers"),
        ({"elements": ["H", "C", "O"]}, "bag"),
    ],
)
def test_restore_refuses_a_checkpoint_of_other_sizes(uninterrupted, options, named):
    _, _, checkpoints = uninterrupted
    checkpoint = checkpoints.load(checkpoints.steps()[0])
    given = {"num_envs": 8, "canvas_size": 25, "bag": "CH2O", "energy": "gfn2"} | options
    env = MolDesignVectorEnv(autoreset_mode="SameStep", **given)
    ppo = PPO.model_copy(update={"num_envs": given["num_envs"]})
    with pytest.raises(InputError, match=f"its canvases have {named} of shape"):
        restore(AgentTraining(env, POLICY, ppo, 400, seed=0), checkpoint)


@pytest.mark.parametrize("total_steps", [100, 120, 20])
def test_schedules_end_at_their_final_values(morse, total_steps):
    env = MolDesignVectorEnv(8, "SameStep", bag="CH2O", energy=morse())
    own = {"learning_rate": 1e-2, "final_learning_rate": 1e-4, "ent_coef": 0.1}
    ppo = PPO.model_copy(update=own | {"final_ent_coef": 0.02})
    agent = AgentTraining(env, POLICY, ppo, total_steps, seed=0)
    rates = []

    def on_update(step, figures):
        rates.append(agent.algorithm.model.policy.optimizer.param_groups[0]["lr"])

    agent.run(on_update)
    assert len(rates) == -(-total_steps // 40)  # updates of 40 steps
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-4)
    assert agent.algorithm.model.ent_coef == pytest.approx(0.02)


def test_restore_of_a_checkpoint_without_charges_is_neutral(uninterrupted):
    _, _, checkpoints = uninterrupted
    checkpoint = checkpoints.load(checkpoints.steps()[0])
    canvas = "rank0/canvas/"
    missing = {canvas + "charge", canvas + "spin"}
    assert missing <= set(checkpoint.tensors)
    tensors = {name: x for name, x in checkpoint.tensors.items() if name not in missing}
    agent, complete = training(), training()
    restore(agent, replace(checkpoint, tensors=tensors))
    restore(complete, checkpoint)
    for name, array in complete.env.state.arrays().items():
        np.testing.assert_array_equal(agent.env.state.arrays()[name], array, err_msg=name)

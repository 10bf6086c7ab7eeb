"""Trainings on every kind of task, killed after some updates and resumed to the same end."""

import numpy as np
import pytest
import torch

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv
from molrl.parts import TASKS
from molrl.runs.checkpoints import Checkpoints

PPO = PPOConfig(num_envs=6, n_steps=5, batch_size=15, n_epochs=1)
POLICY = PolicyConfig(width=16, channels=4, degree=2, layers=1)
KINDS = {
    "bag": {"bag": "CH2O"},
    "bags": {"bags": ["CO", "H2O", "CHN"], "held_out": []},
    "stochastic": {"reference": "CH2O", "min_size": 3, "max_size": 5},
    "formulas": {"max_heavy_atoms": 1},
    "cluster": {"solute": "C=O", "solvent": "H2O", "n_solvent": 2},
    "scaffold": {"scaffold": "*C", "bag": "HO"},
    "linker": {"fragments": ["*C", "*C#N"], "bag": "CH2"},
    "shape": {"shape": "line", "n_points": 8, "bag": "C2H2"},
    "complex": {"bag": "SOF4"},
}
CASES = [*KINDS.items(), ("bags", KINDS["bags"] | {"order": "cycled"})]


def training(kind, fields, morse):
    energy = "gfn2" if kind in ("complex", "formulas") else morse()
    env = MolDesignVectorEnv(6, "SameStep", task={"kind": kind, **fields}, energy=energy)
    return AgentTraining(env, POLICY, PPO, 180, seed=0)


def test_kinds_are_all_tried():
    assert {*KINDS} == {kind for kind in TASKS if TASKS.source(kind) == "molrl"}


@pytest.mark.bitwise
@pytest.mark.parametrize(("kind", "fields"), CASES)
def test_restore_resumes_every_kind_bit_for_bit(kind, fields, morse, tmp_path):
    whole, rows = training(kind, fields, morse), []
    checkpoints = Checkpoints(tmp_path)

    def on_update(step, figures):
        rows.append((step, figures))
        if step == 90:
            checkpoints.save(snapshot(whole))

    whole.run(on_update)
    torch.manual_seed(99)
    agent, again = training(kind, fields, morse), []
    restore(agent, checkpoints.load(90))
    agent.run(lambda step, figures: again.append((step, figures)))
    assert [step for step, _ in again] == [120, 150, 180]
    assert repr(again) == repr(rows[3:])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(agent.network.state_dict()[name], tensor), name
    for name, array in whole.env.state.arrays().items():
        np.testing.assert_array_equal(agent.env.state.arrays()[name], array, err_msg=name)
    assert agent.env.draws() == whole.env.draws()
    assert sum(whole.env.endings.values()) > 10


def test_restore_of_drawn_bags_needs_the_generators(morse):
    fields = KINDS["stochastic"]
    agent = training("stochastic", fields, morse)
    checkpoints = []
    agent.run(lambda *_: checkpoints.append(snapshot(agent)))
    seen = [checkpoint.state["ranks"][0]["draws"] for checkpoint in checkpoints]
    assert seen[0] != seen[1]

"""A policy, an algorithm and a callback, each in one file outside of the package."""

import json
import sys

import pytest
import yaml

import molrl
from molrl.cli.main import main
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.metrics import read_metrics

POLICY = """
from typing import ClassVar, Literal

import molrl
import torch
from molrl.agents.config import BasePolicyConfig
from molrl.agents.interface import ActionEvaluation, Decision, PolicyNetwork
from torch import nn


class Shells(PolicyNetwork):
    n_noise = 5
    max_displacement = 1.5

    def __init__(self, config, inputs):
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(inputs.n_elements, config.width),
            nn.SiLU(),
            nn.Linear(config.width, inputs.n_elements + 1),
        )

    def parts(self, observation):
        out = self.head(observation["bag"].float())
        logits = out[:, :-1].masked_fill(observation["element_mask"] < 1, -1e9)
        return torch.log_softmax(logits, -1), out[:, -1]

    def decide(self, observation, noise, element, log_p, value):
        atoms = (observation["numbers"] > 0).sum(-1)
        focus = (noise[:, 0] * atoms).floor().clamp(max=4)
        z, angle = 2 * noise[:, 2] - 1, 2 * torch.pi * noise[:, 3]
        ring = (1 - z**2).clamp(min=0).sqrt()
        direction = torch.stack([ring * angle.cos(), ring * angle.sin(), z], -1)
        shift = (0.9 + 0.6 * noise[:, 4:]) * direction
        actions = torch.cat([focus[:, None], element[:, None], shift], -1).float()
        return Decision(actions, log_p.gather(1, element[:, None])[:, 0], value)

    def act(self, observation, noise):
        log_p, value = self.parts(observation)
        below = log_p.exp().cumsum(-1) <= noise[:, 1:2]
        element = torch.minimum(below.sum(-1), (log_p > -1e8).cumsum(-1).argmax(-1))
        return self.decide(observation, noise, element, log_p, value)

    def act_greedily(self, observation):
        log_p, value = self.parts(observation)
        half = torch.full((len(log_p), 5), 0.5)
        return self.decide(observation, half, log_p.argmax(-1), log_p, value)

    def evaluate_actions(self, observation, actions):
        log_p, value = self.parts(observation)
        chosen = log_p.gather(1, actions[:, 1:2].long())[:, 0]
        return ActionEvaluation(value, chosen, -(log_p.exp() * log_p).sum(-1))

    def predict_values(self, observation):
        return self.parts(observation)[1]


class ShellsConfig(BasePolicyConfig):
    network: ClassVar = Shells

    name: Literal["outside-shells"] = "outside-shells"
    width: int = 16


molrl.register("policy", "outside-shells", ShellsConfig)
"""

ALGORITHM = """
from typing import ClassVar, Literal

import molrl
import numpy as np
import torch
from molrl.agents.algorithms.interface import Algorithm
from molrl.agents.config import BaseAlgorithmConfig
from molrl.agents.interface import Inputs, build_network


class Reinforce(Algorithm):
    \"\"\"REINFORCE with the reward of each step alone (Williams 1992).\"\"\"

    def __init__(self, config, setup):
        self.config, self.setup, self.position, self.loss = config, setup, None, np.nan
        torch.manual_seed(setup.seed)
        self._network = build_network(setup.policy, Inputs.of_space(setup.env.observation_space))
        self.optimizer = torch.optim.SGD(self._network.parameters(), lr=config.learning_rate)
        self.done = 0

    network = property(lambda self: self._network)
    steps = property(lambda self: self.done)

    def run(self, on_step, on_update):
        env = self.setup.env
        shown = self.position.observation if self.position else env.reset()
        while self.done < self.setup.total_steps:
            losses = []
            for _ in range(self.config.n_steps):
                seen = {name: torch.as_tensor(x) for name, x in shown.items()}
                noise = torch.rand(env.num_envs, self.network.n_noise)
                made = self.network.act(seen, noise)
                shown, rewards, _, infos = env.step(made.actions.numpy())
                losses.append(-(made.log_prob * torch.from_numpy(rewards)).mean())
                self.done += env.num_envs
                on_step(infos)
            loss = torch.stack(losses).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.loss = loss.item()
            on_update()

    def figures(self):
        return {"loss": self.loss}

    def snapshot(self):
        return {f"policy/{k}": x for k, x in self.network.state_dict().items()}, {}

    def restore(self, position, tensors, state):
        self.position, self.done = position, position.steps
        names = self.network.state_dict()
        self.network.load_state_dict({name: tensors[f"policy/{name}"] for name in names})


class ReinforceConfig(BaseAlgorithmConfig):
    algorithm: ClassVar = Reinforce

    name: Literal["outside-reinforce"] = "outside-reinforce"
    n_steps: int = 4
    learning_rate: float = 0.01


molrl.register("algorithm", "outside-reinforce", ReinforceConfig)
"""

CALLBACK = """
from stable_baselines3.common.callbacks import BaseCallback


class Count(BaseCallback):
    def _on_step(self):
        with open("counted.txt", "a") as file:
            file.write(f"{self.num_timesteps}\\n")
        return True


class Stop(BaseCallback):
    def _on_step(self):
        return self.num_timesteps < 40
"""

CONFIG = {
    "run_dir": "run",
    "total_steps": 64,
    "checkpoint_every": 32,
    "task": "CO",
    "energy": "gfn2",
    "policy": {"width": 16, "channels": 4, "degree": 2, "layers": 1},
    "algorithm": {"num_envs": 4, "n_steps": 8, "batch_size": 16},
    "evaluation": {"n_molecules": 2},
}


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """``train(**keys)`` trains with further keys in the folder of the user's files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in (("policy", POLICY), ("algorithm", ALGORITHM), ("callback", CALLBACK)):
        (tmp_path / f"outside_{name}.py").write_text(text)

    def run(**keys):
        (tmp_path / "train.yaml").write_text(yaml.safe_dump(CONFIG | keys))
        code = main(["train", "train.yaml"])
        assert code == 0, capsys.readouterr().err
        return tmp_path / "run"

    return run


def test_policy_of_a_plugin_is_trained_generates_and_passes_the_check(train):
    policy = {"name": "outside-shells", "width": 8}
    run = train(plugins=["outside_policy"], policy=policy)
    assert [row["steps"] for row in read_metrics(run / "metrics.csv")] == [32, 64]
    asked = ["generate", "--method", f"run:{run}", "--bag", "CO", "-n", "3", "-o", "made.extxyz"]
    assert main(asked) == 0
    assert len(molrl.read("made.extxyz")) == 3
    assert molrl.load_generator(f"run:{run}").header.policy.width == 8
    molrl.testing.check_policy("outside-shells")


def test_temperature_of_a_policy_that_has_none_is_refused(train, tmp_path, capsys):
    policy = {"name": "outside-shells", "width": 8}
    keys = {"plugins": ["outside_policy"], "policy": policy, "evaluation": {"temperature": 0.5}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(CONFIG | keys))
    assert main(["train", "train.yaml"]) == 2
    assert "evaluation.temperature: the policy outside-shells has none" in capsys.readouterr().err


@pytest.mark.bitwise
def test_algorithm_of_a_plugin_trains_and_passes_the_check(train):
    algorithm = {"name": "outside-reinforce", "num_envs": 4}
    run = train(plugins=["outside_algorithm"], algorithm=algorithm)
    rows = read_metrics(run / "metrics.csv")
    assert [row["steps"] for row in rows] == [16, 32, 48, 64]
    assert all(row["loss"] is not None for row in rows)
    molrl.testing.check_algorithm(algorithm, total_steps=64)


def test_a2c_trains_from_a_config(train):
    run = train(algorithm={"name": "a2c", "num_envs": 4, "n_steps": 8})
    rows = read_metrics(run / "metrics.csv")
    assert [row["steps"] for row in rows] == [32, 64]
    assert {"entropy", "explained", "value_loss"} <= {*rows[0]}


def test_callbacks_of_a_config_see_every_step(train):
    run = train(callbacks=["outside_callback:Count"])
    counted = (run.parent / "counted.txt").read_text().split()
    assert counted == [str(n) for n in range(4, 65, 4)]


def test_a_callback_ends_a_training_which_is_saved_then(train, capsys):
    run = train(callbacks=["outside_callback:Stop"])
    assert "a callback has ended the training after 40 of 64 steps" in capsys.readouterr().err
    assert Checkpoints(run / "checkpoints").steps()[-1] == 40
    assert json.loads((run / "summary.json").read_text())["n_molecules"] == 2

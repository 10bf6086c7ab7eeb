"""The check of an algorithm."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from molrl.agents.config import BaseAlgorithmConfig, PolicyConfig, parse_algorithm
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv
from molrl.runs.checkpoints import Checkpoint
from molrl.testing.rules import require, rule

Reports = list[tuple[int, dict[str, float]]]


def check_algorithm(
    obj: BaseAlgorithmConfig | Mapping[str, Any] | str,
    *,
    seed: int = 0,
    total_steps: int = 2000,
    energy: str = "gfn2",
) -> None:
    """Check that an algorithm keeps the contract of its interface.

    The interface is :class:`molrl.agents.algorithms.interface.Algorithm`. The rules, in this order:
    it trains to the last step, with a report after every update; steps increase; the figures of
    every report have the same names; the weights change, and are finite; a training restored from a
    snapshot ends as the one that was not interrupted, bit for bit on a CPU. It trains a policy that
    builds carbon monoxide.

    Args:
        obj: config of the algorithm, the mapping of its fields, or a registered name.
        seed: of the training.
        total_steps: environment steps of the training, of at least two updates.
        energy: name of the energy model of the reward.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_algorithm("a2c")
    """
    with rule("it is the config of an algorithm or the name of one"):
        config = parse_algorithm(obj)
    with rule("it trains to the last step, with a report after every update"):
        whole, reports, checkpoints = _trained(config, total_steps, seed, energy)
        require(whole.steps >= total_steps, f"{whole.steps} of {total_steps} steps")
        require(len(reports) >= 2, f"{len(reports)} reports")
    with rule("steps increase"):
        steps = [step for step, _ in reports]
        require(steps == sorted(set(steps)), f"{steps}")
    with rule("the figures of every report have the same names"):
        names = {tuple(figures) for _, figures in reports}
        require(len(names) == 1, f"{names}")
    with rule("the weights change, and are finite"):
        first, last = checkpoints[0].tensors, _weights(whole)
        require(all(x.isfinite().all() for x in last.values()), "some are not finite")
        start = _weights(_training(config, total_steps, seed, energy))
        require(any(not torch.equal(x, start[name]) for name, x in last.items()), "none changed")
        require(first, "the snapshot is empty")
    with rule("a training restored from a snapshot ends as the one that was not interrupted"):
        again = _training(config, total_steps, seed, energy)
        torch.default_generator.manual_seed(seed + 1)
        restore(again, checkpoints[0])
        later: Reports = []
        again.run(lambda step, figures: later.append((step, figures)))
        require(repr(later) == repr(reports[1:]), f"reports {later}, not {reports[1:]}")
        for name, x in _weights(again).items():
            require(torch.equal(x, last[name]), f"weights {name} differ")


def _training(
    config: BaseAlgorithmConfig, total_steps: int, seed: int, energy: str
) -> AgentTraining:
    env = MolDesignVectorEnv(config.num_envs, "SameStep", bag="CO", energy=energy)
    policy = PolicyConfig(width=8, channels=4, degree=1, layers=1)
    return AgentTraining(env, policy, config, total_steps, seed)


def _trained(
    config: BaseAlgorithmConfig, total_steps: int, seed: int, energy: str
) -> tuple[AgentTraining, Reports, list[Checkpoint]]:
    """Return a finished training, its reports, and a snapshot after each."""
    training = _training(config, total_steps, seed, energy)
    reports: Reports = []
    checkpoints: list[Checkpoint] = []

    def on_update(step: int, figures: dict[str, float]) -> None:
        reports.append((step, figures))
        checkpoints.append(_stored(snapshot(training)))

    training.run(on_update)
    return training, reports, checkpoints


def _stored(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint as it is read again: no memory is shared, the state is plain JSON."""
    tensors = {name: x.detach().clone() for name, x in checkpoint.tensors.items()}
    return Checkpoint(checkpoint.step, tensors, json.loads(json.dumps(checkpoint.state)))


def _weights(training: AgentTraining) -> dict[str, Tensor]:
    return {name: x.clone() for name, x in training.network.state_dict().items()}

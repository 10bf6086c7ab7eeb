"""Behaviour cloning: a policy learns to build given molecules, without any episode."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.utils import set_random_seed
from torch import Tensor

from molrl.agents.algorithms.archive import Isomer
from molrl.agents.algorithms.examples import buildable, check_bags_only, load_examples
from molrl.agents.algorithms.interface import (
    Algorithm,
    Infos,
    Position,
    Setup,
    restore_training,
    training_tensors,
)
from molrl.agents.algorithms.optimizer import MuonAdam
from molrl.agents.algorithms.replay import Replay, imitation_loss
from molrl.agents.imitation_config import CloningConfig
from molrl.agents.interface import Inputs, PolicyNetwork, build_network
from molrl.agents.vec_env import builder_of
from molrl.envs.spaces import Observation
from molrl.errors import InputError

_VALIDATED = 1024  # placements of the valid split, always the same ones
_OF_MATRICES = 2.0  # learning rate of Muon over that of Adam


class Cloning(Algorithm):
    """Maximum likelihood of the placements that build given molecules, in random orders.

    A step is one placement that is learned from. The critic is not trained.

    Args:
        config: of the algorithm.
        setup: what is trained.

    Attributes:
        config: the same.

    Raises:
        InputError: if there are several ranks, the task is not one of bags, or no molecule of it
            is among those given.
    """

    def __init__(self, config: CloningConfig, setup: Setup) -> None:
        if setup.ranks.size > 1:
            raise InputError("cloning trains on one rank; on several, train with ppo")
        set_random_seed(setup.seed)
        self.config, self._setup = config, setup
        env = builder_of(setup.env)
        check_bags_only(env.task, "cloning")
        self._replay = Replay(env.problem, config.jitter, config.skeleton_first)
        space = env.single_observation_space
        assert isinstance(space, spaces.Dict)
        self._network = build_network(setup.policy, Inputs.of_space(space)).to(setup.device)
        self._optimizer = MuonAdam(self._network, config.learning_rate)
        lengths = self._network.lengths
        data = load_examples(config.molecules, env.task, env.elements)
        self._molecules = buildable(data.of_split("train"), lengths)
        valid = buildable(data.of_split("valid"), lengths)
        self._valid = self._draw(valid, _VALIDATED, np.random.default_rng(0)) if valid else None
        self._steps, self._losses = 0, [0.0]
        if not self._molecules:
            raise InputError(
                f"cloning: none of the molecules is of {env.task}, of the train split and with all "
                f"bonds between {lengths[0]} and {lengths[1]} Å; give others"
            )

    @property
    def network(self) -> PolicyNetwork:
        """The network that is trained."""
        return self._network

    @property
    def steps(self) -> int:
        """Number of placements so far."""
        return self._steps

    def run(self, on_step: Callable[[Infos], None], on_update: Callable[[], None]) -> None:
        """Train until the end; see :meth:`Algorithm.run`. The environments make no step."""
        if not self._steps:
            self._setup.env.reset()  # snapshots hold its state
        while self._steps < self._setup.total_steps:
            left = -(-(self._setup.total_steps - self._steps) // self.config.batch_size)
            self._losses = [self._descend() for _ in range(min(self.config.batches, left))]
            on_update()

    def _descend(self) -> float:
        """Learn from one batch, and return its loss."""
        done = min(self._steps / self._setup.total_steps, 1.0)
        low, high = self.config.final_learning_rate, self.config.learning_rate
        for group, factor in zip(self._optimizer.param_groups, (1.0, _OF_MATRICES), strict=True):
            group["lr"] = factor * (low + (high - low) * (1 - done))
        rng = np.random.default_rng(int(torch.randint(2**62, (1,))))
        placements = self._draw(self._molecules, self.config.batch_size, rng)
        losses = imitation_loss(self._network, *placements)
        loss = losses.total + self.config.lobes_coef * losses.by_lobes
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), self.config.max_grad_norm)
        self._optimizer.step()
        self._steps += self.config.batch_size
        return float(losses.total.detach())

    def _draw(
        self, isomers: list[Isomer], n: int, rng: np.random.Generator
    ) -> tuple[Observation, NDArray[np.float32]]:
        """Return placements of molecules that are drawn evenly."""
        drawn = [isomers[i] for i in rng.integers(len(isomers), size=n)]
        return self._replay.draw(drawn, rng)

    def figures(self) -> dict[str, float]:
        """Return the mean loss since the last update and that of the valid split, nats."""
        valid = float("nan")
        if self._valid is not None:
            with torch.no_grad():
                valid = float(imitation_loss(self._network, *self._valid).total)
        return {"imitation_loss": float(np.mean(self._losses)), "valid_loss": valid}

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights and the optimiser."""
        return training_tensors(self._network, self._optimizer), {}

    def restore(
        self, position: Position, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Restore a snapshot; see :meth:`Algorithm.restore`."""
        restore_training(self._network, self._optimizer, tensors)
        self._steps = position.steps

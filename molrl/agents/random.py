"""An agent that places atoms at random: the floor of every comparison."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from molrl.agents.rollout import generate
from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.envs.config import EnvConfig, Rules
from molrl.envs.spaces import Observation
from molrl.envs.task import DesignTask
from molrl.generation import Generated
from molrl.task import Task


class RandomAgent:
    """Any atom as the focus, any element left in the bag, any distance in a window, any direction.

    Args:
        energy: what pays; the rules that depend on it end episodes.
        rules: of the environment.
        distances: window of the distances, Å.
    """

    name = "random"

    def __init__(
        self,
        energy: str | EnergyModel = "mace",
        rules: Rules | str | None = None,
        distances: tuple[float, float] = (0.7, 2.0),
    ) -> None:
        self._options = {"energy": energy, "rules": rules or Rules()}
        self.distances = distances

    def generate(self, task: Task | Bag | str, n: int, seed: int) -> Generated:
        """Make ``n`` molecules; see :class:`molrl.generation.Generator`."""
        bag = Task.of(task).bag
        config = EnvConfig.of(bag=bag.formula, canvas_size=bag.n_atoms, **self._options)
        made = generate(DesignTask(config), self._act, n, seed)
        return replace(made, network_calls=0)

    def _act(self, observation: Observation, noise: NDArray[np.float64]) -> NDArray[np.float32]:
        focus = _choose(observation["focus_mask"], noise[:, 0])
        element = _choose(observation["element_mask"], noise[:, 1])
        low, high = self.distances
        distance = low + (high - low) * noise[:, 2]
        z, angle = 2 * noise[:, 3] - 1, 2 * np.pi * noise[:, 4]
        ring = np.sqrt(1 - z**2)
        direction = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=-1)
        shift = distance[:, None] * direction
        return np.concatenate([focus[:, None], element[:, None], shift], -1).astype(np.float32)


def _choose(mask: NDArray[np.generic], noise: NDArray[np.float64]) -> NDArray[np.intp]:
    """A uniformly drawn True of each row of ``mask (n, m)``."""
    counts = np.cumsum(mask, axis=1)
    chosen: NDArray[np.intp] = np.argmax(counts > np.floor(noise * counts[:, -1])[:, None], axis=1)
    return chosen

"""Agent that places atoms at random, the baseline of every comparison."""

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
    """Generator of random actions: focus, element, distance and direction are drawn uniformly.

    Args:
        energy: energy model used for the reward and for the rules that depend on it.
        rules: rules of the environment.
        distances: smallest and largest distance from the focal atom, Å.

    Example:
        >>> made = RandomAgent("gfn2").generate("CH4", n=5, seed=0)  # doctest: +SKIP
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
        """Generate ``n`` molecules; see :class:`molrl.generation.Generator`."""
        bag = Task.of(task).bag
        config = EnvConfig.of(bag=bag.formula, canvas_size=bag.n_atoms, **self._options)
        made = generate(DesignTask(config), self._act, n, seed)
        return replace(made, network_calls=0)

    def _act(self, observation: Observation, noise: NDArray[np.float64]) -> NDArray[np.float32]:
        focus = _draw_index(observation["focus_mask"], noise[:, 0])
        element = _draw_index(observation["element_mask"], noise[:, 1])
        low, high = self.distances
        distance = low + (high - low) * noise[:, 2]
        z, angle = 2 * noise[:, 3] - 1, 2 * np.pi * noise[:, 4]
        ring = np.sqrt(1 - z**2)
        direction = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=-1)
        shift = distance[:, None] * direction
        return np.concatenate([focus[:, None], element[:, None], shift], -1).astype(np.float32)


def _draw_index(mask: NDArray[np.generic], noise: NDArray[np.float64]) -> NDArray[np.intp]:
    """Draw the index ``(n,)`` of a nonzero element of each row, uniformly.

    Args:
        mask: ``(n, m)``, at least one nonzero element in each row.
        noise: ``(n,)`` uniform in [0, 1).
    """
    counts = np.cumsum(mask, axis=1)
    index: NDArray[np.intp] = np.argmax(counts > np.floor(noise * counts[:, -1])[:, None], axis=1)
    return index

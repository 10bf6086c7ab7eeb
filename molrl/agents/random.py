"""Agent that places atoms at random, the baseline of every comparison."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molrl.agents.rollout import Actions, canvas_size, generate
from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.envs.config import EnvConfig, Rules
from molrl.envs.problem import Problem
from molrl.envs.spaces import Observation
from molrl.errors import InputError
from molrl.generation import Generated
from molrl.tasks import Task, parse_task

_DISTANCES = 0.7, 2.0  # Å


class RandomAgent:
    """Generator of random actions: focus, element, distance and direction are drawn uniformly.

    Args:
        energy: energy model used for the reward and for the rules that depend on it; None: that
            of an environment of the task.
        rules: rules of the environment.
        distances: smallest and largest distance from the focal atom, Å.

    Raises:
        InputError: if the distances are no range.

    Example:
        >>> made = RandomAgent("gfn2").generate("CH4", n=5, seed=0)  # doctest: +SKIP
    """

    name = "random"

    def __init__(
        self,
        energy: str | EnergyModel | None = None,
        rules: Rules | str | None = None,
        distances: tuple[float, float] = _DISTANCES,
    ) -> None:
        low, high = distances
        if not 0 < low <= high:
            raise InputError(f"random: distances {low} to {high} Å must be positive, ascending")
        self._options: dict[str, Any] = {"rules": Rules.of(rules or Rules())}
        if energy is not None:
            self._options["energy"] = energy
        self.distances = distances

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Generate ``n`` molecules of any task; see :class:`molrl.generation.Generator`."""
        task = parse_task(task)
        size = canvas_size(task, self._options["rules"])
        config = EnvConfig(task=task, canvas_size=size, **self._options)
        made = generate(Problem(config), Actions(self._act, n_noise=8), n, seed)
        return replace(made, network_calls=0)

    def _act(self, observation: Observation, noise: NDArray[np.float64]) -> NDArray[np.float32]:
        return _actions(observation, noise, self.distances)


def random_actions(
    observation: Observation,
    rng: np.random.Generator,
    distances: tuple[float, float] = _DISTANCES,
) -> NDArray[np.float32]:
    """Draw actions uniformly among an atom to focus, the elements left, distances and directions.

    ``action_space.sample()`` does not see the masks: nearly all of its actions are refused.

    Args:
        observation: of one environment, or of B.
        rng: generator of random numbers.
        distances: smallest and largest distance from the focal atom, Å.

    Returns:
        ``(5,)`` float32, or ``(B, 5)``; see :class:`molrl.envs.design.MolDesignEnv`. Where the bag
        is empty, since the episode has ended, an action that is ignored.

    Example:
        >>> env = gym.make("MolDesign-v0", bag="CH4", energy="gfn2")  # doctest: +SKIP
        >>> observation, _ = env.reset(seed=0)  # doctest: +SKIP
        >>> action = random_actions(observation, np.random.default_rng(0))  # doctest: +SKIP
    """
    of_one = observation["focus_mask"].ndim == 1
    batch = {key: array[None] for key, array in observation.items()} if of_one else observation
    actions = _actions(batch, rng.random((len(batch["focus_mask"]), 5)), distances)
    drawn: NDArray[np.float32] = actions[0] if of_one else actions
    return drawn


def _actions(
    observation: Observation, noise: NDArray[np.float64], distances: tuple[float, float]
) -> NDArray[np.float32]:
    focus = _draw_index(observation["focus_mask"], noise[:, 0])
    element = _draw_index(observation["element_mask"], noise[:, 1])
    low, high = distances
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

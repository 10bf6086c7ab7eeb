"""Properties that the single and the vector environment share."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from molrl.energy.counting import CountedEnergy
from molrl.envs.config import EnvConfig
from molrl.envs.problem import Problem
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.tasks import Task


class ProblemMixin:
    """Mixin of an environment that has a problem.

    Attributes:
        problem: the task with the energy, the rules and the reward.
    """

    problem: Problem
    _state: CanvasState | None

    @property
    def config(self) -> EnvConfig:
        """The resolved configuration."""
        return self.problem.config

    @property
    def task(self) -> Task:
        """What to make."""
        return self.problem.task

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that an action chooses from, ascending."""
        return self.problem.elements

    @property
    def energy_model(self) -> CountedEnergy:
        """Energy model used for the reward; it counts the evaluations of this environment."""
        return self.problem.energy_model

    @property
    def state(self) -> CanvasState:
        """Current state; that of a single environment is a batch of one.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self._state is None:
            raise ResetNeeded("no episode has begun; call reset() first")
        return self._state


def to_int(seed: object) -> Any:  # noqa: ANN401 - Gymnasium checks what it is
    """Convert a NumPy integer to a Python one, which Gymnasium requires; return all else as is."""
    return int(seed) if isinstance(seed, np.integer) else seed


def to_options(options: object) -> dict[str, Any]:
    """Return the options of ``reset``.

    Raises:
        InputError: if they are no mapping.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        wanted = 'a mapping such as {"bag": "CH4"}'
        raise InputError(f"options of reset must be {wanted}, not {options!r}")
    return dict(options)

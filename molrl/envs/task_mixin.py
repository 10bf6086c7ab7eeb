"""Properties that the single and the vector environment share."""

from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from molrl.energy.counting import CountedEnergy
from molrl.envs.state import CanvasState
from molrl.envs.task import Task


class TaskMixin:
    """Mixin of an environment that has a task.

    Attributes:
        task: the task.
    """

    task: Task[Any]
    _state: CanvasState | None

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that an action chooses from, ascending."""
        return self.task.elements

    @property
    def energy_model(self) -> CountedEnergy:
        """Energy model used for the reward; it counts the evaluations of this environment."""
        return self.task.energy_model

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

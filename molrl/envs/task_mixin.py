"""What the single and the vector environment have in common: what they show of their task."""

from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from molrl.energy.counting import CountedEnergy
from molrl.envs.state import CanvasState
from molrl.envs.task import Task


class TaskMixin:
    """An environment on a task.

    Attributes:
        task: the task, resolved.
    """

    task: Task[Any]
    _state: CanvasState | None

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers an action chooses among, ascending."""
        return self.task.elements

    @property
    def energy_model(self) -> CountedEnergy:
        """The energy model used for the reward; it counts what this environment asks it."""
        return self.task.energy_model

    @property
    def state(self) -> CanvasState:
        """The canvases as they stand; of a single environment, a batch of one.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self._state is None:
            raise ResetNeeded("there is no episode going on; call reset() first")
        return self._state


def plain_seed(seed: object) -> Any:  # noqa: ANN401 - Gymnasium checks what it is
    """Return a NumPy integer as a Python one, which Gymnasium insists on; all else as it is."""
    return int(seed) if isinstance(seed, np.integer) else seed

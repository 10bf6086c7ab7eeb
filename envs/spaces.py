"""What agents see and do: the spaces of one environment, and observations of a state."""

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from molrl.envs.state import CanvasState

Observation = dict[str, NDArray[np.generic]]


def observation_space(n_elements: int, canvas_size: int, max_displacement: float) -> spaces.Dict:
    """The space of the observation of one canvas; see :func:`observe`.

    Args:
        n_elements: how many elements an action chooses among, E.
        canvas_size: slots of the canvas, N.
        max_displacement: Å along each axis, of a new atom from the focal one.
    """
    reach = np.float32(max_displacement * max(1, canvas_size - 1))
    return spaces.Dict(
        {
            "numbers": spaces.Box(0, 118, (canvas_size,), np.int64),
            "positions": spaces.Box(-reach, reach, (canvas_size, 3), np.float32),
            "bag": spaces.Box(0, canvas_size, (n_elements,), np.int64),
            "focus_mask": spaces.Box(0, 1, (canvas_size,), np.int8),
            "element_mask": spaces.Box(0, 1, (n_elements,), np.int8),
        }
    )


def action_space(n_elements: int, canvas_size: int, max_displacement: float) -> spaces.Box:
    """The space of an action, ``(5,)`` float32: focus slot, element index, dx, dy, dz in Å."""
    reach = [max_displacement] * 3
    low = np.array([0, 0, *(-r for r in reach)], np.float32)
    high = np.array([canvas_size - 1, n_elements - 1, *reach], np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def observe(state: CanvasState) -> Observation:
    """What agents see of B canvases, in arrays of its own.

    Returns:
        ``numbers (B, N)`` int64, ``positions (B, N, 3)`` float32 Å, ``bag (B, E)`` int64,
        ``focus_mask (B, N)`` int8: 1 for the slots that hold an atom, and for slot 0 of an empty
        canvas, where the focus does not matter, so that a masked choice is always possible;
        ``element_mask (B, E)`` int8: 1 for the elements still in the bag.
    """
    focus_mask = (state.numbers > 0).view(np.int8)
    focus_mask[:, 0] = 1
    return {
        "numbers": state.numbers.copy(),
        "positions": state.positions.copy(),
        "bag": state.bag.copy(),
        "focus_mask": focus_mask,
        "element_mask": (state.bag > 0).view(np.int8),
    }

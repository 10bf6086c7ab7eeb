"""Observation and action spaces of an environment, and observations of a state."""

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from molrl.envs.state import CanvasState

_ROUNDING = 1e-5  # relative error of sums of float32 displacements

Observation = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Layout:
    """Sizes that determine the spaces of an environment.

    Attributes:
        n_elements: number of elements that an action chooses from, E.
        canvas_size: number of slots of the canvas, N.
        max_displacement: Å along each axis, of a new atom from the focal atom.
        n_points: number of points of the shape, P; 0 in tasks without a shape.
        max_refills: number of refills of the bag; 0 in tasks without refills.
        fixed: whether there are fixed atoms.
    """

    n_elements: int
    canvas_size: int
    max_displacement: float
    n_points: int = 0
    max_refills: int = 0
    fixed: bool = False

    @property
    def reach(self) -> float:
        """Å along each axis: largest distance of an atom from the origin."""
        return self.max_displacement * max(1, self.canvas_size - 1)


def observation_space(layout: Layout) -> spaces.Dict:
    """Return the space of the observation of one canvas; see :func:`observe`."""
    n, e, p = layout.canvas_size, layout.n_elements, layout.n_points
    reach = np.float32(layout.reach * (1 + _ROUNDING))
    keys: dict[str, spaces.Space[NDArray[np.generic]]] = {
        "numbers": spaces.Box(0, 118, (n,), np.int64),
        "positions": spaces.Box(-reach, reach, (n, 3), np.float32),
        "bag": spaces.Box(0, n, (e,), np.int64),
        "focus_mask": spaces.Box(0, 1, (n,), np.int8),
        "element_mask": spaces.Box(0, 1, (e,), np.int8),
    }
    if p:
        keys["points"] = spaces.Box(-reach, reach, (p, 3), np.float32)
    if layout.max_refills:
        keys["refills"] = spaces.Box(0, layout.max_refills, (1,), np.int64)
    if layout.fixed:
        keys["n_fixed"] = spaces.Box(0, n, (1,), np.int64)
    return spaces.Dict(keys)


def action_space(layout: Layout) -> spaces.Box:
    """Return the space of an action, ``(5,)`` float32: focus slot, element, dx, dy, dz in Å."""
    reach = [layout.max_displacement] * 3
    low = np.array([0, 0, *(-r for r in reach)], np.float32)
    high = np.array([layout.canvas_size - 1, layout.n_elements - 1, *reach], np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def observe(state: CanvasState, layout: Layout) -> Observation:
    """Return the observation of B canvases; its arrays share no memory with the state.

    Args:
        state: B canvases.
        layout: sizes of the environment.

    Returns:
        ``numbers (B, N)`` int64, ``positions (B, N, 3)`` float32 Å, ``bag (B, E)`` int64,
        ``focus_mask (B, N)`` int8: 1 for slots that hold an atom, and for slot 0 of an empty
        canvas, where the focus does not matter, so that a masked choice is always possible;
        ``element_mask (B, E)`` int8: 1 for elements in the bag; in tasks that have them,
        ``points (B, P, 3)`` float32 Å, ``refills (B, 1)`` int64, and ``n_fixed (B, 1)`` int64, the
        number of fixed atoms, which fill the first slots.
    """
    focus_mask = (state.numbers > 0).view(np.int8)
    focus_mask[:, 0] = 1
    observation: Observation = {
        "numbers": state.numbers.copy(),
        "positions": state.positions.copy(),
        "bag": state.bag.copy(),
        "focus_mask": focus_mask,
        "element_mask": (state.bag > 0).view(np.int8),
    }
    if layout.n_points:
        observation["points"] = state.shape.copy()
    if layout.max_refills:
        observation["refills"] = state.refills[:, None].copy()
    if layout.fixed:
        observation["n_fixed"] = state.n_fixed[:, None].copy()
    return observation

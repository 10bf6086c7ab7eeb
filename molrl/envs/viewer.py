"""Rendering of a canvas as an image or as a table."""

from collections.abc import Callable

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from molrl.envs.state import CanvasState
from molrl.errors import InputError, did_you_mean

RENDER_MODES = ("rgb_array", "ansi")
RENDER_FPS = 4
IMAGE_SIZE = (400, 400)  # pixels: height, width

Image = NDArray[np.uint8]
Draw = Callable[[NDArray[np.int64], NDArray[np.float32]], Image]  # numbers (n,), positions (n, 3)


class Viewer:
    """Renderer of canvases in one render mode.

    Args:
        mode: ``"rgb_array"``, ``"ansi"`` or None.
        elements: atomic numbers of the bag's columns.
        draw: function that returns an image ``(height, width, 3)`` uint8 of atoms; None:
            :func:`draw_canvas`.

    Raises:
        InputError: if the mode is unknown, or ``draw`` is no function.
    """

    def __init__(self, mode: str | None, elements: tuple[int, ...], draw: Draw | None) -> None:
        if mode is not None and mode not in RENDER_MODES:
            hint = did_you_mean(str(mode), RENDER_MODES)
            raise InputError(f"unknown render mode {mode!r}; {hint}")
        if draw is not None and not callable(draw):
            raise InputError(f"draw must be a function of numbers and positions, not {draw!r}")
        self._mode, self._elements, self._draw = mode, elements, draw or draw_canvas

    def render(self, state: CanvasState, i: int, reward: float) -> Image | str:
        """Return an image or a table of one canvas.

        Args:
            state: B canvases.
            i: index of the canvas.
            reward: eV, of the last action.
        """
        n = int(state.n_atoms[i])
        numbers, positions = state.numbers[i, :n], state.positions[i, :n]
        if self._mode == "rgb_array":
            return self._draw(numbers, positions)
        left = [
            f"{chemical_symbols[z]}{count}"
            for z, count in zip(self._elements, state.bag[i].tolist(), strict=True)
            if count
        ]
        rows = [
            f"{slot:4d}  {chemical_symbols[z]:<2} " + " ".join(f"{x:9.3f}" for x in xyz)
            for slot, (z, xyz) in enumerate(zip(numbers, positions, strict=True))
        ]
        refills = f", refills left: {state.refills[i]}" if state.refills[i] else ""
        return "\n".join(
            [
                "slot  atom     x/Å       y/Å       z/Å",
                *rows,
                f"bag left: {' '.join(left) or 'nothing'}{refills}",
                f"energy: {state.energy[i]:.3f} eV   last reward: {reward:.3f} eV",
                "",
            ]
        )


def draw_canvas(numbers: NDArray[np.int64], positions: NDArray[np.float32]) -> Image:
    """Draw atoms as balls and sticks; see :func:`molrl.plotting.molecules.draw_molecule`.

    Args:
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float32, Å.

    Returns:
        ``(400, 400, 3)`` uint8.
    """
    from molrl.chemistry.bonds import bonded_atoms
    from molrl.molecules import MoleculeBatch
    from molrl.plotting.molecules import draw_molecule

    (bonds,) = bonded_atoms(MoleculeBatch.from_arrays([(numbers, positions)]))
    return draw_molecule(numbers, positions, bonds, size=IMAGE_SIZE)

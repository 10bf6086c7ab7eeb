"""Who draws the pictures: a canvas as an image or as a table."""

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from molrl.envs.state import CanvasState
from molrl.errors import InputError, did_you_mean

RENDER_MODES = ("rgb_array", "ansi")
RENDER_FPS = 4
IMAGE_SIZE = (400, 400)  # pixels: height, width


def checked_mode(render_mode: str | None) -> str | None:
    """The mode, if it is one.

    Raises:
        InputError: if it is not.
    """
    if render_mode is not None and render_mode not in RENDER_MODES:
        hint = did_you_mean(str(render_mode), RENDER_MODES)
        raise InputError(f"no render mode is called {render_mode!r}; {hint}")
    return render_mode


def render(
    mode: str, state: CanvasState, i: int, elements: tuple[int, ...], reward: float
) -> NDArray[np.uint8] | str:
    """Draw canvas ``i`` of a state.

    Args:
        mode: ``"rgb_array"`` or ``"ansi"``.
        state: B canvases.
        i: which.
        elements: atomic numbers of the bag's columns.
        reward: eV, of the last atom.

    Returns:
        ``(height, width, 3)`` uint8, or the text of a table.
    """
    n = int(state.n_atoms[i])
    numbers, positions = state.numbers[i, :n], state.positions[i, :n]
    if mode == "rgb_array":
        from molrl.chemistry.drawing import draw_molecule

        return draw_molecule(numbers, positions, size=IMAGE_SIZE)
    left = [
        f"{chemical_symbols[z]}{count}"
        for z, count in zip(elements, state.bag[i].tolist(), strict=True)
        if count
    ]
    rows = [
        f"{slot:4d}  {chemical_symbols[z]:<2} " + " ".join(f"{x:9.3f}" for x in xyz)
        for slot, (z, xyz) in enumerate(zip(numbers, positions, strict=True))
    ]
    return "\n".join(
        [
            "slot  atom     x/Å       y/Å       z/Å",
            *rows,
            f"bag left: {' '.join(left) or 'nothing'}",
            f"energy: {state.energy[i]:.3f} eV   last reward: {reward:.3f} eV",
            "",
        ]
    )

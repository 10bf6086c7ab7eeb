"""Molecules as the viewer of a report reads them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.data.colors import jmol_colors

from molrl.chemistry.bonds import bonded_atoms
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import ball_radii, view_axes

PER_ANGSTROM = 100  # coordinates are whole numbers of 0.01 Å, which keeps the file small


def describe_scene(frames: MoleculeBatch) -> list[dict[str, list[int]]]:
    """Return the frames of an animation for the viewer, seen from the broad side of the last.

    All frames are turned and shifted alike, so that atoms that stay do not move.

    Args:
        frames: at least one molecule.

    Returns:
        For each frame ``z``, the atomic numbers, ``x``, three coordinates of each atom in units of
        0.01 Å (to the right, up, to the eye), and ``b``, the two atoms of each bond.
    """
    arrays = frames.arrays()
    shown = next((x for _, x in reversed(arrays) if len(x)), np.zeros((1, 3)))
    axes, middle = view_axes(shown, wide=True), (shown.max(0) + shown.min(0)) / 2
    return [
        {
            "z": numbers.tolist(),
            "x": np.rint((positions - middle) @ axes.T * PER_ANGSTROM).astype(int).ravel().tolist(),
            "b": bonds.ravel().tolist(),
        }
        for (numbers, positions), bonds in zip(arrays, bonded_atoms(frames), strict=True)
    ]


def describe_elements(molecules: Iterable[MoleculeBatch]) -> dict[int, dict[str, Any]]:
    """Return how the viewer draws the elements of molecules, by atomic number.

    Args:
        molecules: any number of batches.

    Returns:
        ``symbol``, ``color`` (red, green and blue, 0 to 255) and ``radius`` (Å) of each.
    """
    numbers = sorted({number for batch in molecules for number in batch.numbers.tolist()})
    colors = np.rint(255 * jmol_colors[numbers]).astype(int).tolist()
    radii = ball_radii(np.array(numbers, np.int64)).round(3).tolist()
    return {
        number: {"symbol": chemical_symbols[number], "color": color, "radius": radius}
        for number, color, radius in zip(numbers, colors, radii, strict=True)
    }

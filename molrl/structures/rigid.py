"""Rotations of rigid molecules."""

import numpy as np
from scipy.spatial.transform import Rotation

from molrl.structures.structure import Structure, draw_direction


def turn(structure: Structure, rotation: np.ndarray) -> Structure:
    """Return a structure turned by a matrix ``(3, 3)``, its centre at the origin."""
    centred = structure.positions - structure.positions.mean(0)
    return structure.at(centred @ rotation.T, structure.kind)


def draw_spin(axis: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation ``(3, 3)`` about a unit vector, by any angle."""
    matrix: np.ndarray = Rotation.from_rotvec(axis * rng.uniform(0, 2 * np.pi)).as_matrix()
    return matrix


def draw_spin_up_to(axis: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation ``(3, 3)`` about a unit vector, by ``width`` of a radian or so."""
    matrix: np.ndarray = Rotation.from_rotvec(axis * rng.normal() * width).as_matrix()
    return matrix


def tilt(vector: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Return a unit vector near another, ``width`` of a radian away or so."""
    tilted = vector + rng.normal() * width * draw_direction(rng)
    out: np.ndarray = tilted / np.linalg.norm(tilted)
    return out

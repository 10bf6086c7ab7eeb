"""Rotations of rigid molecules."""

import numpy as np
from scipy.spatial.transform import Rotation

from molrl.structures.structure import Structure, draw_direction


def turn(structure: Structure, rotation: np.ndarray) -> Structure:
    """Return a structure turned by a matrix ``(3, 3)``, its centre at the origin."""
    centred = structure.positions - structure.positions.mean(0)
    return structure.at(centred @ rotation.T, structure.kind)


def align(vector: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation ``(3, 3)`` that turns one unit vector into another by the least angle."""
    cosine = float(vector @ target)
    if cosine < -0.999999:  # any axis that is at a right angle to both
        side = np.eye(3)[np.abs(vector).argmin()]
        axis = np.cross(vector, side)
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    axis = np.cross(vector, target)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation: np.ndarray = np.eye(3) + cross + cross @ cross / (1 + cosine)
    return rotation


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

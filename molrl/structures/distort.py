"""Distortions of structures: rattled, strained, twisted, pressed together, pulled apart."""

from dataclasses import replace

import numpy as np
from ase.data import covalent_radii

from molrl.structures.structure import (
    NEAREST,
    Structure,
    distances,
    draw_bond,
    draw_direction,
    draw_rotation,
)


def rattle(structure: Structure, rng: np.random.Generator, width: float, kind: str) -> Structure:
    """Move every coordinate by a normal deviate of ``width`` Å."""
    moved = structure.positions + rng.normal(size=structure.positions.shape) * width
    return structure.at(moved, kind)


def strain(structure: Structure, rng: np.random.Generator, size: float, kind: str) -> Structure:
    """Stretch all positions by 1 + ε, ε a random symmetric matrix of spectral norm ``size``."""
    matrix = rng.normal(size=(3, 3))
    epsilon = matrix + matrix.T
    epsilon *= size / np.linalg.norm(epsilon, ord=2)
    return structure.at(structure.positions @ (np.eye(3) + epsilon), kind)


def press_together(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """Press a random atom towards another, the rest left in place.

    They end up at 0.25 to 0.75 of the sum of their covalent radii, 0.3 Å apart at least.
    """
    n = len(structure)
    mover, target = rng.choice(n, size=2, replace=False)
    gap = structure.positions[mover] - structure.positions[target]
    away = draw_direction(rng) if rng.random() < 0.5 else gap / np.linalg.norm(gap)
    moved = structure.positions.copy()
    radii = covalent_radii[structure.numbers[[mover, target]]].sum()
    moved[mover] = moved[target] + away * max(0.3, rng.uniform(0.25, 0.75) * radii)
    return structure.at(moved, "clash") if distances(moved).min() > NEAREST else None


def pull_apart(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """Move the two sides of a random bond that is in no ring 0.2 to 4 Å further apart."""
    split = _split(structure, rng)
    if split is None:
        return None
    _, axis, side = split
    shift = axis * rng.uniform(0.2, 4.0) + rng.normal(size=3) * 0.2
    moved = structure.positions + np.where(side[:, None], 0.0, shift)
    return structure.at(moved, "fragments") if distances(moved).min() > NEAREST else None


def twist(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """Turn one side of a random bond that is in no ring about it, by any angle."""
    from scipy.spatial.transform import Rotation

    split = _split(structure, rng)
    if split is None:
        return None
    origin, axis, side = split
    turn = Rotation.from_rotvec(axis * rng.uniform(0, 2 * np.pi))
    turned = turn.apply(structure.positions - origin) + origin
    moved = np.where(side[:, None], structure.positions, turned)
    return structure.at(moved, "twisted")


def _split(
    structure: Structure, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """A point on a random bond, its direction, and ``(n,)`` bool the atoms on the near side.

    None as of :func:`molrl.structures.structure.draw_bond`.
    """
    drawn = draw_bond(structure, rng)
    if drawn is None:
        return None
    i, j, side = drawn
    axis = structure.positions[j] - structure.positions[i]
    return structure.positions[i], axis / np.linalg.norm(axis), side


def place_beside(a: Structure, b: Structure, rng: np.random.Generator) -> Structure:
    """Put two structures side by side, their nearest atoms 1.2 to 5 Å apart, turned at random."""
    turned = (b.positions - b.positions.mean(0)) @ draw_rotation(rng).T
    heading = draw_direction(rng)
    gap = rng.uniform(1.2, 5.0)
    start = a.positions.mean(0)
    reach = 0.0
    while _nearest(a.positions, turned + start + heading * reach) < gap:
        reach += 0.1
    both = a.plus(b.numbers, turned + start + heading * reach, "fragments")
    return replace(both, charge=a.charge + b.charge)


def _nearest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())

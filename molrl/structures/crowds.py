"""Crowds of atoms that no chemist would draw, but that a clash guard allows.

An agent that is rewarded for low energies finds where an energy model has never been: many
hydrogens or fluorines about one atom, dense clusters, rings and chains of one element.
"""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from molrl.bags import Bag
from molrl.structures.build import take_prefix
from molrl.structures.rigid import tilt
from molrl.structures.structure import (
    Structure,
    distances,
    draw_direction,
    draw_rotation,
)

_LIGANDS = (4, 14)
_SHELL = (0.65, 1.6)  # of the sum of covalent radii
_ATOMS = (4, 13)  # of a cluster
_ADDED = (3, 10)  # to a canvas
_CHAIN = (3, 12)
_SPARE = 1.001  # above the guard, so that rounding to float32 does not break it
_GOLDEN = np.pi * (3 - np.sqrt(5))


def surround(number: int, ligands: np.ndarray, rng: np.random.Generator, guard: float) -> Structure:
    """Put ligands about one atom, nearly evenly on all sides.

    Their distances are 0.65 to 1.6 times the sum of covalent radii, larger where the ligands
    would be too close to each other.

    Args:
        number: the central element.
        ligands: ``(n,)`` atomic numbers.
        rng: the random numbers.
        guard: smallest distance of two atoms as a share of the sum of their covalent radii.

    Returns:
        A structure of kind ``crowd``, the central atom first.
    """
    numbers = np.array([number, *ligands])
    directions = _spread(len(ligands), rng)
    radii = covalent_radii[ligands] + covalent_radii[number]
    share = rng.uniform(*_SHELL) if rng.random() < 0.5 else rng.uniform(0.7, 1.25)
    spread = rng.uniform(0.0, 0.15)
    while True:
        shares = np.maximum(share * (1 + spread * rng.normal(size=len(ligands))), _SHELL[0])
        positions = np.vstack([np.zeros(3), directions * (shares * radii)[:, None]])
        if _behind_guard(numbers, positions, guard):
            return _crowd(numbers, positions)
        share *= 1.05


def _spread(n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, 3)`` unit vectors on a spiral, each tilted a little, in any order."""
    height = 1 - 2 * (np.arange(n) + 0.5) / n
    angle = _GOLDEN * np.arange(n)
    radius = np.sqrt(1 - height**2)
    even = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)
    width = rng.uniform(0.0, 0.25)
    turned = rng.permutation(even) @ draw_rotation(rng).T
    return np.array([tilt(vector, width, rng) for vector in turned])


def crowd_canvas(
    structure: Structure, elements: Sequence[int], rng: np.random.Generator, guard: float
) -> Structure | None:
    """Add 3 to 10 atoms to a half-built molecule, all about one of its atoms.

    Args:
        structure: a molecule.
        elements: of the new atoms; most are H or F where these are among them.
        rng: the random numbers.
        guard: smallest distance of two atoms as a share of the sum of their covalent radii.

    Returns:
        A structure of kind ``crowd``; None if nothing could be built or fewer than 3 atoms fit.
    """
    start = take_prefix(structure, rng)
    if start is None or not _behind_guard(start.numbers, start.positions, guard):
        return None
    numbers, positions = start.numbers, start.positions
    focus = int(rng.integers(len(numbers)))
    for number in draw_ligands(int(rng.integers(_ADDED[0], _ADDED[1] + 1)), elements, rng):
        at = _room(numbers, positions, int(number), np.full(12, focus), rng, guard)
        if at is not None:
            numbers, positions = np.append(numbers, number), np.vstack([positions, at[:1]])
    added = len(numbers) - len(start)
    if added < _ADDED[0]:
        return None
    return start.plus(numbers[-added:], positions[-added:], "crowd")


def pack_atoms(numbers: np.ndarray, rng: np.random.Generator, guard: float) -> Structure:
    """Pack atoms, each at the innermost of a few random places near others.

    Args:
        numbers: ``(n,)`` atomic numbers, in the order of placing.
        rng: the random numbers.
        guard: smallest distance of two atoms as a share of the sum of their covalent radii.

    Returns:
        A structure of kind ``crowd``.
    """
    positions = np.zeros((1, 3))
    for count in range(1, len(numbers)):
        at = None
        while at is None:
            focus = rng.integers(count, size=12)
            at = _room(numbers[:count], positions, int(numbers[count]), focus, rng, guard)
        inner = np.linalg.norm(at - positions.mean(0), axis=-1).argmin()
        positions = np.vstack([positions, at[inner]])
    return _crowd(numbers, positions)


def draw_chain(number: int, rng: np.random.Generator, guard: float) -> Structure:
    """Draw a ring or an open, bent chain of 3 to 12 atoms of one element.

    Args:
        number: the element.
        rng: the random numbers.
        guard: smallest distance of two atoms as a share of the sum of their covalent radii.

    Returns:
        A structure of kind ``crowd``, its neighbours 0.75 to 1.5 bond lengths apart.
    """
    n = int(rng.integers(_CHAIN[0], _CHAIN[1] + 1))
    length = 2 * covalent_radii[number] * rng.uniform(max(0.75, 1.01 * guard), 1.5)
    index = np.arange(n)
    if rng.random() < 0.6:
        angle = 2 * np.pi * index / n
        radius = length / (2 * np.sin(np.pi / n))
        flat = radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    else:
        bend = rng.uniform(0.0, 0.6)  # radian, of each bond from the axis of the chain
        zigzag = (index % 2) * length * np.sin(bend)
        flat = np.stack([index * length * np.cos(bend), zigzag, 0 * zigzag], axis=-1)
    pucker = rng.uniform(0, 0.3) * length
    flat[:, 2] += pucker * (index % 2)
    width = rng.uniform(0.0, 0.1) * length
    numbers = np.full(n, number)
    while True:
        positions = flat + rng.normal(size=flat.shape) * width
        if _behind_guard(numbers, positions, guard):
            return _crowd(numbers, positions)
        width *= 0.8


def draw_crowd(
    canvas: Structure, elements: Sequence[int], rng: np.random.Generator, guard: float
) -> Structure | None:
    """Draw a crowd of any sort.

    Of ten, four are ligands about one atom, three are on a half-built molecule, two are packed
    atoms of any composition, and one is a ring or chain.

    Args:
        canvas: a molecule to crowd.
        elements: atomic numbers of all atoms.
        rng: the random numbers.
        guard: smallest distance of two atoms as a share of the sum of their covalent radii.

    Returns:
        A structure of kind ``crowd``; None if there is no room about the atom of the canvas.
    """
    sort = rng.random()
    if sort < 0.4:
        n = int(rng.integers(_LIGANDS[0], _LIGANDS[1] + 1))
        return surround(int(rng.choice(elements)), draw_ligands(n, elements, rng), rng, guard)
    if sort < 0.7:
        return crowd_canvas(canvas, elements, rng, guard)
    if sort < 0.9:
        n = int(rng.integers(_ATOMS[0], _ATOMS[1] + 1))
        few = rng.choice(elements, size=int(rng.integers(1, 4)))
        return pack_atoms(rng.choice(few, size=n), rng, guard)
    return draw_chain(int(rng.choice(elements)), rng, guard)


def draw_ligands(n: int, elements: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Draw ``(n,)`` ligands: of H, of F, of both, or with a third of other elements."""
    light = [z for z in (1, 9) if z in elements] or list(elements)
    sort = rng.random()
    if sort < 0.7:
        return np.full(n, light[0] if sort < 0.4 else light[-1])
    other = rng.random(n) < (0.0 if sort < 0.85 else 0.35)
    return np.where(other, rng.choice(elements, size=n), rng.choice(light, size=n))


def _crowd(numbers: np.ndarray, positions: np.ndarray) -> Structure:
    return Structure(numbers, positions, "crowd", f"crowd:{Bag(numbers).formula}")


def _behind_guard(numbers: np.ndarray, positions: np.ndarray, guard: float) -> bool:
    radii = covalent_radii[numbers]
    limits = _SPARE * guard * (radii[:, None] + radii)
    return bool((distances(positions) >= limits).all())


def _room(
    numbers: np.ndarray,
    positions: np.ndarray,
    number: int,
    focus: np.ndarray,
    rng: np.random.Generator,
    guard: float,
) -> np.ndarray | None:
    """Places for one atom more, one tried about each atom of ``focus``; None if all are taken."""
    directions = np.array([draw_direction(rng) for _ in focus])
    radii = covalent_radii[numbers] + covalent_radii[number]
    reach = rng.uniform(*_SHELL, size=len(focus)) * radii[focus]
    at = positions[focus] + directions * reach[:, None]
    gaps = np.linalg.norm(at[:, None] - positions, axis=-1)
    free: np.ndarray = at[(gaps >= _SPARE * guard * radii).all(-1)]
    return free if len(free) else None

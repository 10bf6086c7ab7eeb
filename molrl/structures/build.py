"""Structures on the way to a molecule: half-built, with one atom more, random walks, pairs."""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from molrl.structures.structure import (
    NEAREST,
    Structure,
    draw_direction,
    find_bonds,
    guard_ratio,
)


def take_prefix(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """Take a connected prefix, of 2 atoms or more, of a random order of placing the atoms.

    Heavy atoms come first with a random bias, so that skeletons without hydrogens are as common
    as fragments that carry all of theirs.
    """
    n = len(structure)
    if n < 3:
        return None
    bonded = find_bonds(structure)
    heavy_atom_bias = rng.choice([1.0, 4.0, 30.0])
    weight = np.where(structure.numbers > 1, heavy_atom_bias, 1.0)
    heavy = np.flatnonzero(structure.numbers > 1)
    start = int(rng.choice(heavy)) if len(heavy) and rng.random() < 0.85 else int(rng.integers(n))
    chosen = [start]
    for _ in range(int(rng.integers(2, n)) - 1):
        reach = np.asarray(bonded[chosen].any(axis=0))
        reach[chosen] = False
        candidates = np.flatnonzero(reach)
        if not len(candidates):
            break
        share = weight[candidates]
        chosen.append(int(rng.choice(candidates, p=share / share.sum())))
    return structure.only(chosen, "half-built") if len(chosen) > 1 else None


def place_atom(
    structure: Structure, number: int, rng: np.random.Generator, guard: float | None
) -> Structure | None:
    """Add one atom at any angle round a random atom, 0.5 to 2.5 Å from it.

    Two thirds are at the distances that an agent tries, 0.7 to 2.0 Å.

    Args:
        structure: the atoms in place.
        number: the element of the new atom.
        rng: the random numbers.
        guard: refuse positions closer to any atom than this share of the covalent radii's sum;
            None to refuse only those closer than :data:`NEAREST`.

    Returns:
        The larger structure; None if 20 tries found no position.
    """
    for _ in range(20):
        low, high = (0.7, 2.0) if rng.random() < 0.67 else (0.5, 2.5)
        focus = structure.positions[rng.integers(len(structure))]
        where = focus + draw_direction(rng) * rng.uniform(low, high)
        if guard is None:
            near = np.linalg.norm(structure.positions - where, axis=-1).min() < NEAREST
        else:
            near = guard_ratio(structure.numbers, structure.positions, number, where) < guard
        if not near:
            return structure.plus(np.array([number]), where[None], "placed")
    return None


def make_pair(numbers: Sequence[int], distance: float) -> Structure:
    """Return two atoms at a distance in Å."""
    a, b = sorted(int(z) for z in numbers)
    return Structure(
        numbers=np.array([a, b]),
        positions=np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]]),
        kind="pair",
        identity=f"pair:{a}-{b}:{distance:.4f}",
    )


def build_random_walk(
    bag: Sequence[int], identity: str, rng: np.random.Generator, guard: float
) -> Structure:
    """Build what an untrained agent builds: atom after atom at a random distance and angle.

    Half of the steps go to about the length of a bond, so that what agents build a little later
    is there too. A step that would break the guard is drawn again; after 50 tries the walk ends.

    Args:
        bag: atomic numbers, taken in random order, a heavy atom first.
        identity: the name of the structure.
        rng: the random numbers.
        guard: smallest distance as a share of the covalent radii's sum.
    """
    order = rng.permutation(np.asarray(bag))
    order = np.concatenate([order[order > 1], order[order == 1]]) if rng.random() < 0.4 else order
    first = int(np.argmax(order > 1))
    order[[0, first]] = order[[first, 0]]
    positions = np.zeros((1, 3))
    for count, number in enumerate(order[1:], start=1):
        where = _step(order[:count], positions, int(number), rng, guard)
        if where is None:
            break
        positions = np.concatenate([positions, where[None]])
    return Structure(order[: len(positions)].copy(), positions, "random walk", identity)


def _step(
    numbers: np.ndarray,
    positions: np.ndarray,
    number: int,
    rng: np.random.Generator,
    guard: float,
) -> np.ndarray | None:
    weight = np.where(numbers > 1, 5.0, 1.0)
    for _ in range(50):
        focus = int(rng.choice(len(numbers), p=weight / weight.sum()))
        bond = covalent_radii[numbers[focus]] + covalent_radii[number]
        length = rng.normal(bond, 0.1) if rng.random() < 0.5 else rng.uniform(0.7, 2.0)
        where: np.ndarray = positions[focus] + draw_direction(rng) * length
        if guard_ratio(numbers, positions, number, where) >= guard:
            return where
    return None

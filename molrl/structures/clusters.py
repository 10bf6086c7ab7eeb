"""Clusters of small molecules at about the density of a liquid."""

from collections.abc import Sequence

import numpy as np

from molrl.structures.complexes import contact_shares, join_molecules, move_into_contact
from molrl.structures.hydrogen_bonds import bond_by_hydrogen
from molrl.structures.rigid import turn
from molrl.structures.structure import Structure, draw_direction, draw_rotation

_SIZES = (3, 20)
_TRIES = 10  # places of which the innermost is taken
_SHARES = (0.78, 1.02)  # of the sum of van der Waals radii, at the nearest contact
_HYDROGEN_BONDED = 0.6
_CLOSEST = 0.64  # share; other contacts of a molecule at the end of a hydrogen bond


def draw_cluster_size(rng: np.random.Generator) -> int:
    """Draw how many molecules a cluster has: 3 to 20, four times in five fewer than 10."""
    low, high = _SIZES
    return int(rng.integers(low, 10) if rng.random() < 0.8 else rng.integers(10, high + 1))


def build_cluster(molecules: Sequence[Structure], rng: np.random.Generator) -> Structure:
    """Pack molecules one after another, each at the innermost of several places.

    Most of the places are at the end of a hydrogen bond where there can be one, the others at
    contact on a random line towards the middle.

    Args:
        molecules: what to pack, two or more, in order.
        rng: the random numbers.

    Returns:
        A structure of kind ``cluster``, its parts the molecules.
    """
    placed = [turn(molecules[0], draw_rotation(rng))]
    for molecule in molecules[1:]:
        around = join_molecules(placed, "cluster")
        middle = around.positions.mean(0)
        found = [_place(molecule, placed, around, rng) for _ in range(_TRIES)]
        distances = [np.linalg.norm(m.positions.mean(0) - middle) for m in found]
        placed.append(found[int(np.argmin(distances))])
    return join_molecules(placed, "cluster")


def _place(
    molecule: Structure, placed: Sequence[Structure], around: Structure, rng: np.random.Generator
) -> Structure:
    if rng.random() < _HYDROGEN_BONDED:
        bonded = bond_by_hydrogen(molecule, placed[int(rng.integers(len(placed)))], rng)
        if bonded is not None and contact_shares(around, bonded).min() >= _CLOSEST:
            return bonded
    turned = turn(molecule, draw_rotation(rng))
    middle = around.positions.mean(0) + rng.normal(size=3) * 0.5
    centred = turned.at(turned.positions + middle, molecule.kind)
    while True:  # the lines of a few directions pass through no atom
        moved = move_into_contact(around, centred, draw_direction(rng), rng.uniform(*_SHARES))
        if moved is not None:
            return moved

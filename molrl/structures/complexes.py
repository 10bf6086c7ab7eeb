"""Complexes of molecules that do not overlap, and pairs of them at all distances."""

from collections.abc import Sequence

import numpy as np
from ase.data import vdw_radii

from molrl.chemistry.geometry import align
from molrl.structures.hydrogen_bonds import bond_by_hydrogen, bond_twice
from molrl.structures.rigid import draw_spin, tilt, turn
from molrl.structures.structure import (
    Structure,
    draw_direction,
    draw_rotation,
    find_bonds,
)

_SCAN = np.array([0.65, 0.72, 0.8, 0.9, 1.0, 1.15, 1.4, 1.8])  # shares, each at the next at most
_SHARES = ((0.75, 1.3), (1.3, 2.2), (0.6, 0.75))  # of the sum of van der Waals radii
_SHARE_WEIGHTS = (0.6, 0.25, 0.15)
_CLOSEST = 0.6  # no two atoms of a pair of molecules are closer than this share
_HYDROGEN_BONDED, _STACKED, _POINTED = 0.4, 0.5, 0.5  # of the pairs that can be
_TWICE = 0.4  # of the hydrogen-bonded pairs that can be
_ABOVE = (2.1, 3.4)  # Å, of a hydrogen above a plane that it points at
_FLAT = 0.1  # Å; heavy atoms of a flat molecule are as near to a plane
_TRIES = 8


def join_molecules(molecules: Sequence[Structure], kind: str) -> Structure:
    """Return molecules as one structure, at the positions that they have.

    Args:
        molecules: one or more, neutral or charged.
        kind: of the result.

    Returns:
        The structure; its parts are the molecules, and its identity is that of the largest joined
        with the others in alphabetical order, as ``CCO.O``.
    """
    largest = max(molecules, key=lambda m: ((m.numbers > 1).sum(), len(m), m.identity))
    others = sorted(m.identity for m in molecules if m is not largest)
    return Structure(
        numbers=np.concatenate([m.numbers for m in molecules]),
        positions=np.concatenate([m.positions for m in molecules]),
        kind=kind,
        identity=".".join([largest.identity, *others]),
        charge=sum(m.charge for m in molecules),
        part=np.repeat(np.arange(len(molecules)), [len(m) for m in molecules]),
    )


def contact_shares(a: Structure, b: Structure) -> np.ndarray:
    """Return ``(n_a, n_b)`` distances as shares of the sums of van der Waals radii (Bondi)."""
    gaps = np.linalg.norm(a.positions[:, None] - b.positions, axis=-1)
    shares: np.ndarray = gaps / (vdw_radii[a.numbers][:, None] + vdw_radii[b.numbers])
    return shares


def move_into_contact(
    fixed: Structure, moving: Structure, heading: np.ndarray, share: float
) -> Structure | None:
    """Move a molecule along a line until its nearest contact is a share of the radii's sum.

    It comes from far away, from where the unit vector ``heading`` points to.

    Args:
        fixed: the atoms in place.
        moving: the molecule that moves.
        heading: ``(3,)``.
        share: of the sum of the van der Waals radii of two atoms.

    Returns:
        The molecule at its place; None if it passes the others without contact.
    """
    # |r + t u| = s is a quadratic equation in t for each pair of atoms; the first contact on the
    # way in is the largest root of all pairs.
    apart = moving.positions - fixed.positions[:, None]
    along = apart @ heading
    radii = vdw_radii[fixed.numbers][:, None] + vdw_radii[moving.numbers]
    inside = along**2 - (apart**2).sum(-1) + (share * radii) ** 2
    met = inside >= 0
    if not met.any():
        return None
    shift = (np.sqrt(inside[met]) - along[met]).max()
    return moving.at(moving.positions + shift * heading, moving.kind)


def draw_dimer(a: Structure, b: Structure, rng: np.random.Generator) -> Structure | None:
    """Put two molecules side by side: hydrogen-bonded, stacked, or in any orientation.

    Of those that have a donor and an acceptor 40 % are hydrogen-bonded, once or twice; half of the
    other pairs of flat molecules are stacked, and in half of the pairs with one, a hydrogen points
    at its plane. In the others the nearest atoms are mostly 0.75 to 1.3 times the
    sum of their van der Waals radii apart, the farthest 2.2 times and the nearest 0.6.

    Args:
        a: one molecule.
        b: the other, which may be the same.
        rng: the random numbers.

    Returns:
        A structure of kind ``dimer`` in two parts; None if the molecules would overlap.
    """
    if rng.random() < _HYDROGEN_BONDED:
        bonded = _without_overlap(a, b, rng)
        if bonded is not None:
            return bonded
    if is_flat(a) and is_flat(b) and rng.random() < _STACKED:
        return stack(a, b, rng)
    if (is_flat(a) or is_flat(b)) and rng.random() < _POINTED:
        return point_at_plane(a, b, rng) if is_flat(a) else point_at_plane(b, a, rng)
    low, high = rng.choice(_SHARES, p=_SHARE_WEIGHTS)
    return put_in_contact(a, b, rng.uniform(low, high), rng)


def put_in_contact(
    a: Structure, b: Structure, share: float, rng: np.random.Generator
) -> Structure | None:
    """Turn a molecule at random, and put it where its nearest contact is ``share``."""
    turned = turn(b, draw_rotation(rng))
    # A line through an atom of each meets at least those two.
    start = a.positions[rng.integers(len(a))] - turned.positions[rng.integers(len(b))]
    moved = move_into_contact(
        a, turned.at(turned.positions + start, b.kind), draw_direction(rng), share
    )
    return moved and join_molecules([a, moved], "dimer")


def _without_overlap(a: Structure, b: Structure, rng: np.random.Generator) -> Structure | None:
    """A hydrogen-bonded pair, either molecule the donor; None if there is none without overlap."""
    if rng.random() < 0.5:
        a, b = b, a
    twice = rng.random() < _TWICE
    for _ in range(_TRIES):
        placed = bond_twice(a, b, rng) if twice else None
        placed = placed or bond_by_hydrogen(a, b, rng)
        if placed is None:
            return None
        if contact_shares(placed, b).min() >= _CLOSEST - 0.02:
            return join_molecules([placed, b], "dimer")
    return None


def is_flat(structure: Structure) -> bool:
    """Return whether a molecule has five or more heavy atoms, all in one plane."""
    heavy = structure.positions[structure.numbers > 1]
    if len(heavy) < 5:
        return False
    return bool(np.abs((heavy - heavy.mean(0)) @ _normal(heavy)).max() < _FLAT)


def _normal(positions: np.ndarray) -> np.ndarray:
    normal: np.ndarray = np.linalg.svd(positions - positions.mean(0))[2][2]
    return normal


def stack(a: Structure, b: Structure, rng: np.random.Generator) -> Structure | None:
    """Stack two flat molecules: planes parallel, 3.2 to 4 Å apart, and slid by up to 2.5 Å.

    Args:
        a: one flat molecule.
        b: the other.
        rng: the random numbers.

    Returns:
        A structure of kind ``dimer`` in two parts; None if atoms out of the plane overlap.
    """
    up = np.array([0.0, 0.0, 1.0])
    flat = []
    for molecule in (a, b):
        heavy = molecule.positions[molecule.numbers > 1]
        normal = _normal(heavy) * rng.choice([-1.0, 1.0])
        rotation = draw_spin(up, rng) @ align(normal, up)
        flat.append(molecule.at((molecule.positions - heavy.mean(0)) @ rotation.T, molecule.kind))
    angle, slide = rng.uniform(0, 2 * np.pi), 2.5 * np.sqrt(rng.random())
    shift = np.array([slide * np.cos(angle), slide * np.sin(angle), rng.uniform(3.2, 4.0)])
    above = flat[1].at(flat[1].positions + shift, b.kind)
    if contact_shares(flat[0], above).min() < _CLOSEST:
        return None
    return join_molecules([flat[0], above], "dimer")


def point_at_plane(flat: Structure, other: Structure, rng: np.random.Generator) -> Structure | None:
    """Place a molecule so that one of its hydrogens points at the plane of a flat molecule.

    The hydrogen is 2.1 to 3.4 Å above the middle of the plane, up to 1.2 Å off, its bond tilted at
    random: as water, ammonia and other rings lie on benzene.

    Args:
        flat: the flat molecule, which stays.
        other: the other.
        rng: the random numbers.

    Returns:
        A structure of kind ``dimer`` in two parts; None without a bonded hydrogen, or if the
        molecules would overlap.
    """
    bonds = np.argwhere(find_bonds(other) & (other.numbers == 1))
    if not len(bonds):
        return None
    x, h = bonds[rng.integers(len(bonds))]
    heavy = flat.positions[flat.numbers > 1]
    up = _normal(heavy) * rng.choice([-1.0, 1.0])
    bond = other.positions[h] - other.positions[x]
    down = tilt(-up, 0.3, rng)
    rotation = draw_spin(down, rng) @ align(bond / np.linalg.norm(bond), down)
    aside = np.cross(up, draw_direction(rng)) * 1.2 * np.sqrt(rng.random())
    at = heavy.mean(0) + up * rng.uniform(*_ABOVE) + aside
    placed = other.at((other.positions - other.positions[h]) @ rotation.T + at, other.kind)
    if contact_shares(placed, flat).min() < _CLOSEST:
        return None
    return join_molecules([flat, placed], "dimer")


def scan_dimer(dimer: Structure, rng: np.random.Generator) -> list[Structure]:
    """Move the second molecule of a pair away along the line of the nearest contact.

    Args:
        dimer: a structure in two parts.
        rng: the random numbers.

    Returns:
        Structures of the same kind, their nearest contacts at eight shares from 0.65 to 2.2 of the
        sum of van der Waals radii.
    """
    assert dimer.part is not None
    first, second = (dimer.only(np.flatnonzero(dimer.part == i), dimer.kind) for i in (0, 1))
    i, j = np.unravel_index(contact_shares(first, second).argmin(), (len(first), len(second)))
    heading = second.positions[j] - first.positions[i]
    heading /= np.linalg.norm(heading)
    made = []
    for low, high in zip(_SCAN, [*_SCAN[1:], 2.2], strict=True):
        moved = move_into_contact(first, second, heading, rng.uniform(low, high))
        if moved is not None:  # another pair of atoms may meet first, but never none
            made.append(dimer.at(np.concatenate([first.positions, moved.positions]), dimer.kind))
    return made

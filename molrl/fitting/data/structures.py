"""Structures off the equilibrium: distorted, half-built, crowded, pulled apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.data import covalent_radii

NEAREST = 0.25  # Å; atoms are never put closer than this: no label there is of use
_BONDED = 1.3  # atoms closer than this share of the covalent radii's sum are bonded


@dataclass(frozen=True)
class Structure:
    """A structure to be labelled.

    Attributes:
        numbers: ``(n,)`` int64.
        positions: ``(n, 3)`` float64, Å.
        kind: what sort of structure it is.
        identity: the molecule it came from.
    """

    numbers: np.ndarray
    positions: np.ndarray
    kind: str
    identity: str

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, positions: np.ndarray, kind: str) -> "Structure":
        """The same atoms elsewhere."""
        return replace(self, positions=positions, kind=kind)

    def only(self, atoms: np.ndarray | Sequence[int], kind: str) -> "Structure":
        """Some of the atoms, in the order given."""
        index = np.asarray(atoms)
        return replace(
            self, numbers=self.numbers[index], positions=self.positions[index], kind=kind
        )

    def plus(self, numbers: np.ndarray, positions: np.ndarray, kind: str) -> "Structure":
        """The structure with more atoms behind its own."""
        return replace(
            self,
            numbers=np.concatenate([self.numbers, numbers]),
            positions=np.concatenate([self.positions, positions]),
            kind=kind,
        )


def distances(positions: np.ndarray) -> np.ndarray:
    """``(n, n)`` distances with infinity on the diagonal, Å."""
    out: np.ndarray = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(out, np.inf)
    return out


def guard_ratio(
    numbers: np.ndarray, positions: np.ndarray, new_number: int, new_position: np.ndarray
) -> float:
    """The smallest distance of a new atom, as a share of the sum of covalent radii."""
    radii = covalent_radii[numbers] + covalent_radii[new_number]
    return float((np.linalg.norm(positions - new_position, axis=-1) / radii).min())


def direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector, uniform on the sphere."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def bonds(structure: Structure) -> np.ndarray:
    """``(n, n)`` bool: which atoms are close enough to be bonded."""
    radii = covalent_radii[structure.numbers]
    near: np.ndarray = distances(structure.positions) < _BONDED * (radii[:, None] + radii[None])
    return near


def rattled(structure: Structure, rng: np.random.Generator, width: float, kind: str) -> Structure:
    """Every coordinate moved by a normal deviate of ``width`` Å."""
    moved = structure.positions + rng.normal(size=structure.positions.shape) * width
    return structure.at(moved, kind)


def strained(structure: Structure, rng: np.random.Generator, size: float, kind: str) -> Structure:
    """All positions stretched by 1 + ε, ε a random symmetric matrix of spectral norm ``size``."""
    matrix = rng.normal(size=(3, 3))
    strain = matrix + matrix.T
    strain *= size / np.linalg.norm(strain, ord=2)
    return structure.at(structure.positions @ (np.eye(3) + strain), kind)


def half_built(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """A connected prefix, of 2 atoms or more, of a random order of placing the atoms.

    Heavy atoms come first with a random zeal, so that skeletons without hydrogens are as common
    as fragments that carry all of theirs.
    """
    n = len(structure)
    if n < 3:
        return None
    bonded = bonds(structure)
    zeal = rng.choice([1.0, 4.0, 30.0])
    weight = np.where(structure.numbers > 1, zeal, 1.0)
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


def placed(
    structure: Structure, number: int, rng: np.random.Generator, guard: float | None
) -> Structure | None:
    """One atom more at any angle round a random atom, 0.5 to 2.5 Å from it.

    Two thirds are at the distances that an agent tries, 0.7 to 2.0 Å.

    Args:
        structure: what stands.
        number: the element of the new atom.
        rng: the source of chance.
        guard: refuse what is closer to any atom than this share of the covalent radii's sum;
            None to refuse only what is closer than :data:`NEAREST`.
    """
    for _ in range(20):
        low, high = (0.7, 2.0) if rng.random() < 0.67 else (0.5, 2.5)
        focus = structure.positions[rng.integers(len(structure))]
        where = focus + direction(rng) * rng.uniform(low, high)
        if guard is None:
            near = np.linalg.norm(structure.positions - where, axis=-1).min() < NEAREST
        else:
            near = guard_ratio(structure.numbers, structure.positions, number, where) < guard
        if not near:
            return structure.plus(np.array([number]), where[None], "placed")
    return None


def clash(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """A random atom pressed towards another, the rest left in place.

    They end up at 0.25 to 0.75 of the sum of their covalent radii, 0.3 Å apart at least.
    """
    n = len(structure)
    mover, target = rng.choice(n, size=2, replace=False)
    gap = structure.positions[mover] - structure.positions[target]
    away = direction(rng) if rng.random() < 0.5 else gap / np.linalg.norm(gap)
    moved = structure.positions.copy()
    radii = covalent_radii[structure.numbers[[mover, target]]].sum()
    moved[mover] = moved[target] + away * max(0.3, rng.uniform(0.25, 0.75) * radii)
    return structure.at(moved, "clash") if distances(moved).min() > NEAREST else None


def pulled_apart(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """The two sides of a random bond that is in no ring, 0.2 to 4 Å further apart."""
    split = _split(structure, rng)
    if split is None:
        return None
    _, axis, side = split
    shift = axis * rng.uniform(0.2, 4.0) + rng.normal(size=3) * 0.2
    moved = structure.positions + np.where(side[:, None], 0.0, shift)
    return structure.at(moved, "frag") if distances(moved).min() > NEAREST else None


def twisted(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """One side of a random bond that is in no ring turned about it, by any angle."""
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

    None if there is no bond, or the bond is in a ring.
    """
    bonded = bonds(structure)
    pairs = np.argwhere(np.triu(bonded))
    if not len(pairs):
        return None
    i, j = pairs[rng.integers(len(pairs))]
    cut: np.ndarray = bonded.copy()
    cut[i, j] = cut[j, i] = False
    side: np.ndarray = np.zeros(len(structure), dtype=bool)
    side[i] = True
    for _ in range(len(structure)):
        side |= cut[side].any(0)
    if side[j]:
        return None
    axis = structure.positions[j] - structure.positions[i]
    return structure.positions[i], axis / np.linalg.norm(axis), side


def beside(a: Structure, b: Structure, rng: np.random.Generator) -> Structure:
    """Two structures side by side, their nearest atoms 1.2 to 5 Å apart, turned at random."""
    turned = (b.positions - b.positions.mean(0)) @ rotation(rng).T
    heading = direction(rng)
    gap = rng.uniform(1.2, 5.0)
    start = a.positions.mean(0)
    reach = 0.0
    while _nearest(a.positions, turned + start + heading * reach) < gap:
        reach += 0.1
    return a.plus(b.numbers, turned + start + heading * reach, "frag")


def rotation(rng: np.random.Generator) -> np.ndarray:
    """A rotation matrix, uniform over all."""
    from scipy.spatial.transform import Rotation

    matrix: np.ndarray = Rotation.random(rng=rng).as_matrix()
    return matrix


def _nearest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())


def pair(numbers: Sequence[int], distance: float) -> Structure:
    """Two atoms at a distance in Å."""
    a, b = sorted(int(z) for z in numbers)
    return Structure(
        numbers=np.array([a, b]),
        positions=np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]]),
        kind="pair",
        identity=f"pair:{a}-{b}:{distance:.4f}",
    )


def random_walk(
    bag: Sequence[int], identity: str, rng: np.random.Generator, guard: float
) -> Structure:
    """What an untrained agent builds: atom after atom at a random distance and angle.

    Half of the steps go to about the length of a bond, so that what agents build a little later
    is there too. A step that would break the guard is thrown again; after many it is the end.

    Args:
        bag: atomic numbers, taken in random order, a heavy atom first.
        identity: what to call it.
        rng: the source of chance.
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
    return Structure(order[: len(positions)].copy(), positions, "walk", identity)


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
        where: np.ndarray = positions[focus] + direction(rng) * length
        if guard_ratio(numbers, positions, number, where) >= guard:
            return where
    return None

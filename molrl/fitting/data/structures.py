"""Structures off the equilibrium: distorted, half-built, crowded, pulled apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.data import covalent_radii

from molrl.molecules import MoleculeBatch

NEAREST = 0.25  # Å; atoms are never put closer than this: labels there are of no use
_BONDED = 1.3  # atoms closer than this share of the covalent radii's sum are bonded


@dataclass(frozen=True)
class Structure:
    """A structure to be labelled.

    Attributes:
        numbers: ``(n,)`` int64.
        positions: ``(n, 3)`` float64, Å.
        kind: what sort of structure it is.
        identity: the molecule it came from.
        charge: total charge, e.
        spin: multiplicity 2S + 1; None for the lowest that the electrons allow.
        part: ``(n,)`` int64, index of the molecule that an atom belongs to; None for one molecule.
    """

    numbers: np.ndarray
    positions: np.ndarray
    kind: str
    identity: str
    charge: int = 0
    spin: int | None = None
    part: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, positions: np.ndarray, kind: str) -> "Structure":
        """Return the same atoms at other positions."""
        return replace(self, positions=positions, kind=kind)

    def only(self, atoms: np.ndarray | Sequence[int], kind: str) -> "Structure":
        """Return some of the atoms in the order given, with the charge and of the lowest spin."""
        index = np.asarray(atoms)
        return replace(
            self,
            numbers=self.numbers[index],
            positions=self.positions[index],
            kind=kind,
            spin=None,
            part=None if self.part is None else self.part[index],
        )

    def plus(self, numbers: np.ndarray, positions: np.ndarray, kind: str) -> "Structure":
        """Return the structure with more, neutral atoms behind its own, of the lowest spin."""
        return replace(
            self,
            numbers=np.concatenate([self.numbers, numbers]),
            positions=np.concatenate([self.positions, positions]),
            kind=kind,
            spin=None,
            part=None,
        )


def to_batch(structures: Sequence[Structure], dtype: torch.dtype = torch.float64) -> MoleculeBatch:
    """Return the structures as one batch, with their charges and spins.

    Args:
        structures: what to put together.
        dtype: of the positions.
    """
    batch = MoleculeBatch.from_arrays(((s.numbers, s.positions) for s in structures), dtype)
    batch = batch.charged([s.charge for s in structures])
    lowest = batch.spin.tolist()
    spin = [low if s.spin is None else s.spin for s, low in zip(structures, lowest, strict=True)]
    return replace(batch, spin=torch.tensor(spin, dtype=torch.int64))


def to_structures(
    molecules: MoleculeBatch, kind: str, identities: Sequence[str]
) -> list[Structure]:
    """Return the molecules of a batch as structures, with their charges and spins.

    Args:
        molecules: the batch.
        kind: of all of them.
        identities: of each.
    """
    charges, spins = molecules.charge.tolist(), molecules.spin.tolist()
    return [
        Structure(numbers, positions, kind, identity, charge, spin)
        for (numbers, positions), identity, charge, spin in zip(
            molecules.arrays(), identities, charges, spins, strict=True
        )
    ]


def distances(positions: np.ndarray) -> np.ndarray:
    """Return ``(n, n)`` distances with infinity on the diagonal, Å."""
    out: np.ndarray = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(out, np.inf)
    return out


def guard_ratio(
    numbers: np.ndarray, positions: np.ndarray, new_number: int, new_position: np.ndarray
) -> float:
    """Return the smallest distance of a new atom, as a share of the sum of covalent radii."""
    radii = covalent_radii[numbers] + covalent_radii[new_number]
    return float((np.linalg.norm(positions - new_position, axis=-1) / radii).min())


def draw_direction(rng: np.random.Generator) -> np.ndarray:
    """Draw a unit vector, uniform on the sphere."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def find_bonds(structure: Structure) -> np.ndarray:
    """Return ``(n, n)`` bool: which atoms are close enough to be bonded."""
    radii = covalent_radii[structure.numbers]
    near: np.ndarray = distances(structure.positions) < _BONDED * (radii[:, None] + radii[None])
    return near


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

    None if there is no bond, or the bond is in a ring.
    """
    bonded = find_bonds(structure)
    pairs = np.argwhere(np.triu(bonded))
    if not len(pairs):
        return None
    i, j = pairs[rng.integers(len(pairs))]
    cut: np.ndarray = bonded.copy()
    cut[i, j] = cut[j, i] = False
    # Grow the side of atom i along the remaining bonds; if that reaches j, the bond is in a ring.
    side: np.ndarray = np.zeros(len(structure), dtype=bool)
    side[i] = True
    for _ in range(len(structure)):
        side |= cut[side].any(0)
    if side[j]:
        return None
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


def draw_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation matrix, uniform over all."""
    from scipy.spatial.transform import Rotation

    matrix: np.ndarray = Rotation.random(rng=rng).as_matrix()
    return matrix


def _nearest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())


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

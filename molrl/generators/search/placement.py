"""Random sensible structures: atoms of a bag at random places where they can bond.

Random structure search (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011)) begins with
random structures that keep what is known beforehand: the composition, a volume that fits it,
smallest separations by pair of elements, and how many neighbours an atom has.
"""

from dataclasses import dataclass, replace

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from molrl.bags import valences
from molrl.chemistry.monovalent import MONOVALENT
from molrl.tasks import Instance

VOLUME = 15.0  # Å³ per atom, of the sphere about the centre in which atoms are placed
_BOND = (0.9, 1.1)  # of the sum of covalent radii: a new atom from the one that it bonds to
_APART = (1.0, 1.4)  # the same: from all others at least; one value for each structure
_BONDED = 1.3  # the same: closer atoms are neighbours
_MULTIPLE = 5.0  # how much likelier neighbours form a multiple bond than two others a ring
_TRIES, _PLACES = 4, 32  # times that places are drawn for one atom, and how many at once


@dataclass(frozen=True, eq=False)
class Geometry:
    """The atoms of an instance at some positions, the fixed ones first.

    Attributes:
        instance: what is made.
        numbers: ``(n,)`` int64, atomic numbers; those of the bag in descending order.
        positions: ``(n, 3)`` float64, Å.
    """

    instance: Instance
    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]

    @property
    def n_fixed(self) -> int:
        """Number of fixed atoms."""
        return len(self.instance.fixed)

    def at(self, positions: NDArray[np.float64]) -> "Geometry":
        """Return the same atoms at other positions ``(n, 3)``, Å."""
        return replace(self, positions=positions)


def place_atoms(instance: Instance, rng: np.random.Generator) -> Geometry:
    """Place the atoms of a bag at random: those that form several bonds first, in random order.

    Each is put at the length of a bond from an atom in place that has a free valence, and apart
    from all others.

    Args:
        instance: the bag, and fixed atoms if there are any.
        rng: the random numbers.

    Example:
        >>> place_atoms(Instance(Bag("CH4")), np.random.default_rng(0)).positions.shape
        (5, 3)
    """
    fixed = instance.fixed
    bag = np.array(sorted(instance.bag.numbers, reverse=True), np.int64)
    numbers = np.concatenate([fixed.numbers, bag])
    single = MONOVALENT[bag]
    while True:  # now and then the atoms in place leave no room for the next
        order = np.concatenate([rng.permutation(np.flatnonzero(~single)), np.flatnonzero(single)])
        order = np.concatenate([np.arange(len(fixed)), len(fixed) + order])
        placed = _try_all(numbers[order], instance, rng)
        if placed is not None:
            positions = np.empty_like(placed)
            positions[order] = placed
            return Geometry(instance, numbers, positions)


def is_apart(numbers: NDArray[np.int64], positions: NDArray[np.float64], share: float) -> bool:
    """Return whether no two atoms are closer than a share of the sum of their covalent radii.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Å.
        share: of the sum.
    """
    return bool((relative_distances(numbers, positions) >= share).all())


def relative_distances(
    numbers: NDArray[np.int64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(n, n)`` distances over sums of covalent radii, infinite on the diagonal."""
    radii = covalent_radii[numbers]
    out: NDArray[np.float64] = np.linalg.norm(positions[:, None] - positions, axis=-1)
    out /= radii[:, None] + radii
    np.fill_diagonal(out, np.inf)
    return out


def _try_all(
    numbers: NDArray[np.int64], instance: Instance, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Return ``(n, 3)`` Å, the atoms placed in the order given; None where one has no place."""
    n, n_fixed = len(numbers), len(instance.fixed)
    free = np.array([valences(number)[0] for number in numbers.tolist()], np.float64)
    free[:n_fixed] = _free_valences(instance)
    last = int(MONOVALENT[numbers[n_fixed:]].sum())
    apart = rng.uniform(*_APART)
    radius = np.cbrt(3 / (4 * np.pi) * VOLUME * n)
    x = instance.fixed.positions if n_fixed else np.zeros((1, 3))
    while (k := len(x)) < n:
        if n - k == last:
            _reserve(free[:k], x, numbers[:k], last, rng)
        weights = _weights(numbers[:k], free[:k])
        found = _place(numbers[: k + 1], x, weights, apart, radius, rng)
        if found is None:
            return None
        focus, place = found
        x = np.vstack([x, place])
        free[[focus, k]] -= 1
    return x


def _reserve(
    free: NDArray[np.float64],
    x: NDArray[np.float64],
    numbers: NDArray[np.int64],
    n_left: int,
    rng: np.random.Generator,
) -> None:
    """Take the free valences that ``n_left`` monovalent atoms do not fill from ``free (k,)``.

    They are taken in pairs: of neighbours, which form a double or triple bond in the relaxation,
    or of others, which close a ring. Without this, most are left on atoms that have no partner.
    """
    near = relative_distances(numbers, x) < _BONDED
    for _ in range(int(free.clip(min=0).sum() - n_left) // 2):
        pairs = np.outer(free.clip(min=0), free.clip(min=0)) * np.where(near, _MULTIPLE, 1.0)
        np.fill_diagonal(pairs, 0.0)
        if not pairs.any():
            return
        chosen = rng.choice(pairs.size, p=pairs.ravel() / pairs.sum())
        free[list(divmod(int(chosen), len(free)))] -= 1


def _free_valences(instance: Instance) -> NDArray[np.float64]:
    """Return ``(n_fixed,)``, how many atoms each fixed atom can bond to.

    At attachment points it is their number; where there are none, what the neighbours leave of the
    valence.
    """
    fixed = instance.fixed
    if fixed.ends:
        ends = np.bincount([atom for atom, _ in fixed.ends], minlength=len(fixed))
        return ends.astype(np.float64)
    near = (relative_distances(fixed.numbers, fixed.positions) < _BONDED).sum(-1)
    most = np.array([valences(number)[0] for number in fixed.numbers.tolist()], np.float64)
    left: NDArray[np.float64] = most - near
    return left


def _weights(numbers: NDArray[np.int64], free: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(k,)``, how likely the next atom bonds to each: its free valences.

    Where none is left, as in ions and hypervalent molecules, it is any atom of several bonds.
    """
    weights = free.clip(min=0)
    if not weights.any():
        weights = (~MONOVALENT[numbers]).astype(float)
    if not weights.any():
        weights = np.ones(len(numbers))
    normed: NDArray[np.float64] = weights / weights.sum()
    return normed


def _place(
    numbers: NDArray[np.int64],
    x: NDArray[np.float64],
    weights: NDArray[np.float64],
    apart: float,
    radius: float,
    rng: np.random.Generator,
) -> tuple[int, NDArray[np.float64]] | None:
    """Return the atom that the last of ``numbers (k + 1,)`` bonds to, and its place ``(3,)``.

    Places that are not free, or further than ``radius`` from the centre of the others, are drawn
    again; None if none is found.
    """
    radii = covalent_radii[numbers[-1]] + covalent_radii[numbers[:-1]]
    for _ in range(_TRIES):
        focus = rng.choice(len(x), _PLACES, p=weights)
        shift = rng.normal(size=(_PLACES, 3))
        lengths = rng.uniform(*_BOND, _PLACES) * radii[focus]
        places = x[focus] + shift * (lengths / np.linalg.norm(shift, axis=-1))[:, None]
        gaps = np.linalg.norm(places[:, None] - x, axis=-1) / radii
        gaps[np.arange(_PLACES), focus] = np.inf
        inside = np.linalg.norm(places - x.mean(0), axis=-1) < radius
        good = np.flatnonzero((gaps >= apart).all(-1) & inside)
        if len(good):
            return int(focus[good[0]]), places[good[0]]
    return None

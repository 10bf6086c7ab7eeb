"""Random sensible structures: atoms of a bag at random places where they can bond.

Random structure search (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011)) begins with
random structures that keep what is known beforehand: the composition, a volume that fits it,
smallest separations by pair of elements, and how many neighbours an atom has.
"""

from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

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
_EASIER = 1.02  # by which room grows with every attempt: it fits any atoms in the end
_CLOSEST = 0.7  # of the sum of covalent radii: closer atoms would be torn apart by the relaxation
_MULTIPLE = 4.0  # how much likelier neighbours form a multiple bond than two others a ring
_PULLS, _SHARE = 60, 0.3  # steps that close rings, and the share of what lacks in each
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
        >>> from molrl.bags import Bag
        >>> place_atoms(Instance(Bag("CH4")), np.random.default_rng(0)).positions.shape
        (5, 3)
    """
    fixed = instance.fixed
    bag = np.array(sorted(instance.bag.numbers, reverse=True), np.int64)
    numbers = np.concatenate([fixed.numbers, bag])
    single = MONOVALENT[bag]
    volume = VOLUME * len(numbers)
    for attempt in count():  # now and then the atoms in place leave no room for the next
        room = _Room(
            radius=np.cbrt(3 / (4 * np.pi) * volume) * _EASIER ** min(attempt, 200),
            apart=rng.uniform(*_APART) / _EASIER ** min(attempt, 200),
        )
        order = np.concatenate([rng.permutation(np.flatnonzero(~single)), np.flatnonzero(single)])
        order = np.concatenate([np.arange(len(fixed)), len(fixed) + order])
        placed = _try_all(numbers[order], instance, room, rng)
        if placed is not None:
            break
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


class _Room(NamedTuple):
    """Where atoms may be placed.

    Attributes:
        radius: Å, the largest distance from the centre of the others.
        apart: the smallest distance from atoms that are not bonded, over the sum of radii.
    """

    radius: float
    apart: float


def _try_all(
    numbers: NDArray[np.int64], instance: Instance, room: _Room, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Return ``(n, 3)`` Å, the atoms placed in the order given; None where one has no place."""
    n, n_fixed = len(numbers), len(instance.fixed)
    free = np.array([valences(number)[0] for number in numbers.tolist()], np.float64)
    free[:n_fixed] = _free_valences(instance)
    last = int(MONOVALENT[numbers[n_fixed:]].sum())
    x = instance.fixed.positions if n_fixed else np.zeros((1, 3))
    while (k := len(x)) <= n:
        if n - k == last and k > 1:  # the skeleton is complete
            bonded = _pair_valences(free[:k], x, numbers[:k], last, rng)
            x = _close_rings(x, numbers[:k], bonded, room.apart, n_fixed)
            if not is_apart(numbers[:k], x, _CLOSEST):
                return None
        if k == n:
            break
        weights = _weights(numbers[:k], free[:k])
        found = _place(numbers[: k + 1], x, weights, room, rng)
        if found is None:
            return None
        focus, place = found
        x = np.vstack([x, place])
        free[[focus, k]] -= 1
    return x


def _pair_valences(
    free: NDArray[np.float64],
    x: NDArray[np.float64],
    numbers: NDArray[np.int64],
    n_left: int,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Take the free valences that ``n_left`` monovalent atoms do not fill from ``free (k,)``.

    They are taken in pairs: of neighbours, which form a double or triple bond in the relaxation,
    or of others, which close a ring. Without this, most are left on atoms that have no partner.

    Returns:
        ``(k, k)`` which atoms are bonded, those that close rings included.
    """
    bonded = relative_distances(numbers, x) < _BONDED
    likely = np.where(bonded, _MULTIPLE, 1.0)
    for _ in range(int(free.clip(min=0).sum() - n_left) // 2):
        pairs = np.outer(free.clip(min=0), free.clip(min=0)) * likely
        np.fill_diagonal(pairs, 0.0)
        if not pairs.any():
            break
        chosen = rng.choice(pairs.size, p=pairs.ravel() / pairs.sum())
        first, second = divmod(int(chosen), len(free))
        free[[first, second]] -= 1
        if bonded[first, second]:  # else the second of a triple bond would be too rare
            likely[first, second] = likely[second, first] = _MULTIPLE**2
        bonded[first, second] = bonded[second, first] = True
    return bonded


def _close_rings(
    x: NDArray[np.float64],
    numbers: NDArray[np.int64],
    bonded: NDArray[np.bool_],
    apart: float,
    n_fixed: int,
) -> NDArray[np.float64]:
    """Return ``(k, 3)`` Å, where bonded atoms are at the length of a bond and others apart.

    Each pair that is too far or too close moves by a share of what is lacking, again and again.
    """
    radii = covalent_radii[numbers]
    length = radii[:, None] + radii
    lower = np.where(bonded, _BOND[0], apart) * length
    upper = np.where(bonded, _BOND[1] * length, np.inf)
    np.fill_diagonal(lower, 0.0)
    for _ in range(_PULLS):
        gaps = x[:, None] - x
        distance = np.linalg.norm(gaps, axis=-1)
        lack = np.maximum(lower - distance, 0.0) + np.minimum(upper - distance, 0.0)
        if not lack.any():
            break
        shift = (_SHARE * lack / np.maximum(distance, 1e-9))[..., None] * gaps
        shift[:n_fixed] = 0.0
        x = x + shift.sum(1)
    return x


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
    room: _Room,
    rng: np.random.Generator,
) -> tuple[int, NDArray[np.float64]] | None:
    """Return the atom that the last of ``numbers (k + 1,)`` bonds to, and its place ``(3,)``.

    Places without room are drawn again; None if none is found.
    """
    radii = covalent_radii[numbers[-1]] + covalent_radii[numbers[:-1]]
    for _ in range(_TRIES):
        focus = rng.choice(len(x), _PLACES, p=weights)
        shift = rng.normal(size=(_PLACES, 3))
        lengths = rng.uniform(*_BOND, _PLACES) * radii[focus]
        places = x[focus] + shift * (lengths / np.linalg.norm(shift, axis=-1))[:, None]
        gaps = np.linalg.norm(places[:, None] - x, axis=-1) / radii
        gaps[np.arange(_PLACES), focus] = np.inf
        inside = np.linalg.norm(places - x.mean(0), axis=-1) < room.radius
        good = np.flatnonzero((gaps >= room.apart).all(-1) & inside)
        if len(good):
            return int(focus[good[0]]), places[good[0]]
    return None

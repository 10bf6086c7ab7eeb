"""Bonds of a skeleton, and their orders, by the distances between its atoms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array

from molrl.bags import valences

# Covalent radii of single, double and triple bonds, Å (Pyykkö and Atsumi, Chem. Eur. J. 15 (2009)
# 186 and 12770; Pyykkö et al., Chem. Eur. J. 11 (2005) 3511).
_RADII = {
    6: (0.75, 0.67, 0.60),
    7: (0.71, 0.60, 0.54),
    8: (0.63, 0.57, 0.53),
    9: (0.64, 0.59, 0.53),
    16: (1.03, 0.94, 0.95),
}
ELEMENTS = tuple(_RADII)
BONDED = 1.25  # times the length of a single bond
_WIDTH = 0.08  # Å, deviation of a bond's length from the ideal one that costs 1/2
_BROKEN = 0.25  # Å beyond a single bond from which on a bond of order 0 is cheaper
_OPEN = 20.0  # cost of a valence that lone pairs open, as in sulfoxides


@dataclass(frozen=True)
class BondOrders:
    """The bonds of a skeleton.

    Attributes:
        pairs: ``(n_bonds, 2)`` int64, indices of bonded atoms.
        orders: ``(n_bonds,)`` int64, 1 to 3.
        hydrogens: ``(n_atoms,)`` int64, how many each atom is to get.
    """

    pairs: NDArray[np.int64]
    orders: NDArray[np.int64]
    hydrogens: NDArray[np.int64]

    @property
    def connected(self) -> bool:
        """Whether the bonds connect all atoms."""
        return len(np.unique(self.fragments())) == 1

    def fragments(self) -> NDArray[np.int64]:
        """Return which fragment each atom is in, ``(n_atoms,)``; numbers may be missing."""
        label = np.arange(len(self.hydrogens))
        for i, j in self.pairs:
            label[label == label[j]] = label[i]
        return label


@dataclass(frozen=True)
class Hydrogens:
    """The hydrogens of a skeleton.

    Attributes:
        wanted: how many the atoms are to get altogether; None: as many as valences are left.
        held: ``(n_atoms,)`` int64, how many each has already; None for none.
        full: ``(n_atoms,)`` bool, atoms that get none; None for no such atoms.

    Example:
        >>> Hydrogens(wanted=4).held is None
        True
    """

    wanted: int | None = None
    held: NDArray[np.int64] | None = None
    full: NDArray[np.bool_] | None = None


def assign_orders(
    numbers: NDArray[np.int64], positions: NDArray[np.float64], hydrogens: Hydrogens
) -> BondOrders | None:
    """Find the bond orders that fit the lengths of bonds best and satisfy all valences.

    An integer programme: for each pair of atoms near enough, one of the orders 0 to 3, whose costs
    are the squared deviations from typical lengths.

    Args:
        numbers: ``(n,)`` atomic numbers of heavy atoms, of :data:`ELEMENTS`.
        positions: ``(n, 3)`` Å.
        hydrogens: those that the atoms have, and are to get.

    Returns:
        The bonds; None if no orders satisfy the valences.

    Example:
        >>> positions = np.array([[0, 0, 0], [0, 0, 1.21]])
        >>> found = assign_orders(np.array([6, 8]), positions, Hydrogens(2))
        >>> found.orders, found.hydrogens
        (array([2]), array([2, 0]))
    """
    pairs, costs = _candidates(numbers, positions)
    n, m = len(numbers), len(pairs)
    choices = [valences(int(z)) for z in numbers]
    lowest = np.array([choice[0] for choice in choices])
    opened = np.array([(choice[-1] - choice[0]) // 2 for choice in choices])
    if hydrogens.held is not None:
        lowest = lowest - hydrogens.held
    # Unknowns: which of the four orders each pair has, and the lone pairs of each atom that open.
    cost = np.concatenate([costs.ravel(), np.full(n, _OPEN)])
    used, one = _used_valence(pairs, n), _one_order(m, n)
    least = (
        np.full(n, -np.inf) if hydrogens.full is None else np.where(hydrogens.full, lowest, -np.inf)
    )
    constraints = [LinearConstraint(used, least, lowest)]
    if m:
        constraints.append(LinearConstraint(one, 1, 1))
    if hydrogens.wanted is not None:
        total = lowest.sum() - hydrogens.wanted
        constraints.append(LinearConstraint(np.asarray(used.sum(0))[None], total, total))
    upper = np.concatenate([np.ones(4 * m), opened])
    whole = np.ones(len(cost))
    found = milp(cost, constraints=constraints, integrality=whole, bounds=Bounds(0, upper))
    if not found.success:
        return None
    x = found.x.round()
    orders = x[: 4 * m].reshape(-1, 4).argmax(1)
    left = lowest - np.asarray(used @ x)
    kept = orders > 0
    return BondOrders(pairs[kept], orders[kept], left.round().astype(np.int64))


def _used_valence(pairs: NDArray[np.int64], n: int) -> csr_array:
    """Return the matrix from the unknowns to the valence that each atom has used."""
    m = len(pairs)
    atom, bond = pairs.T.ravel(), np.tile(np.arange(m), 2)  # of first, then of second atoms
    rows = np.concatenate([np.repeat(atom, 4), np.arange(n)])
    order = np.arange(4)
    columns = np.concatenate([(4 * bond[:, None] + order).ravel(), 4 * m + np.arange(n)])
    values = np.concatenate([np.tile(order, 2 * m), np.full(n, -2)]).astype(float)
    return coo_array((values, (rows, columns)), shape=(n, 4 * m + n)).tocsr()


def _one_order(m: int, n: int) -> csr_array:
    """Return the matrix from the unknowns to the number of orders that each pair has."""
    columns = np.arange(4 * m)
    return coo_array((np.ones(4 * m), (columns // 4, columns)), shape=(m, 4 * m + n)).tocsr()


def _candidates(
    numbers: NDArray[np.int64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs ``(m, 2)`` near enough for a bond, and the cost ``(m, 4)`` of each order."""
    radii = np.array([_RADII[int(z)] for z in numbers]).reshape(-1, 3)
    first, second = np.triu_indices(len(numbers), 1)
    length = np.linalg.norm(positions[first] - positions[second], axis=1)
    ideal = radii[first] + radii[second]
    near = length < BONDED * ideal[:, 0]
    first, second, length, ideal = first[near], second[near], length[near], ideal[near]
    bonded = 0.5 * ((length[:, None] - ideal) / _WIDTH) ** 2
    broken = 0.5 * (np.maximum(0, 2 * _BROKEN - (length - ideal[:, 0])) / _WIDTH) ** 2
    pairs = np.stack([first, second], 1).astype(np.int64).reshape(-1, 2)
    return pairs, np.concatenate([broken[:, None], bonded], 1)

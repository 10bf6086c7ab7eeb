"""Which atoms are bonded, by their distances and angles."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from rdkit import Chem

from molrl.chemistry.valence import METALS

TOLERANCE = 0.45  # Å, bonds are shorter than the sum of the covalent radii and this
LONG = 1.1  # length relative to the sum of the covalent radii that no strained bond exceeds much
SHORT = 1.0  # the same for two of boron and silicon, whose diagonals are shorter: B2O2, Si2O2
OF_METALS = 0.95  # the same for metals, whose radii are large: Na and C of a carboxylate
BRIDGE = 1.35  # the same for both bonds of a hydrogen between two atoms
OVERLAP = 0.65  # of the sum of the covalent radii; no two atoms of a molecule are closer
FEW = 100  # atoms; of larger molecules not all pairs are looked at, which are n² / 2
DIAGONAL = 0.1  # by which the diagonal of a four-membered ring is longer than the sides, relative

_ALKALI, _ALKALINE_EARTHS = [3, 11, 19, 37, 55, 87], [4, 12, 20, 38, 56, 88]
_MAX_BONDS = {1: 1, 2: 0, 5: 4, 6: 4, 7: 4, 8: 3, 9: 1, 10: 0, 14: 6, 15: 6, 16: 6, 17: 6}
_MAX_BONDS |= dict.fromkeys(_ALKALI, 1) | dict.fromkeys(_ALKALINE_EARTHS, 4)
_TABLE = Chem.GetPeriodicTable()
_RADII = np.array([0.0, *(_TABLE.GetRcovalent(z) for z in range(1, 119))])
_IONIC = np.isin(np.arange(119), [*_ALKALI, *_ALKALINE_EARTHS])
_LONGEST = np.where(np.isin(np.arange(119), [5, 14]), SHORT, LONG)
_LONGEST[[*METALS]] = OF_METALS


def bonded_pairs(numbers: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bonds of a molecule.

    Two atoms are bonded if they are closer than the sum of their covalent radii (Cordero et al.,
    Dalton Trans. 2832 (2008)) and :data:`TOLERANCE`, except across a four-membered ring: the
    diagonal of a square of shorter bonds is none, as in bicyclo[1.1.1]pentane (1.87 Å) or
    1,3-dioxetane. An atom with too many bonds loses its longest. Of alkali and alkaline earth
    metals that have a neighbour of another kind, no two are bonded.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)``, Å.

    Returns:
        ``(n_bonds, 2)`` int64 indices of atoms, and ``(n_bonds,)`` lengths relative to the sums of
        the covalent radii.
    """
    first, second, relative = _close_pairs(numbers, positions, 1.0, TOLERANCE)
    pairs = np.stack((first, second), axis=1)
    is_long = relative > _longest(numbers[pairs])
    if _IONIC[numbers].any():
        apart_from_metals = ~_between_ions(numbers, pairs)
        pairs, relative = pairs[apart_from_metals], relative[apart_from_metals]
        is_long = is_long[apart_from_metals]
    if is_long.any() or _has_crowded(numbers, pairs):
        kept = _pruned(numbers.tolist(), pairs.tolist(), relative.tolist(), is_long.tolist())
        return pairs[kept], relative[kept]
    return pairs, relative


def overlapping(numbers: np.ndarray, positions: np.ndarray) -> tuple[int, int] | None:
    """Return the indices of two atoms that are closer than any bond, or None.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)``, Å.
    """
    first, second, _ = _close_pairs(numbers, positions, OVERLAP)
    return (int(first[0]), int(second[0])) if len(first) else None


def has_bridge(numbers: np.ndarray, positions: np.ndarray) -> bool:
    """Return whether a hydrogen is as near to a second atom as a bond, as in B2H6 or HF2-.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)``, Å.
    """
    first, second, _ = _close_pairs(numbers, positions, BRIDGE)
    degrees = np.bincount(np.concatenate((first, second)), minlength=len(numbers))
    return bool((degrees[numbers == 1] > 1).any())


def _longest(pairs: np.ndarray) -> np.ndarray:
    """Return ``(n,)``: relative lengths above which bonds between elements may be diagonals."""
    of_each = _LONGEST[pairs]
    longest: np.ndarray = np.where((of_each == OF_METALS).any(1), OF_METALS, of_each.max(axis=1))
    return longest


def _between_ions(numbers: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return ``(n_pairs,)``: pairs of ionic metals, one of which has another neighbour."""
    both = _IONIC[numbers[pairs]].all(axis=1)
    has_other = np.zeros(len(numbers), bool)
    has_other[pairs[~both].ravel()] = True
    between: np.ndarray = both & has_other[pairs].any(axis=1)
    return between


def _close_pairs(
    numbers: np.ndarray, positions: np.ndarray, factor: float, allowance: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs closer than ``factor`` sums of their covalent radii and an allowance, Å.

    Atoms whose coordinates are not finite are close to none.

    Returns:
        The first atoms ``(n_pairs,)``, the second ones, which have the higher index, and lengths
        relative to the sums of the radii; in the order of the first atoms, then of the second.
    """
    radii = _RADII[numbers]
    if len(numbers) <= FEW:
        first, second = _all_pairs(len(numbers))
    else:
        first, second = _pairs_within(positions, 2 * factor * radii.max() + allowance)
    apart = positions[first] - positions[second]
    sums = radii[first] + radii[second]
    lengths = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    close = np.flatnonzero(lengths < factor * sums + allowance)
    return first[close], second[close], lengths[close] / sums[close]


def _pairs_within(positions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs within this distance, Å, and others, in the order of :func:`_all_pairs`."""
    from scipy.spatial import KDTree

    finite = np.flatnonzero(np.isfinite(positions).all(axis=1))  # a tree takes no others
    # Squares of greater coordinates would overflow; cut off, no two atoms are further apart.
    tree = KDTree(positions[finite].clip(-1e100, 1e100))
    # A little further than asked, since distances are rounded otherwise in the tree.
    found = tree.query_pairs(1.001 * reach, output_type="ndarray")
    found = found[np.lexsort(found.T[::-1])]
    return finite[found[:, 0]], finite[found[:, 1]]


@cache
def _all_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(n, 1)


@cache
def _max_bonds() -> np.ndarray:
    return np.array([_MAX_BONDS.get(z, 8) for z in range(119)])


def _has_crowded(numbers: np.ndarray, pairs: np.ndarray) -> bool:
    degrees = np.bincount(pairs.ravel(), minlength=len(numbers))
    return bool((degrees > _max_bonds()[numbers]).any())


def _pruned(
    numbers: Sequence[int],
    pairs: Sequence[Sequence[int]],
    relative: Sequence[float],
    is_long: Sequence[bool],
) -> list[int]:
    """Return the indices of the bonds that are kept; only long ones can be diagonals."""
    length = {(i, j): x for (i, j), x in zip(pairs, relative, strict=True)}
    long = {(i, j) for (i, j), x in zip(pairs, is_long, strict=True) if x}
    near: list[set[int]] = [set() for _ in numbers]
    for i, j in pairs:
        near[i].add(j)
        near[j].add(i)
    most = [_MAX_BONDS.get(z, 8) for z in numbers]
    # The longest bonds first: where both diagonals of a square are there, neither is a side.
    for i, j in sorted(length, key=length.__getitem__, reverse=True):
        crowded = len(near[i]) > most[i] or len(near[j]) > most[j]
        if crowded or ((i, j) in long and _is_diagonal(i, j, near, length)):
            near[i].remove(j)
            near[j].remove(i)
    return [at for at, (i, j) in enumerate(pairs) if j in near[i]]


def _is_diagonal(
    i: int, j: int, near: Sequence[set[int]], length: dict[tuple[int, int], float]
) -> bool:
    """Return whether i and j are opposite corners of a four-membered ring of shorter bonds."""
    limit = length[i, j] - DIAGONAL

    def is_corner(k: int) -> bool:
        return max(length[min(i, k), max(i, k)], length[min(j, k), max(j, k)]) < limit

    return sum(map(is_corner, near[i] & near[j])) >= 2

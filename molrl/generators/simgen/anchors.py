"""Where molecules grow from fixed atoms."""

import numpy as np
from numpy.typing import NDArray

from molrl.chemistry.fragments import Fragment
from molrl.errors import InputError
from molrl.generators.simgen.bond_orders import Hydrogens, assign_orders
from molrl.tasks.interface import Instance

_BOND = 1.4  # Å
_ALONG = 1.1  # Å, that each further atom adds to the length of a chain
_N_POINTS = 64


def free_numbers(instance: Instance) -> NDArray[np.int64]:
    """Return the atomic numbers of the heavy atoms to place, ``(n,)``.

    Args:
        instance: what to make.
    """
    return np.array([z for z in instance.bag.numbers if z != 1], np.int64)


def points_of(instance: Instance) -> NDArray[np.float32]:
    """Return the points that the atoms of an instance are drawn to.

    They are those of its shape; without one, for fixed atoms, chains from their open valences: from
    one fragment to another, or outwards.

    Args:
        instance: what to make.

    Returns:
        ``(64, 3)`` or as many as the shape has, Å; ``(0, 3)`` without shape and fixed atoms.

    Raises:
        InputError: if the fixed atoms have no open valence.
    """
    if len(instance.shape) or not len(instance.fixed):
        return instance.shape
    anchors, fragments = open_atoms(instance)
    if not len(anchors):
        raise InputError(
            "simgen grows from open valences, and the fixed atoms have none; mark an attachment "
            "point as * in a SMILES"
        )
    ends = instance.fixed.positions[anchors]
    between = [(i, j) for i in range(len(ends)) for j in range(i) if fragments[i] != fragments[j]]
    along = np.linspace(0, 1, _N_POINTS)[:, None]
    if between:
        lines = [ends[i] + along * (ends[j] - ends[i]) for i, j in between]
    else:
        length = _BOND + _ALONG * (len(free_numbers(instance)) - 1) / len(ends)
        outwards = [_outwards(instance, i) for i in anchors]
        rays = zip(ends, outwards, strict=True)
        lines = [end + (_BOND + along * (length - _BOND)) * out for end, out in rays]
    every = np.concatenate(lines)
    chosen = np.linspace(0, len(every) - 1, _N_POINTS).astype(int)
    points: NDArray[np.float32] = every[chosen].astype(np.float32)
    return points


def owners_of_hydrogens(fixed: Fragment) -> NDArray[np.int64]:
    """Return, for each hydrogen of a fragment, the index among its heavy atoms of the nearest one.

    Args:
        fixed: the fragment.

    Returns:
        ``(n_hydrogens,)``.
    """
    heavy, hydrogen = fixed.numbers > 1, fixed.numbers == 1
    if not hydrogen.any():
        return np.zeros(0, np.int64)
    apart = fixed.positions[hydrogen][:, None] - fixed.positions[heavy]
    owners: NDArray[np.int64] = np.linalg.norm(apart, axis=-1).argmin(1)
    return owners


def closed_atoms(instance: Instance) -> NDArray[np.bool_]:
    """Return which fixed heavy atoms have no open valence, ``(n_fixed_heavy,)``.

    Args:
        instance: what to make.
    """
    heavy = np.flatnonzero(instance.fixed.numbers > 1)
    if not len(heavy):
        return np.zeros(0, np.bool_)
    return ~np.isin(heavy, open_atoms(instance)[0])


def open_atoms(instance: Instance) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fixed atoms with open valences, and the fragment of each.

    Args:
        instance: with fixed atoms.

    Returns:
        Indices of fixed atoms and of fragments, ``(n,)`` each.
    """
    fixed = instance.fixed
    heavy = np.flatnonzero(fixed.numbers > 1)
    held = np.bincount(owners_of_hydrogens(fixed), minlength=len(heavy))
    bonds = assign_orders(fixed.numbers[heavy], fixed.positions[heavy], Hydrogens(None, held))
    if bonds is None:
        raise InputError("simgen cannot tell the bonds of the fixed atoms; give other ones")
    label = bonds.fragments()
    marked = [i for i, _ in fixed.ends]
    is_open = np.isin(heavy, marked) if marked else bonds.hydrogens > 0
    return heavy[is_open], label[is_open]


def _outwards(instance: Instance, anchor: int) -> NDArray[np.float64]:
    """Return the unit vector away from the neighbours of a fixed atom."""
    for i, direction in instance.fixed.ends:
        if i == anchor:
            return direction
    apart = instance.fixed.positions[anchor] - instance.fixed.positions
    length = np.linalg.norm(apart, axis=1)
    near = (length > 0) & (length < 1.8)
    away = (apart[near] / length[near, None]).sum(0) if near.any() else np.array([1.0, 0, 0])
    size = float(np.linalg.norm(away))
    unit: NDArray[np.float64] = away / size if size > 1e-3 else np.array([1.0, 0, 0])
    return unit

"""Isolated atoms in their ground states."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from ase.data import ground_state_magnetic_moments

from molrl.molecules import MoleculeBatch


def ground_state_atoms(elements: Iterable[int]) -> MoleculeBatch:
    """Return one neutral atom of each element with the multiplicity of its ground state.

    The multiplicity comes from ASE's table of magnetic moments; where the table has none or an
    impossible one, it is the lowest that the number of electrons allows.

    Args:
        elements: atomic numbers.

    Returns:
        One molecule of one atom per element, in the order given.

    Example:
        >>> ground_state_atoms([1, 6, 7]).spin
        tensor([2, 3, 4])
    """
    atoms = MoleculeBatch.from_arrays((np.array([z]), np.zeros((1, 3))) for z in elements)
    numbers = atoms.numbers.numpy()
    moments = np.full(numbers.max(initial=0) + 1, np.nan)
    known = ground_state_magnetic_moments[: len(moments)]
    moments[: len(known)] = known
    spin = np.nan_to_num(moments[numbers], nan=-1.0).round().astype(np.int64) + 1
    lowest = atoms.spin.numpy()
    possible = (spin >= lowest) & ((spin - lowest) % 2 == 0)
    return replace(atoms, spin=torch.from_numpy(np.where(possible, spin, lowest)))

"""The shapes of further properties under ASE's names: of molecules, or of their atoms."""

from collections.abc import Sequence

import numpy as np
import torch
from ase.outputs import all_outputs
from torch import Tensor


def is_of_atoms(name: str) -> bool:
    """Return whether a property has one row per atom; those that ASE does not know have not.

    Args:
        name: of the property.

    Example:
        >>> is_of_atoms("charges"), is_of_atoms("dipole")
        (True, False)
    """
    return name in all_outputs and "natoms" in all_outputs[name].shapespec


def filled(name: str, n_atoms: int, value: float) -> np.ndarray:
    """Return an array of one value, of the shape of a property of a molecule.

    Args:
        name: of the property, which ASE knows.
        n_atoms: of the molecule.
        value: of every entry.

    Example:
        >>> filled("forces", 2, 0.0).shape
        (2, 3)
    """
    return np.full([n_atoms if n == "natoms" else n for n in all_outputs[name].shapespec], value)


def join(name: str, values: Sequence[np.ndarray]) -> Tensor:
    """Concatenate a property of atoms, or stack a property of molecules, over all molecules.

    Args:
        name: of the property, which ASE knows.
        values: of each molecule.

    Returns:
        ``(n_atoms_total, ...)`` or ``(n_molecules, ...)`` float64.

    Example:
        >>> join("charges", [np.zeros(3), np.zeros(2)]).shape
        torch.Size([5])
    """
    empty = filled(name, 0, 0.0)  # has the shape even where there are no molecules
    if is_of_atoms(name):
        return torch.from_numpy(np.concatenate([empty, *values]))
    return torch.from_numpy(np.reshape(values, (len(values), *empty.shape)).astype(np.float64))

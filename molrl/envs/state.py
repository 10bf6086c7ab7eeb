"""State of many canvases at once, as NumPy arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from molrl.molecules import MoleculeBatch
from molrl.tasks import Instance

Index = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True)
class CanvasState:
    """B canvases of N slots, each with a bag over E elements. Never changed in place.

    Attributes:
        numbers: ``(B, N)`` int64, atomic numbers in the order of placement; 0 = empty slot.
        positions: ``(B, N, 3)`` float32, Å; 0 in empty slots.
        bag: ``(B, E)`` int64, number of atoms of each element left.
        energy: ``(B,)`` float64, eV, energy of the atoms on the canvas; 0 if there are none.
        n_fixed: ``(B,)`` int64, number of fixed atoms, which fill the first slots.
        refill: ``(B, E)`` int64, what an empty bag is refilled with.
        refills: ``(B,)`` int64, how many refills are left.
        shape: ``(B, P, 3)`` float32, Å, points to fill; P is 0 in tasks without a shape.
        charge: ``(B,)`` int64, total charge in e.
        spin: ``(B,)`` int64, multiplicity 2S + 1 that is asked for, or 0 for the lowest. The
            number of electrons changes with every atom: where it does not allow the multiplicity,
            the canvas has one less, but at least the lowest.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]
    bag: NDArray[np.int64]
    energy: NDArray[np.float64]
    n_fixed: NDArray[np.int64]
    refill: NDArray[np.int64]
    refills: NDArray[np.int64]
    shape: NDArray[np.float32]
    charge: NDArray[np.int64]
    spin: NDArray[np.int64]

    @classmethod
    def from_instances(
        cls,
        instances: Sequence[Instance],
        elements: Sequence[int],
        energies: Sequence[float],
        canvas_size: int,
    ) -> "CanvasState":
        """Return the initial canvases of episodes.

        Args:
            instances: B instances with the same number of points.
            elements: E atomic numbers, ascending.
            energies: B energies of the fixed atoms, eV; 0 where there are none.
            canvas_size: N.
        """
        numbers = np.zeros((len(instances), canvas_size), np.int64)
        positions = np.zeros((len(instances), canvas_size, 3), np.float32)
        for i, instance in enumerate(instances):
            n = len(instance.fixed)
            numbers[i, :n], positions[i, :n] = instance.fixed.numbers, instance.fixed.positions
        bag = np.array([[each.bag[z] for z in elements] for each in instances], np.int64)
        return cls(
            numbers=numbers,
            positions=positions,
            bag=bag,
            energy=np.array(energies, np.float64),
            n_fixed=np.count_nonzero(numbers, axis=1).astype(np.int64),
            refill=bag.copy(),
            refills=np.array([each.refills for each in instances], np.int64),
            shape=np.stack([each.shape for each in instances]),
            charge=np.array([each.charge for each in instances], np.int64),
            spin=np.array([each.spin or 0 for each in instances], np.int64),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "CanvasState":
        """Return the state that :meth:`arrays` gave, for example from a checkpoint.

        Args:
            arrays: name of each attribute to its array. ``charge`` and ``spin`` may be missing, as
                in checkpoints of earlier versions: the canvases are neutral, of the lowest spin.
        """
        zeros = np.zeros(len(arrays["numbers"]), np.int64)
        return cls(**{"charge": zeros, "spin": zeros, **arrays})

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def n_atoms(self) -> NDArray[np.int64]:
        """``(B,)`` int64: number of atoms on each canvas; they fill the first slots."""
        n_atoms: NDArray[np.int64] = np.count_nonzero(self.numbers, axis=1).astype(np.int64)
        return n_atoms

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return name and array of each attribute; :meth:`from_arrays` is the inverse."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_molecules(self) -> MoleculeBatch:
        """Return the atoms on the canvases as a batch of B molecules, positions in float64."""
        filled = self.numbers > 0
        electrons = self.numbers.sum(1) - self.charge
        return MoleculeBatch(
            numbers=torch.from_numpy(self.numbers[filled]),
            positions=torch.from_numpy(self.positions[filled].astype(np.float64)),
            n_atoms=torch.from_numpy(self.n_atoms),
            charge=torch.from_numpy(self.charge),
            spin=torch.from_numpy(allowed_spin(self.spin, electrons)),
        )

    def __getitem__(self, index: Index) -> "CanvasState":
        """Return the canvases at ``index``."""
        return CanvasState(**{name: array[index] for name, array in self.arrays().items()})

    def updated(self, index: Index, canvases: "CanvasState") -> "CanvasState":
        """Return a copy with the canvases at ``index`` replaced by ``canvases``."""
        new = {name: array.copy() for name, array in self.arrays().items()}
        for name, array in canvases.arrays().items():
            new[name][index] = array
        return CanvasState(**new)


def allowed_spin(spin: NDArray[np.int64], electrons: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the multiplicities that molecules have, given the ones that are asked for.

    The multiplicity 2S + 1 is odd for an even number of electrons and even for an odd one.

    Args:
        spin: ``(n,)`` int64, multiplicities asked for; 0 for the lowest.
        electrons: ``(n,)`` int64.

    Returns:
        ``(n,)`` int64: the multiplicity asked for where the parity of the electrons allows it, one
        less elsewhere; at least the lowest (1 or 2), at most that of all electrons unpaired.

    Example:
        >>> allowed_spin(np.array([0, 0, 3, 3]), np.array([8, 7, 8, 7])).tolist()
        [1, 2, 3, 2]
    """
    lowest = electrons % 2 + 1
    allowed: NDArray[np.int64] = spin - (spin + lowest) % 2
    return np.maximum(np.minimum(allowed, electrons + 1), lowest)

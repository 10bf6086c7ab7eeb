"""The state of many canvases at once, as NumPy arrays."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True)
class CanvasState:
    """B canvases of N slots, each with a bag over E elements. Never changed in place.

    Attributes:
        numbers: ``(B, N)`` int64, atomic numbers in the order of placement; 0 = empty slot.
        positions: ``(B, N, 3)`` float32, Å, the first atom at the origin; 0 in empty slots.
        bag: ``(B, E)`` int64, how many atoms of each element are left.
        energy: ``(B,)`` float64, eV, energy of what is on the canvas; 0 if nothing is.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]
    bag: NDArray[np.int64]
    energy: NDArray[np.float64]

    @classmethod
    def empty(cls, bag: NDArray[np.int64], canvas_size: int) -> "CanvasState":
        """Empty canvases with full bags ``(B, E)``."""
        n = len(bag)
        return cls(
            numbers=np.zeros((n, canvas_size), np.int64),
            positions=np.zeros((n, canvas_size, 3), np.float32),
            bag=np.array(bag, np.int64),
            energy=np.zeros(n),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def n_atoms(self) -> NDArray[np.int64]:
        """``(B,)`` int64: atoms on each canvas; they fill the first slots."""
        return np.count_nonzero(self.numbers, axis=1).astype(np.int64)

    def __getitem__(self, index: Index) -> "CanvasState":
        """The canvases at ``index``."""
        return CanvasState(
            self.numbers[index], self.positions[index], self.bag[index], self.energy[index]
        )

    def updated(self, index: Index, canvases: "CanvasState") -> "CanvasState":
        """A copy in which ``canvases`` stand at ``index``."""
        new = CanvasState(
            self.numbers.copy(), self.positions.copy(), self.bag.copy(), self.energy.copy()
        )
        new.numbers[index] = canvases.numbers
        new.positions[index] = canvases.positions
        new.bag[index] = canvases.bag
        new.energy[index] = canvases.energy
        return new

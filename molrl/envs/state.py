"""The state of many canvases at once, as NumPy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True)
class Instance:
    """What one episode begins with.

    Attributes:
        bag: ``(E,)`` int64, atoms to place of each element.
        numbers: ``(n,)`` int64, atomic numbers of the atoms that stand there already.
        positions: ``(n, 3)`` float, Å, where they stand.
        energy: eV, of those atoms.
        refills: how often the bag is filled again when it is empty.
        shape: ``(P, 3)`` float32, Å, the points to fill.
    """

    bag: NDArray[np.int64]
    numbers: NDArray[np.int64]
    positions: NDArray[np.floating]
    energy: float
    refills: int
    shape: NDArray[np.float32]


@dataclass(frozen=True)
class CanvasState:
    """B canvases of N slots, each with a bag over E elements. Never changed in place.

    Attributes:
        numbers: ``(B, N)`` int64, atomic numbers in the order of placement; 0 = empty slot.
        positions: ``(B, N, 3)`` float32, Å; 0 in empty slots.
        bag: ``(B, E)`` int64, how many atoms of each element are left.
        energy: ``(B,)`` float64, eV, energy of what is on the canvas; 0 if nothing is.
        n_fixed: ``(B,)`` int64, atoms that stood there before the episode, in the first slots.
        refill: ``(B, E)`` int64, what an empty bag is filled with.
        refills: ``(B,)`` int64, how often it still is.
        shape: ``(B, P, 3)`` float32, Å, points to fill; P is 0 in tasks without a shape.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]
    bag: NDArray[np.int64]
    energy: NDArray[np.float64]
    n_fixed: NDArray[np.int64]
    refill: NDArray[np.int64]
    refills: NDArray[np.int64]
    shape: NDArray[np.float32]

    @classmethod
    def begin(cls, starts: Sequence[Instance], canvas_size: int) -> "CanvasState":
        """Canvases as their episodes begin."""
        numbers = np.zeros((len(starts), canvas_size), np.int64)
        positions = np.zeros((len(starts), canvas_size, 3), np.float32)
        for i, start in enumerate(starts):
            n = len(start.numbers)
            numbers[i, :n], positions[i, :n] = start.numbers, start.positions
        bag = np.stack([start.bag for start in starts])
        return cls(
            numbers=numbers,
            positions=positions,
            bag=bag,
            energy=np.array([start.energy for start in starts], np.float64),
            n_fixed=np.count_nonzero(numbers, axis=1).astype(np.int64),
            refill=bag.copy(),
            refills=np.array([start.refills for start in starts], np.int64),
            shape=np.stack([start.shape for start in starts]),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def n_atoms(self) -> NDArray[np.int64]:
        """``(B,)`` int64: atoms on each canvas; they fill the first slots."""
        n_atoms: NDArray[np.int64] = np.count_nonzero(self.numbers, axis=1).astype(np.int64)
        return n_atoms

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Name to array, for whoever stores a state; ``CanvasState(**arrays)`` is the way back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __getitem__(self, index: Index) -> "CanvasState":
        """The canvases at ``index``."""
        return CanvasState(**{name: array[index] for name, array in self.arrays().items()})

    def updated(self, index: Index, canvases: "CanvasState") -> "CanvasState":
        """A copy in which ``canvases`` stand at ``index``."""
        new = {name: array.copy() for name, array in self.arrays().items()}
        for name, array in canvases.arrays().items():
            new[name][index] = array
        return CanvasState(**new)

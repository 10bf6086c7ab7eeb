"""Walkers: what proposes the starts of relaxations, one stream of random numbers each."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from molrl.generators.search.moves import hop
from molrl.generators.search.placement import Geometry, place_atoms
from molrl.tasks import Instance


class Walker:
    """A walker of random search, which begins anew with every start.

    Args:
        instance: what is made.
        rng: all its random numbers.

    Attributes:
        instance: the same.
    """

    def __init__(self, instance: Instance, rng: np.random.Generator) -> None:
        self.instance, self.rng = instance, rng

    def propose(self) -> Geometry:
        """Return the start of the next relaxation."""
        return place_atoms(self.instance, self.rng)

    def accept(self, minimum: Geometry, energy: float) -> None:
        """Learn the minimum, with its energy in eV, that the last start has led to."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the state."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the rest of the state, as plain JSON data."""
        return {"rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state.

        Args:
            state: of :meth:`state`.
            tensors: of :meth:`tensors`.
        """
        self.rng.bit_generator.state = state["rng"]


class HoppingWalker(Walker):
    """A walker of basin hopping, which starts near the minimum that it is at.

    It goes to a new minimum by the criterion of Metropolis.

    Args:
        instance: what is made.
        rng: all its random numbers.
        temperature: eV, of the criterion.
    """

    def __init__(self, instance: Instance, rng: np.random.Generator, temperature: float) -> None:
        super().__init__(instance, rng)
        self._temperature = temperature
        self._at: Geometry | None = None
        self._energy = np.inf

    def propose(self) -> Geometry:
        """Return a hop from the minimum, or a random structure while there is none."""
        return super().propose() if self._at is None else hop(self._at, self.rng)

    def accept(self, minimum: Geometry, energy: float) -> None:
        """Go to the minimum, or stay."""
        if energy - self._energy < -self._temperature * np.log(1 - self.rng.uniform()):
            self._at, self._energy = minimum, energy

    def tensors(self) -> dict[str, Tensor]:
        """Return where the walker is."""
        if self._at is None:
            return {}
        return {
            "numbers": torch.from_numpy(self._at.numbers),
            "positions": torch.from_numpy(self._at.positions),
        }

    def state(self) -> dict[str, Any]:
        """Return the rest of the state; the energy is None before the first minimum."""
        return {**super().state(), "energy": None if self._at is None else self._energy}

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state; see :meth:`Walker.restore`."""
        super().restore(state, tensors)
        self._at, self._energy = None, np.inf
        if state["energy"] is not None:
            numbers, positions = (tensors[key].numpy() for key in ("numbers", "positions"))
            self._at, self._energy = Geometry(self.instance, numbers, positions), state["energy"]

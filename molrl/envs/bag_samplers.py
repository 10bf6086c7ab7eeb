"""Bag samplers: they give the bag of atoms of each episode."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from molrl.bags import Bag


class BagSampler(Protocol):
    """Interface of a bag sampler; each environment has its own copy.

    A sampler that draws from a list has the list as the attribute ``bags``.
    """

    @property
    def elements(self) -> set[int]:
        """Atomic numbers that a bag can contain."""
        ...

    def draw(self, rng: np.random.Generator) -> Bag:
        """Draw the bag of the next episode.

        Args:
            rng: the environment's generator.
        """
        ...


@dataclass(frozen=True)
class FixedBagSampler:
    """The same bag in every episode; no random number is used.

    Attributes:
        bag: the bag.
    """

    bag: Bag

    @property
    def bags(self) -> Sequence[Bag]:
        """The bag, as a list of one."""
        return [self.bag]

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in the bag."""
        return set(self.bag)

    def draw(self, rng: np.random.Generator) -> Bag:
        """Return the bag."""
        return self.bag


@dataclass(frozen=True)
class UniformBagSampler:
    """One of several bags, all equally likely.

    Attributes:
        bags: the bags.
    """

    bags: Sequence[Bag]

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in any of the bags."""
        return set().union(*self.bags)

    def draw(self, rng: np.random.Generator) -> Bag:
        """Draw a bag."""
        return self.bags[int(rng.integers(len(self.bags)))]


@dataclass
class CyclicBagSampler:
    """Several bags in turn; the first one is drawn, so that parallel environments differ.

    Attributes:
        bags: the bags, in order.
    """

    bags: Sequence[Bag]
    _next: int | None = field(default=None, init=False)

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in any of the bags."""
        return set().union(*self.bags)

    def draw(self, rng: np.random.Generator) -> Bag:
        """Return the next bag."""
        if self._next is None:
            self._next = int(rng.integers(len(self.bags)))
        bag = self.bags[self._next]
        self._next = (self._next + 1) % len(self.bags)
        return bag

"""Who draws the bag of an episode."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from molrl.bags import Bag


class BagSampler(Protocol):
    """Whoever draws bags; each environment has a copy of its own.

    One that draws from a list has it as ``bags``.
    """

    @property
    def elements(self) -> set[int]:
        """Atomic numbers that can be in a bag."""
        ...

    def draw(self, rng: np.random.Generator) -> Bag:
        """The bag of the next episode, drawn with the environment's own generator."""
        ...


@dataclass(frozen=True)
class FixedBagSampler:
    """The same bag every time; draws nothing."""

    bag: Bag

    @property
    def bags(self) -> Sequence[Bag]:
        """The one."""
        return [self.bag]

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in the bag."""
        return set(self.bag)

    def draw(self, rng: np.random.Generator) -> Bag:
        """The bag."""
        return self.bag


@dataclass(frozen=True)
class UniformBagSampler:
    """One of several bags, each as likely."""

    bags: Sequence[Bag]

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in any bag."""
        return set().union(*self.bags)

    def draw(self, rng: np.random.Generator) -> Bag:
        """A bag."""
        return self.bags[int(rng.integers(len(self.bags)))]


@dataclass
class CyclicBagSampler:
    """Several bags in turn, from one that is drawn, so that environments are not in step."""

    bags: Sequence[Bag]
    _next: int | None = field(default=None, init=False)

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in any bag."""
        return set().union(*self.bags)

    def draw(self, rng: np.random.Generator) -> Bag:
        """The next bag."""
        if self._next is None:
            self._next = int(rng.integers(len(self.bags)))
        bag = self.bags[self._next]
        self._next = (self._next + 1) % len(self.bags)
        return bag

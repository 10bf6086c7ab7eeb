"""MolDesignStochastic-v0: bags drawn around a reference bag."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from pydantic import Field

from molrl.bags import Bag, is_closed_shell
from molrl.envs.config import Formula, TaskConfig
from molrl.envs.rules import MONOVALENT
from molrl.envs.task import Task
from molrl.errors import InputError

MAX_DRAWS = 10_000


class StochasticConfig(TaskConfig):
    """What stochastic bags are told.

    Attributes:
        reference: formula whose proportions the elements are drawn in.
        min_size: fewest atoms of a bag.
        max_size: most atoms of a bag, inclusive.
    """

    reference: Formula = "C2H4O2"
    min_size: int = Field(default=5, strict=True, ge=1)
    max_size: int = Field(default=9, strict=True, ge=1)


@dataclass(frozen=True)
class NeighborBagSampler:
    """Closed-shell bags of a size drawn evenly, their atoms drawn in given proportions.

    Attributes:
        reference: gives the proportions.
        min_size: fewest atoms.
        max_size: most atoms, inclusive.
    """

    reference: Bag
    min_size: int
    max_size: int

    @property
    def elements(self) -> set[int]:
        """Atomic numbers of the reference."""
        return set(self.reference)

    def draw(self, rng: np.random.Generator) -> Bag:
        """A bag that is closed-shell and holds a heavy atom.

        Raises:
            InputError: if none comes in many draws.
        """
        numbers = np.array(self.reference.numbers)
        for _ in range(MAX_DRAWS):
            size = int(rng.integers(self.min_size, self.max_size, endpoint=True))
            drawn = rng.choice(numbers, size)
            if not MONOVALENT[drawn].all() and is_closed_shell(bag := Bag(drawn.tolist())):
                return bag
        raise InputError(
            f"{MAX_DRAWS} bags of {self.min_size} to {self.max_size} atoms drawn around "
            f"{self.reference} are no closed-shell molecules"
        )


class StochasticBag(Task[StochasticConfig]):
    """Placing all atoms of a bag whose size and composition are drawn.

    Size: evenly from ``min_size`` to ``max_size``. Elements: each atom as it would be drawn from
    the reference, with replacement. What cannot be one closed-shell molecule by
    :func:`molrl.bags.is_closed_shell` is drawn again, size and all, with the environment's own
    generator.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` chooses the bag, for evaluation.

    Config: the fields of :class:`StochasticConfig`: ``reference``, ``min_size``, ``max_size``.

    Raises:
        InputError: if the sizes do not fit each other or the canvas, or no such bag can be drawn.
    """

    Config = StochasticConfig

    def bag_sampler(self) -> NeighborBagSampler:
        """Who draws."""
        low, high = self.config.min_size, self.config.max_size
        if not low <= high <= self.config.canvas_size:
            raise InputError(
                f"sizes {low} to {high} are none for a canvas of {self.config.canvas_size}"
            )
        return NeighborBagSampler(Bag(self.config.reference), low, high)

    def representatives(self) -> Sequence[Bag]:
        """One draw; all others fit as it does, if the elements of the reference do."""
        for number in Bag(self.config.reference):
            if number not in self._elements:
                raise InputError(
                    f"reference {self.config.reference} holds {chemical_symbols[number]}, which is "
                    "not among the elements"
                )
        return super().representatives()

"""MolDesignStochastic-v0: bags of random size and composition."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from pydantic import Field

from molrl.bags import Bag, is_closed_shell
from molrl.chemistry.monovalent import MONOVALENT
from molrl.envs.config import Formula, TaskConfig
from molrl.envs.task import Task
from molrl.errors import InputError

MAX_DRAWS = 10_000


class StochasticConfig(TaskConfig):
    """Configuration of the task of stochastic bags.

    Attributes:
        reference: formula that gives the proportions of the elements.
        min_size: smallest number of atoms of a bag.
        max_size: largest number of atoms of a bag, inclusive.
    """

    reference: Formula = "C2H4O2"
    min_size: int = Field(default=5, strict=True, ge=1)
    max_size: int = Field(default=9, strict=True, ge=1)


@dataclass(frozen=True)
class NeighborBagSampler:
    """Closed-shell bags: size drawn uniformly, atoms drawn in the proportions of a reference.

    Attributes:
        reference: bag that gives the proportions.
        min_size: smallest number of atoms.
        max_size: largest number of atoms, inclusive.
    """

    reference: Bag
    min_size: int
    max_size: int

    @property
    def elements(self) -> set[int]:
        """Atomic numbers of the reference."""
        return set(self.reference)

    def draw(self, rng: np.random.Generator) -> Bag:
        """Draw a closed-shell bag that has not only monovalent atoms.

        Raises:
            InputError: if 10,000 draws give none.
        """
        numbers = np.array(self.reference.numbers)
        for _ in range(MAX_DRAWS):
            size = int(rng.integers(self.min_size, self.max_size, endpoint=True))
            drawn = rng.choice(numbers, size)
            if not MONOVALENT[drawn].all() and is_closed_shell(bag := Bag(drawn.tolist())):
                return bag
        raise InputError(
            f"none of {MAX_DRAWS} bags of {self.min_size} to {self.max_size} atoms drawn with the "
            f"proportions of {self.reference} is a closed-shell molecule"
        )


class StochasticBag(Task[StochasticConfig]):
    """Task of placing all atoms of a bag whose size and composition are drawn.

    The size is drawn uniformly from ``min_size`` to ``max_size``, the atoms from the reference with
    replacement. A bag that cannot be one closed-shell molecule, by
    :func:`molrl.bags.is_closed_shell`, is drawn again, its size too. All draws use the
    environment's generator.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag, for evaluation.

    Config: the fields of :class:`StochasticConfig`: ``reference``, ``min_size``, ``max_size``.

    Raises:
        InputError: if the sizes do not fit each other or the canvas, or no such bag is found.
    """

    Config = StochasticConfig

    def bag_sampler(self) -> NeighborBagSampler:
        """Return the sampler that draws."""
        low, high = self.config.min_size, self.config.max_size
        if not low <= high <= self.config.canvas_size:
            raise InputError(
                f"min_size {low} and max_size {high} must be in this order, and at most "
                f"canvas_size {self.config.canvas_size}"
            )
        return NeighborBagSampler(Bag(self.config.reference), low, high)

    def representative_bags(self) -> Sequence[Bag]:
        """Return one bag; the others fit as it does, if all elements of the reference do."""
        for number in Bag(self.config.reference):
            if number not in self._elements:
                raise InputError(
                    f"reference {self.config.reference} holds {chemical_symbols[number]}, which "
                    "is not among the elements"
                )
        return super().representative_bags()

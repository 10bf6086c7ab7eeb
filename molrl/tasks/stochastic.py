"""The task of bags of random size and composition."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from molrl.bags import MAX_ATOMS, Bag, is_closed_shell
from molrl.chemistry.monovalent import MONOVALENT
from molrl.errors import InputError
from molrl.tasks.bag import BagTask
from molrl.tasks.fields import Formula
from molrl.tasks.interface import Instance, Task
from molrl.validation import validated

MAX_DRAWS = 10_000


class StochasticTask(Task):
    """Task of placing all atoms of a bag whose size and composition are drawn.

    The size is drawn uniformly from ``min_size`` to ``max_size``, the atoms from the reference with
    replacement. A bag that cannot be one closed-shell molecule, by
    :func:`molrl.bags.is_closed_shell`, or has only monovalent atoms, is drawn again, its size too.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag, for evaluation.

    Attributes:
        reference: formula that gives the proportions of the elements.
        min_size: smallest number of atoms of a bag.
        max_size: largest number of atoms of a bag, inclusive.

    Raises:
        InputError: if the sizes are not in this order.

    Example:
        >>> task = StochasticTask(reference="C2H4O2", min_size=5, max_size=9)
        >>> 5 <= task.draw(np.random.default_rng(0)).n_atoms <= 9
        True
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag",)

    kind: Literal["stochastic"] = "stochastic"
    reference: Formula = "C2H4O2"
    min_size: int = Field(default=5, ge=1)
    max_size: int = Field(default=9, ge=1, le=MAX_ATOMS)

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.min_size > self.max_size:
            raise InputError(
                f"min_size {self.min_size} and max_size {self.max_size} must be in this order"
            )
        return self

    def draw(self, rng: np.random.Generator) -> Instance:
        """Draw a closed-shell bag that has not only monovalent atoms.

        Raises:
            InputError: if 10,000 draws give none.
        """
        numbers = np.array(Bag(self.reference).numbers)
        for _ in range(MAX_DRAWS):
            size = int(rng.integers(self.min_size, self.max_size, endpoint=True))
            drawn = rng.choice(numbers, size).tolist()
            if not MONOVALENT[drawn].all() and is_closed_shell(bag := Bag(drawn)):
                return Instance(bag)
        raise InputError(
            f"none of {MAX_DRAWS} bags of {self.min_size} to {self.max_size} atoms drawn with the "
            f"proportions of {self.reference} is a closed-shell molecule"
        )

    def for_episode(self, options: Mapping[str, Any]) -> Task:
        """Return the task of the bag of the options."""
        return validated(BagTask, options, "reset") if options else self

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers of the reference."""
        return frozenset(Bag(self.reference))

    @property
    def max_atoms(self) -> int:
        """Largest number of atoms of a bag."""
        return self.max_size

"""The task of the formulas of known molecules."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from molrl.bags import Bag
from molrl.chemistry.monovalent import MONOVALENT
from molrl.errors import InputError
from molrl.tasks.bag import BagTask
from molrl.tasks.interface import Instance, Task
from molrl.validation import validated


class FormulasTask(Task):
    """Task of placing all atoms of a bag, which is the formula of one of many known molecules.

    The formulas are those of the molecule set of the package, 1,400 of H, C, N, O, F and S, each
    equally likely. Those of :data:`molrl.chemistry.training_set.HELD_OUT` are never drawn, so that
    an agent can be compared on them.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag.

    Attributes:
        min_heavy_atoms: smallest number of atoms other than hydrogen.
        max_heavy_atoms: largest number of them, inclusive. Molecules with up to seven fit the
            default canvas, those with nine one of 29 slots.

    Raises:
        InputError: if there is no such formula.

    Example:
        >>> small = FormulasTask(max_heavy_atoms=4).instances()
        >>> max(sum(z > 1 for z in instance.bag.numbers) for instance in small)
        4
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag",)

    kind: Literal["formulas"] = "formulas"
    min_heavy_atoms: int = Field(default=1, ge=1)
    max_heavy_atoms: int = Field(default=7, ge=1)

    def draw(self, rng: np.random.Generator) -> Instance:
        """Draw a formula, all equally likely."""
        return self._instances[int(rng.integers(len(self._instances)))]

    def instances(self) -> Sequence[Instance]:
        """Return one instance for each formula."""
        return self._instances

    def for_episode(self, options: Mapping[str, Any]) -> Task:
        """Return the task of the bag of the options."""
        return validated(BagTask, options, "reset") if options else self

    @cached_property
    def _instances(self) -> list[Instance]:
        # PyTorch and RDKit are not imported before a formula is asked for
        from molrl.chemistry.molecule_set import shipped_molecules
        from molrl.chemistry.training_set import HELD_OUT

        known = {bag.formula: bag for bag in shipped_molecules().molecules.bags()}
        low, high = self.min_heavy_atoms, self.max_heavy_atoms
        bags = [bag for formula, bag in sorted(known.items()) if formula not in HELD_OUT]
        found = [bag for bag in bags if low <= _heavy_atoms(bag) <= high and _is_built(bag)]
        if not found:
            raise InputError(
                f"no known formula has {low} to {high} heavy atoms; they have 1 to 9, or 11"
            )
        return [Instance(bag) for bag in found]


def _heavy_atoms(bag: Bag) -> int:
    return sum(number > 1 for number in bag.numbers)


def _is_built(bag: Bag) -> bool:
    """Return whether an agent can build it: not a diatomic of monovalent atoms such as HF."""
    return not bool(MONOVALENT[list(bag.numbers)].all())

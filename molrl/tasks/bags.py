"""The task of one of several bags in each episode."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from molrl.bags import Bag
from molrl.errors import InputError
from molrl.tasks.bag import BagTask
from molrl.tasks.fields import Formulas
from molrl.tasks.interface import Instance, InstanceSampler, Task
from molrl.validation import validated


class BagsTask(Task):
    """Task of placing all atoms of a bag that changes from episode to episode.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag; ``{"held_out": True}`` draws it
        from those held out, for evaluation.

    Attributes:
        bags: formulas; the default is the training set of Simm et al. 2020 without CF4.
        order: ``"drawn"``, all equally likely, or ``"cycled"``, in turn from one that is drawn.
        held_out: formulas that are drawn only with the option ``{"held_out": True}`` of reset.

    Raises:
        InputError: if a bag is among both the bags and those held out.

    Example:
        >>> task = BagsTask(bags=["CH4", "CH2O"], held_out=["CH4O"])
        >>> [instance.n_atoms for instance in task.instances()]
        [5, 4]
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag", "held_out")

    kind: Literal["bags"] = "bags"
    bags: Formulas = Field(
        default=("H2O", "CHN", "C2N2", "H3N", "C2H2", "CH2O", "C2HNO", "N4O", "C3HN", "CH4"),
        min_length=1,
    )
    order: Literal["drawn", "cycled"] = "drawn"
    held_out: Formulas = ("CH3NO", "CH4O", "C2H2O2")

    @model_validator(mode="after")
    def _check_held_out(self) -> Self:
        both = set(self.bags) & set(self.held_out)
        if both:
            raise InputError(f"bag {min(both)} is in both bags and held_out; give it in one")
        return self

    def draw(self, rng: np.random.Generator) -> Instance:
        """Draw a bag, all equally likely."""
        return self._instances[int(rng.integers(len(self.bags)))]

    def sampler(self) -> InstanceSampler:
        """Return what draws or cycles."""
        return _Cycle(self._instances) if self.order == "cycled" else self

    def instances(self) -> Sequence[Instance]:
        """Return one instance for each bag, without those held out."""
        return self._instances

    def held_out_task(self) -> "BagsTask | None":
        """Return the task of the bags held out, all equally likely."""
        return BagsTask(bags=self.held_out, held_out=()) if self.held_out else None

    def for_episode(self, options: Mapping[str, Any]) -> Task:
        """Return the task of one bag, or of those held out."""
        if not isinstance(options.get("held_out", False), bool):
            raise InputError(f"held_out must be True or False, not {options['held_out']!r}")
        if not options.get("held_out"):
            bag = options.get("bag")
            return self if bag is None else validated(BagTask, {"bag": bag}, "reset")
        if "bag" in options:
            raise InputError("the options bag and held_out exclude each other; give one of them")
        held_out = self.held_out_task()
        if held_out is None:
            raise InputError("no bags are held out; give some with held_out=[...]")
        return held_out

    @cached_property
    def _instances(self) -> list[Instance]:
        return [Instance(Bag(bag)) for bag in self.bags]


class _Cycle:
    """Sampler of instances in turn; the first is drawn, so that parallel environments differ."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._next: int | None = None

    def draw(self, rng: np.random.Generator) -> Instance:
        """Return the next instance."""
        if self._next is None:
            self._next = int(rng.integers(len(self._instances)))
        instance = self._instances[self._next]
        self._next = (self._next + 1) % len(self._instances)
        return instance

    def sampler_state(self) -> int | None:
        """Return the index of the next instance; None before the first."""
        return self._next

    def restore_sampler(self, state: int | None) -> None:
        """Continue with the instance of this index."""
        self._next = state

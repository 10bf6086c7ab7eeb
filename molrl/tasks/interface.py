"""The interface of a task, and the instances that are drawn from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment
from molrl.errors import InputError, did_you_mean
from molrl.runs.config import Config
from molrl.validation import validated

NO_ATOMS = Fragment(np.zeros(0, np.int64), np.zeros((0, 3)))
NO_POINTS = np.zeros((0, 3), np.float32)
HCNO = frozenset({1, 6, 7, 8})


@dataclass(frozen=True, eq=False)
class Instance:
    """Initial conditions of one molecule.

    Attributes:
        bag: the atoms to place.
        fixed: atoms at fixed positions, with the charge and the multiplicity of the molecule.
        refills: how many times an empty bag is refilled.
        shape: ``(P, 3)`` float32, Å, points to fill.
        cell: ``(3, 3)`` float64, Å, periodic cell; None: not periodic.

    Raises:
        InputError: if the bag or the fixed atoms are of another type.

    Example:
        >>> Instance(Bag("H2O"), refills=2).n_atoms
        9
    """

    bag: Bag
    fixed: Fragment = NO_ATOMS
    refills: int = 0
    shape: NDArray[np.float32] = field(default_factory=lambda: NO_POINTS)
    cell: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.bag, Bag) or not isinstance(self.fixed, Fragment):
            raise InputError(
                "an instance has a Bag, such as Bag('CH4'), and a Fragment as its fixed atoms, "
                f"not {self.bag!r} and {self.fixed!r}"
            )

    @property
    def charge(self) -> int:
        """Total charge, e."""
        return self.fixed.charge

    @property
    def spin(self) -> int | None:
        """Multiplicity 2S + 1; None: the lowest that the number of electrons allows."""
        return self.fixed.spin

    @property
    def n_atoms(self) -> int:
        """Number of atoms of the finished molecule."""
        return len(self.fixed) + (1 + self.refills) * self.bag.n_atoms

    @property
    def finished_bag(self) -> Bag:
        """Atoms of the finished molecule."""
        return Bag([*self.fixed.numbers.tolist(), *(1 + self.refills) * self.bag.numbers])


class InstanceSampler(Protocol):
    """Interface of what draws instances one after the other; each environment has its own."""

    def draw(self, rng: np.random.Generator) -> Instance:
        """Draw the next instance.

        Args:
            rng: generator of random numbers.
        """
        ...

    def sampler_state(self) -> object:
        """Return all that the next draws depend on besides the generator, as plain JSON data."""
        ...

    def restore_sampler(self, state: Any) -> None:  # noqa: ANN401 - plain data
        """Restore the state that :meth:`sampler_state` gave.

        Args:
            state: the state.
        """
        ...


class Task(Config):
    """Base class of the tasks: what to make, without energy, rules and reward.

    A task is plain data, tagged by ``kind``. A custom one declares ``kind`` and its fields, and
    overrides :meth:`draw`; with all instances in a list, or one only, it is a :class:`FixedTask` or
    overrides :meth:`instances`.

    Attributes:
        kind: name in :data:`molrl.parts.TASKS`.
        option_names: keys of the options of ``reset``, which change one episode.

    Example:
        >>> from typing import Literal
        >>> class Alkane(Task):
        ...     kind: Literal["alkane"] = "alkane"
        ...     max_carbons: int = 4
        ...
        ...     def draw(self, rng: np.random.Generator) -> Instance:
        ...         n = rng.integers(1, self.max_carbons, endpoint=True)
        ...         return Instance(Bag({6: n, 1: 2 * n + 2}))
        >>> molrl.register("task", "alkane", Alkane)  # doctest: +SKIP
        >>> env = gym.make("MolDesign-v0", task={"kind": "alkane"})  # doctest: +SKIP
    """

    model_config = ConfigDict(validate_default=True)

    option_names: ClassVar[tuple[str, ...]] = ()

    kind: str

    def draw(self, rng: np.random.Generator) -> Instance:
        """Draw one instance, independently of all others.

        Args:
            rng: generator of random numbers.

        Raises:
            InputError: if what the task names cannot be read or built.
        """
        raise NotImplementedError(f"{type(self).__name__} must override draw(rng)")

    def sampler(self) -> InstanceSampler:
        """Return what draws the instances of one environment; the task itself has no state."""
        return self

    def sampler_state(self) -> object:
        """Return None: a task has no state."""
        return None

    def restore_sampler(self, state: Any) -> None:  # noqa: ANN401 - plain data
        """Do nothing: a task has no state."""

    def instances(self) -> Sequence[Instance] | None:
        """Return all instances that can be drawn; None if there is no list of them."""
        return None

    def held_out_task(self) -> "Task | None":
        """Return the task of what is held out for evaluation; None if nothing is."""
        return None

    def for_episode(self, options: Mapping[str, Any]) -> "Task":
        """Return the task of an episode with options of ``reset``.

        Args:
            options: some of :attr:`option_names`, with their values; by default, each replaces the
                field of this name.

        Raises:
            InputError: if an option does not fit.
        """
        return self._replaced(**options)

    def checked_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options of ``reset`` that are not None.

        Args:
            options: as of the user.

        Raises:
            InputError: if one is unknown.
        """
        for key in options:
            if key not in self.option_names:
                hint = did_you_mean(str(key), self.option_names)
                raise InputError(f"reset: unknown option {key!r}; {hint}")
        return {key: value for key, value in options.items() if value is not None}

    @property
    def examples(self) -> Sequence[Instance]:
        """All instances where there is a list, else one that is drawn; then those held out."""
        held_out = self.held_out_task()
        own = self.instances() or [self.draw(np.random.default_rng(0))]
        return [*own, *(held_out.examples if held_out else [])]

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers of the atoms to place; a task without a list of instances overrides it."""
        return frozenset(number for instance in self.examples for number in instance.bag)

    @property
    def default_elements(self) -> frozenset[int]:
        """Atomic numbers that an action chooses from, unless an environment is given others."""
        return HCNO | self.elements

    @property
    def max_atoms(self) -> int:
        """Largest number of atoms of a molecule; overridden as :attr:`elements` is."""
        return max(instance.n_atoms for instance in self.examples)

    @property
    def is_odd(self) -> bool:
        """Whether all instances, of which there is a list, have an odd number of electrons."""
        instances = self.instances() or ()
        numbers = (sum(each.finished_bag.numbers) - each.charge for each in instances)
        return bool(instances) and all(number % 2 for number in numbers)

    @property
    def single_bag(self) -> Bag | None:
        """The bag of a task that any isomer of it solves; None: fixed atoms, a shape, or others."""
        instances = self.instances() or ()
        if len(instances) != 1:
            return None
        (only,) = instances
        free = not (len(only.fixed) or len(only.shape) or only.refills)
        return only.bag if free else None

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}
        return f"{self.kind} ({', '.join(f'{name} {value}' for name, value in given.items())})"

    def _replaced(self, **fields: Any) -> Self:  # noqa: ANN401 - checked by the schema
        before = {name: getattr(self, name) for name in type(self).model_fields}
        return validated(type(self), before | fields, "reset")


class FixedTask(Task):
    """Base class of tasks with one instance, which every episode begins with.

    Example:
        >>> from typing import Literal
        >>> from molrl.chemistry.fragments import load_fragment
        >>> class Methylation(FixedTask):
        ...     kind: Literal["methylation"] = "methylation"
        ...     fragment: str = "*C#N"
        ...
        ...     def build(self) -> Instance:
        ...         return Instance(Bag("CH3"), fixed=load_fragment(self.fragment))
    """

    def build(self) -> Instance:
        """Build the instance; it is kept.

        Raises:
            InputError: if what the task names cannot be read or built.
        """
        raise NotImplementedError(f"{type(self).__name__} must override build()")

    @cached_property
    def instance(self) -> Instance:
        """The instance."""
        built = self.build()
        if not isinstance(built, Instance):
            raise InputError(f"build of {type(self).__name__} must return an Instance: {built!r}")
        return built

    def draw(self, rng: np.random.Generator) -> Instance:
        """Return the instance; no random number is used."""
        return self.instance

    def instances(self) -> Sequence[Instance]:
        """Return the one instance, as a list."""
        return [self.instance]

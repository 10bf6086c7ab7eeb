"""Tasks: what to make, for environments and generators alike."""

from dataclasses import dataclass
from typing import Self

from molrl.bags import Bag


@dataclass(frozen=True)
class Task:
    """The task of placing all atoms of a bag in space.

    Attributes:
        bag: the atoms to place; a string is read as a formula.

    Raises:
        InputError: if the formula is invalid.

    Example:
        >>> Task("CH4O").bag.n_atoms
        6
    """

    bag: Bag

    def __post_init__(self) -> None:
        object.__setattr__(self, "bag", Bag(self.bag))

    @classmethod
    def of(cls, task: "Self | Bag | str") -> Self:
        """Return the task itself, or the task of placing a given bag.

        Args:
            task: a task, a bag, or a formula.

        Raises:
            InputError: if the formula is invalid.
        """
        return task if isinstance(task, cls) else cls(bag=Bag(task))  # type: ignore[arg-type]  # not a Task here

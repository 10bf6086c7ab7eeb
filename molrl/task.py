"""What to make. Environments and generators take the same task."""

from dataclasses import dataclass
from typing import Self

from molrl.bags import Bag


@dataclass(frozen=True)
class Task:
    """What to make: all atoms of a bag, placed in space.

    Attributes:
        bag: the atoms to place; a string is read as a formula.

    Raises:
        InputError: if the bag is no formula.
    """

    bag: Bag

    def __post_init__(self) -> None:
        object.__setattr__(self, "bag", Bag(self.bag))

    @classmethod
    def of(cls, task: "Self | Bag | str") -> Self:
        """The task itself, or the task of placing the given bag."""
        return task if isinstance(task, cls) else cls(bag=Bag(task))  # type: ignore[arg-type]  # not a Task here

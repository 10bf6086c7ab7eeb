"""The task of one bag."""

from typing import ClassVar, Literal

from molrl.bags import Bag
from molrl.tasks.fields import Formula
from molrl.tasks.interface import FixedTask, Instance


class BagTask(FixedTask):
    """Task of placing all atoms of one bag on an empty canvas.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag of this one episode.

    Attributes:
        bag: formula of the atoms to place.

    Example:
        >>> BagTask(bag="CH4O").instance.n_atoms
        6
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag",)

    kind: Literal["bag"] = "bag"
    bag: Formula = "CH3NO"

    def build(self) -> Instance:
        """Return the bag on an empty canvas."""
        return Instance(Bag(self.bag))

    def __str__(self) -> str:
        return self.bag

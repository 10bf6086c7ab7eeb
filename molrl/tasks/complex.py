"""The task of molecules of high symmetry, which need a covariant policy."""

from typing import ClassVar, Literal

from molrl.bags import Bag
from molrl.tasks.fields import Formula
from molrl.tasks.interface import FixedTask, Instance

COMPLEXES = ("SF6", "SOF4", "IF5", "SOF6")


class ComplexTask(FixedTask):
    """Task of placing the atoms of SF6, SOF4, IF5 or SOF6.

    Partially built, these molecules are symmetric: a policy over distances, angles and dihedrals to
    neighbours cannot distinguish the next position from occupied ones, a rotationally covariant
    policy can (Simm et al. 2021).

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`. The energy model must know sulfur, fluorine and iodine;
    by default it is ``gfn2``.

    Options of ``reset``: ``{"bag": "SOF4"}``.

    Attributes:
        bag: ``SF6``, ``SOF4``, ``IF5``, ``SOF6``, or any other formula.

    Example:
        >>> sorted(ComplexTask(bag="SF6").default_elements)
        [8, 9, 16, 53]
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag",)

    kind: Literal["complex"] = "complex"
    bag: Formula = "SF6"

    def build(self) -> Instance:
        """Return the bag on an empty canvas."""
        return Instance(Bag(self.bag))

    @property
    def default_elements(self) -> frozenset[int]:
        """Atomic numbers of all four complexes and of the bag."""
        return self.elements.union(*(Bag(bag) for bag in COMPLEXES))

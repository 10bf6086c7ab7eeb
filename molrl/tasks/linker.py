"""The task of connecting two fixed fragments."""

from typing import ClassVar, Literal

from pydantic import Field

from molrl.bags import Bag
from molrl.chemistry.fragments import face_to_face, load_fragment
from molrl.tasks.fields import Formula, FragmentPair
from molrl.tasks.interface import FixedTask, Instance


class LinkerTask(FixedTask):
    """Task of placing the atoms of a bag so that they connect two fixed fragments.

    Observation, action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`. The
        fragments fill the first slots, one after the other, their centroid at the origin.

    Reward: by default the energy difference, and 5 eV at the end for a valid molecule: connected,
        all valences satisfied.

    Options of ``reset``: ``{"fragments": ["*C", "*C"], "bag": "CH2"}``.

    Attributes:
        fragments: two SMILES, each with an attachment point ``*``.
        gap: Å, distance between the atoms of the two attachment points, which face each other.
        bag: formula of the atoms to place.

    Example:
        >>> LinkerTask(fragments=["*C", "*C"], bag="CH2").instance.finished_bag
        Bag('C3H8')
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag", "fragments")

    kind: Literal["linker"] = "linker"
    fragments: FragmentPair = ("*c1ccccc1", "*C#N")
    gap: float = Field(default=2.5, ge=1, le=20)
    bag: Formula = "CH2"

    def build(self) -> Instance:
        """Return the bag and both fragments as one.

        Raises:
            InputError: if a fragment cannot be read or has no attachment point.
        """
        first, second = (load_fragment(name) for name in self.fragments)
        return Instance(Bag(self.bag), fixed=face_to_face(first, second, self.gap))

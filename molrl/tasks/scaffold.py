"""The task of a substituent on a fixed fragment."""

from typing import ClassVar, Literal

from molrl.bags import Bag
from molrl.chemistry.fragments import load_fragment
from molrl.tasks.fields import Formula, FragmentName
from molrl.tasks.interface import FixedTask, Instance


class ScaffoldTask(FixedTask):
    """Task of placing the atoms of a bag on a fixed scaffold.

    Observation, action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`. The
        scaffold fills the first slots, centred at the origin; attachment points are not marked.

    Reward: by default the energy difference. The return of a complete episode is the binding energy
        of the placed atoms to the scaffold and to each other.

    Options of ``reset``: ``{"scaffold": "*C#N", "bag": "CH3"}``.

    Attributes:
        scaffold: SMILES, where ``*`` is an attachment point, or a file, which may contain several
            fragments.
        bag: formula of the atoms to place.

    Example:
        >>> ScaffoldTask(scaffold="*C", bag="CH3").instance.finished_bag
        Bag('C2H6')
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag", "scaffold")

    kind: Literal["scaffold"] = "scaffold"
    scaffold: FragmentName = "*c1ccccc1"
    bag: Formula = "CH3O"

    def build(self) -> Instance:
        """Return the bag and the scaffold.

        Raises:
            InputError: if the scaffold cannot be read.
        """
        return Instance(Bag(self.bag), fixed=load_fragment(self.scaffold))

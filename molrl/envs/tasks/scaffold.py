"""MolDesignScaffold-v0: grow a substituent on a fixed fragment."""

from collections.abc import Mapping
from typing import Any

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment, load_fragment
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import Formula, TaskConfig
from molrl.envs.task import Task, as_source


class ScaffoldConfig(TaskConfig):
    """What a scaffold is told.

    Attributes:
        scaffold: a SMILES, where ``*`` is an open end, or a file; several fragments that stand
            where they stand come from a file.
        bag: formula of what is to be placed.
    """

    scaffold: str = "*c1ccccc1"
    bag: Formula = "CH3O"


class Scaffold(Task[ScaffoldConfig]):
    """Placing the atoms of a bag on a scaffold that does not move.

    Observation, action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`. The
        scaffold fills the first slots, its middle at the origin; open ends are where an atom is
        missing, nothing marks them.

    Reward: the energy difference. The return of a complete episode is the energy that binds the
        placed atoms to the scaffold and to each other.

    Options of ``reset``: ``{"scaffold": "*C#N", "bag": "CH3"}``.

    Config: the fields of :class:`ScaffoldConfig`: ``scaffold``, ``bag``.

    Raises:
        InputError: if the scaffold cannot be read, or does not fit the canvas with the bag.
    """

    Config = ScaffoldConfig
    OPTIONS = ("bag", "scaffold")
    OFFERS = ("fixed",)

    def bag_sampler(self) -> FixedBagSampler:
        """The one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """The scaffold."""
        return load_fragment(as_source(options.get("scaffold", self.config.scaffold)))

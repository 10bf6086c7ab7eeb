"""MolDesignScaffold-v0: grow a substituent on a fixed fragment."""

from collections.abc import Mapping
from typing import Any

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment, load_fragment
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import Formula, TaskConfig
from molrl.envs.task import Task, check_fragment_name


class ScaffoldConfig(TaskConfig):
    """Configuration of the scaffold task.

    Attributes:
        scaffold: SMILES, where ``*`` is an attachment point, or a file, which may contain several
            fragments.
        bag: formula of the atoms to place.
    """

    scaffold: str = "*c1ccccc1"
    bag: Formula = "CH3O"


class Scaffold(Task[ScaffoldConfig]):
    """Task of placing the atoms of a bag on a fixed scaffold.

    Observation, action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`. The
        scaffold fills the first slots, centred at the origin; attachment points are not marked.

    Reward: the energy difference. The return of a complete episode is the binding energy of the
        placed atoms to the scaffold and to each other.

    Options of ``reset``: ``{"scaffold": "*C#N", "bag": "CH3"}``.

    Config: the fields of :class:`ScaffoldConfig`: ``scaffold``, ``bag``.

    Raises:
        InputError: if the scaffold cannot be read, or does not fit the canvas with the bag.
    """

    Config = ScaffoldConfig
    option_names = ("bag", "scaffold")
    provides = ("fixed",)

    def bag_sampler(self) -> FixedBagSampler:
        """Return the sampler of the one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """Return the scaffold."""
        return load_fragment(check_fragment_name(options.get("scaffold", self.config.scaffold)))

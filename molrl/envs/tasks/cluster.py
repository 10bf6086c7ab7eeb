"""MolDesignCluster-v0: solvent molecules around a solute."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment, load_fragment
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import Formula, TaskConfig, Terms
from molrl.envs.task import Task, as_source


class ClusterConfig(TaskConfig):
    """What a cluster is told.

    Attributes:
        solute: a SMILES or a file.
        solvent: formula of one solvent molecule.
        n_solvent: how many of them.
        reward: as elsewhere; the distance from the solute costs 0.01 Ha/Å as in MolGym.
    """

    solute: str = "C=O"
    solvent: Formula = "H2O"
    n_solvent: int = Field(default=5, strict=True, ge=1)
    reward: Terms = Field(default={"energy": 1.0, "distance": 0.272})


class Cluster(Task[ClusterConfig]):
    """Placing solvent molecules around a solute, one after another.

    The bag holds one solvent molecule; when it is empty it is filled again until ``n_solvent``
    are placed.

    Observation: as in :class:`molrl.envs.design.MolDesignEnv`, and ``refills (1,)`` int64, how
        often the bag will be filled again. The solute fills the first slots, its middle at the
        origin; a first placed atom has it as its focus, not the origin.

    Reward: the energy difference, and less 0.272 eV for every Å that the new atom is away from
        the nearest atom of the solute.

    Termination: "complete" when the last solvent molecule is placed; else as there.

    Options of ``reset``: ``{"solute": "CO"}`` and ``{"bag": "H3N"}`` choose solute and solvent.

    Config: the fields of :class:`ClusterConfig`: ``solute``, ``solvent``, ``n_solvent``.

    Raises:
        InputError: if the solute cannot be read, or all together do not fit the canvas.
    """

    Config = ClusterConfig
    OPTIONS = ("bag", "solute")
    OFFERS = ("fixed",)

    def bag_sampler(self) -> FixedBagSampler:
        """One solvent molecule."""
        return FixedBagSampler(Bag(self.config.solvent))

    @property
    def refills(self) -> int:
        """All but the first."""
        return self.config.n_solvent - 1

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """The solute."""
        return load_fragment(as_source(options.get("solute", self.config.solute)))

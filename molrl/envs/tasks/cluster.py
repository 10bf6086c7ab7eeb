"""MolDesignCluster-v0: solvent molecules around a solute."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment, load_fragment
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import Formula, TaskConfig, Terms
from molrl.envs.task import Task, check_fragment_name


class ClusterConfig(TaskConfig):
    """Configuration of the cluster task.

    Attributes:
        solute: SMILES or file of the solute.
        solvent: formula of one solvent molecule.
        n_solvent: number of solvent molecules.
        reward: reward terms; by default the distance from the solute costs 0.01 Ha/Å, as in MolGym.
    """

    solute: str = "C=O"
    solvent: Formula = "H2O"
    n_solvent: int = Field(default=5, strict=True, ge=1)
    reward: Terms = Field(default={"energy": 1.0, "distance": 0.272})


class Cluster(Task[ClusterConfig]):
    """Task of placing solvent molecules around a solute, one after another.

    The bag contains one solvent molecule; it is refilled until ``n_solvent`` are placed.

    Observation: as in :class:`molrl.envs.design.MolDesignEnv`, and ``refills (1,)`` int64, the
        number of refills left. The solute fills the first slots, its centroid at the origin. The
        first placed atom has an atom of the solute as its focus.

    Reward: the energy difference, minus 0.272 eV/Å times the distance of the new atom from the
        nearest atom of the solute.

    Termination: "complete" when the last solvent molecule is placed; otherwise as in
        :class:`molrl.envs.design.MolDesignEnv`.

    Options of ``reset``: ``{"solute": "CO"}`` and ``{"bag": "H3N"}`` set solute and solvent.

    Config: the fields of :class:`ClusterConfig`: ``solute``, ``solvent``, ``n_solvent``.

    Raises:
        InputError: if the solute cannot be read, or the cluster does not fit the canvas.
    """

    Config = ClusterConfig
    option_names = ("bag", "solute")
    provides = ("fixed",)

    def bag_sampler(self) -> FixedBagSampler:
        """Return the sampler of one solvent molecule."""
        return FixedBagSampler(Bag(self.config.solvent))

    @property
    def refills(self) -> int:
        """Number of solvent molecules after the first."""
        return self.config.n_solvent - 1

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """Return the solute."""
        return load_fragment(check_fragment_name(options.get("solute", self.config.solute)))

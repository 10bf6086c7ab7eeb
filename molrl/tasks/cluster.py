"""The task of solvent molecules around a solute."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from molrl.bags import MAX_ATOMS, Bag
from molrl.chemistry.fragments import load_fragment
from molrl.tasks.fields import Formula, FragmentName
from molrl.tasks.interface import FixedTask, Instance


class ClusterTask(FixedTask):
    """Task of placing solvent molecules around a solute, one after another.

    The bag contains one solvent molecule; it is refilled until ``n_solvent`` are placed.

    Observation: as in :class:`molrl.envs.design.MolDesignEnv`, and ``refills (1,)`` int64, the
        number of refills left. The solute fills the first slots, its centroid at the origin. The
        first placed atom has an atom of the solute as its focus.

    Reward: by default the energy difference, minus 0.272 eV/Å (0.01 Ha/Å, as in MolGym) times the
        distance of the new atom from the nearest atom of the solute.

    Termination: "complete" when the last solvent molecule is placed; otherwise as in
        :class:`molrl.envs.design.MolDesignEnv`.

    Options of ``reset``: ``{"solute": "CO"}`` and ``{"bag": "H3N"}`` set solute and solvent.

    Attributes:
        solute: SMILES or file of the solute.
        solvent: formula of one solvent molecule.
        n_solvent: number of solvent molecules.

    Example:
        >>> ClusterTask(solute="C=O", solvent="H2O", n_solvent=3).instance.n_atoms
        13
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag", "solute")

    kind: Literal["cluster"] = "cluster"
    solute: FragmentName = "C=O"
    solvent: Formula = "H2O"
    n_solvent: int = Field(default=5, ge=1, le=MAX_ATOMS)

    def build(self) -> Instance:
        """Return one solvent molecule and the solute.

        Raises:
            InputError: if the solute cannot be read.
        """
        solute = load_fragment(self.solute)
        return Instance(Bag(self.solvent), fixed=solute, refills=self.n_solvent - 1)

    def for_episode(self, options: Mapping[str, Any]) -> Self:
        """Return the task with another solute or solvent."""
        names = {"bag": "solvent"}
        return self._replaced(**{names.get(key, key): value for key, value in options.items()})

"""MolDesignLinker-v0: connect two fixed fragments."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment, face_to_face, load_fragment
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import Formula, TaskConfig, Terms
from molrl.envs.task import Task, check_fragment_name
from molrl.errors import InputError


class LinkerConfig(TaskConfig):
    """Configuration of the linker task.

    Attributes:
        fragments: two SMILES, each with an attachment point ``*``.
        gap: Å, distance between the atoms of the two attachment points, which face each other.
        bag: formula of the atoms to place.
        reward: reward terms; by default a valid molecule has 5 eV more.
    """

    fragments: tuple[str, str] = ("*c1ccccc1", "*C#N")
    gap: float = Field(default=2.5, gt=0, le=20, allow_inf_nan=False)
    bag: Formula = "CH2"
    reward: Terms = Field(default={"energy": 1.0, "valid": 5.0})


class Linker(Task[LinkerConfig]):
    """Task of placing the atoms of a bag so that they connect two fixed fragments.

    Observation, action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`. The
        fragments fill the first slots, one after the other, their centroid at the origin.

    Reward: the energy difference, and 5 eV at the end for a valid molecule: connected,
        all valences satisfied.

    Options of ``reset``: ``{"fragments": ["*C", "*C"], "bag": "CH2"}``.

    Config: the fields of :class:`LinkerConfig`: ``fragments``, ``gap``, ``bag``.

    Raises:
        InputError: if a fragment cannot be read or has no attachment point, or the molecule does
            not fit the canvas.
    """

    Config = LinkerConfig
    option_names = ("bag", "fragments")
    provides = ("fixed",)

    def bag_sampler(self) -> FixedBagSampler:
        """Return the sampler of the one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """Return both fragments as one."""
        given = options.get("fragments", self.config.fragments)
        if isinstance(given, str) or not isinstance(given, list | tuple) or len(given) != 2:
            raise InputError(f"fragments must be two SMILES such as ['*C', '*C'], not {given!r}")
        first, second = (load_fragment(check_fragment_name(name)) for name in given)
        return face_to_face(first, second, self.config.gap)

"""MolDesignShape-v0: fill a region of space given as a point cloud."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from molrl.bags import Bag
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import Formula, TaskConfig, Terms
from molrl.envs.task import Task
from molrl.shapes import N_POINTS, load_shape


class ShapeConfig(TaskConfig):
    """What a shape is told.

    Attributes:
        shape: ``"sphere"``, ``"line"``, ``"ring"``, ``"surface"``, a mapping such as
            ``{"kind": "ring", "radius": 1.4}``, a file of points, or the points; see
            :func:`molrl.shapes.load_shape`.
        n_points: how many points stand for it.
        bag: formula of what is to be placed.
        reward: as elsewhere; every Å outside costs 1 eV, all points covered are worth 5 eV.
    """

    shape: Any = Field(default={"kind": "ring", "radius": 1.4})
    n_points: int = Field(default=N_POINTS, strict=True, ge=1, le=4096)
    bag: Formula = "C6H6"
    reward: Terms = Field(default={"energy": 1.0, "shape": 1.0, "coverage": 5.0})


class Shape(Task[ShapeConfig]):
    """Placing the atoms of a bag so that they fill a region.

    Observation: as in :class:`molrl.envs.design.MolDesignEnv`, and ``points (P, 3)`` float32 Å, the
        points to fill, in the frame of the positions. The point nearest their middle is at the
        origin, where the first atom goes.

    Reward: the energy difference; less 1 eV for every Å that the new atom is away from the shape,
        the first Å free; at the end 5 eV times the fraction of points within 1.5 Å of an atom.

    Action, termination and info: as there.

    Options of ``reset``: ``{"shape": "sphere", "bag": "C7H10O2"}``.

    Config: the fields of :class:`ShapeConfig`: ``shape``, ``n_points``, ``bag``.

    Raises:
        InputError: if the shape cannot be read, or reaches out of the canvas.
    """

    Config = ShapeConfig
    OPTIONS = ("bag", "shape")
    OFFERS = ("shape",)

    def bag_sampler(self) -> FixedBagSampler:
        """The one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    def points(self, options: Mapping[str, Any]) -> NDArray[np.float32]:
        """The cloud."""
        shape = options.get("shape", self.config.shape)
        return load_shape(shape, self.config.n_points).astype(np.float32)

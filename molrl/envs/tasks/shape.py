"""MolDesignShape-v0: fill a shape given as a point cloud."""

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
    """Configuration of the shape task.

    Attributes:
        shape: ``"sphere"``, ``"line"``, ``"ring"``, ``"surface"``, a mapping such as
            ``{"kind": "ring", "radius": 1.4}``, a file of points, or the points; see
            :func:`molrl.shapes.load_shape`.
        n_points: number of points that represent the shape.
        bag: formula of the atoms to place.
        reward: reward terms; by default every Å outside costs 1 eV, and covering all points gives
            5 eV.
    """

    shape: Any = Field(default={"kind": "ring", "radius": 1.4})
    n_points: int = Field(default=N_POINTS, strict=True, ge=1, le=4096)
    bag: Formula = "C6H6"
    reward: Terms = Field(default={"energy": 1.0, "shape": 1.0, "coverage": 5.0})


class Shape(Task[ShapeConfig]):
    """Task of placing the atoms of a bag so that they fill a shape.

    Observation: as in :class:`molrl.envs.design.MolDesignEnv`, and ``points (P, 3)`` float32 Å, the
        points to fill, in the frame of the positions. The point nearest to their centroid is at
        the origin, where the first atom is placed.

    Reward: the energy difference, minus 1 eV/Å times the distance of the new atom from the shape
        beyond 1 Å; at the end 5 eV times the fraction of points within 1.5 Å of an atom.

    Action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`.

    Options of ``reset``: ``{"shape": "sphere", "bag": "C7H10O2"}``.

    Config: the fields of :class:`ShapeConfig`: ``shape``, ``n_points``, ``bag``.

    Raises:
        InputError: if the shape cannot be read, or does not fit the canvas.
    """

    Config = ShapeConfig
    option_names = ("bag", "shape")
    provides = ("shape",)

    def bag_sampler(self) -> FixedBagSampler:
        """Return the sampler of the one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    def points(self, options: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the point cloud of the shape."""
        shape = options.get("shape", self.config.shape)
        return load_shape(shape, self.config.n_points).astype(np.float32)

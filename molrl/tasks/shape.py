"""The task of filling a shape given as a point cloud."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from molrl.bags import Bag
from molrl.shapes import N_POINTS, load_shape
from molrl.tasks.fields import Formula
from molrl.tasks.interface import FixedTask, Instance
from molrl.validation import plain


def _to_plain(shape: object) -> object:
    """Return the name, the mapping, or the points of a shape as plain data."""
    if isinstance(shape, Path):
        return str(shape)
    if isinstance(shape, Mapping):
        return {key: plain(value) for key, value in shape.items()}
    return shape.tolist() if hasattr(shape, "tolist") else shape  # of NumPy or PyTorch


class ShapeTask(FixedTask):
    """Task of placing the atoms of a bag so that they fill a shape.

    Observation: as in :class:`molrl.envs.design.MolDesignEnv`, and ``points (P, 3)`` float32 Å, the
        points to fill, in the frame of the positions. The point nearest to their centroid is at
        the origin, where the first atom is placed.

    Reward: by default the energy difference, minus 1 eV/Å times the distance of the new atom from
        the shape beyond 1 Å; at the end 5 eV times the fraction of points within 1.5 Å of an atom.

    Action, termination and info: as in :class:`molrl.envs.design.MolDesignEnv`.

    Options of ``reset``: ``{"shape": "sphere", "bag": "C7H10O2"}``.

    Attributes:
        shape: ``"sphere"``, ``"line"``, ``"ring"``, ``"surface"``, a mapping such as
            ``{"kind": "ring", "radius": 1.4}``, a file of points, or the points; see
            :func:`molrl.shapes.load_shape`.
        n_points: number of points that represent the shape.
        bag: formula of the atoms to place.

    Example:
        >>> ShapeTask(shape="sphere", n_points=16).instance.shape.shape
        (16, 3)
    """

    option_names: ClassVar[tuple[str, ...]] = ("bag", "shape")

    kind: Literal["shape"] = "shape"
    shape: Annotated[Any, BeforeValidator(_to_plain)] = Field(
        default={"kind": "ring", "radius": 1.4}
    )
    n_points: int = Field(default=N_POINTS, ge=1, le=4096)
    bag: Formula = "C6H6"

    def build(self) -> Instance:
        """Return the bag and the points.

        Raises:
            InputError: if the shape cannot be read.
        """
        points = load_shape(self.shape, self.n_points).astype(np.float32)
        return Instance(Bag(self.bag), shape=points)

"""The configs of denoisers: their network, and how they are trained."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from molrl.runs.config import Config, RunConfig


class TrunkConfig(Config):
    """The network of a denoiser.

    Attributes:
        head: ``energy``: what is learnt is the gradient of a scalar; ``direct``: a vector, which
            costs a third of that.
        channels: number of invariant features of an atom.
        hidden: number of hidden features of a pair of atoms.
        vectors: number of vectors of an atom.
        layers: number of layers.
        n_basis: number of radial basis functions.
        avg_neighbors: sums over neighbours are divided by its square root.

    Example:
        >>> TrunkConfig(channels=32).layers
        4
    """

    head: Literal["energy", "direct"] = "energy"
    channels: int = Field(64, ge=1)
    hidden: int = Field(64, ge=1)
    vectors: int = Field(16, ge=1)
    layers: int = Field(4, ge=1, le=12)
    n_basis: int = Field(24, ge=4)
    avg_neighbors: float = Field(8.0, gt=0)


class NoiseConfig(Config):
    """The noise of the training.

    Attributes:
        log_mean: mean of the logarithm of the noise level in Å.
        log_width: standard deviation of that.
        largest: Å, the largest noise level.
        named: share of the molecules whose elements are known.
        placed: share of the molecules of which a fragment, drawn at random, is known.
        feature_weight: of errors of the features of elements, beside those of positions.
    """

    log_mean: float = Field(-0.8, ge=-10, le=5)
    log_width: float = Field(1.2, ge=0, le=5)
    largest: float = Field(10.0, gt=0)
    named: float = Field(0.6, ge=0, le=1)
    placed: float = Field(0.1, ge=0, le=1)
    feature_weight: float = Field(0.5, ge=0)

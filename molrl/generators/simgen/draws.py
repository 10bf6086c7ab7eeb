"""The random numbers of a batch, each molecule's from its own stream."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molrl.generators.simgen.config import SimgenConfig


@dataclass(frozen=True)
class Draws:
    """The random numbers of one assembly, drawn before it begins.

    Attributes:
        start: ``(n_free_total, 3)`` float32 standard normal.
        place: ``(n_free_total,)`` float32 uniform in [0, 1), for the points of a shape.
        noise: ``(steps - 1, n_atoms_of_copies, 3)`` float32 standard normal, atoms of the copies of
            the first molecule first.
        swaps: ``(n_rounds, n_atoms_of_copies, 2)`` float32 uniform.
        choices: ``(n_rounds, n_copies)`` float32 uniform.

    Example:
        >>> streams = [np.random.default_rng([0, i]) for i in range(2)]
        >>> draw(streams, [3, 4], [0, 0], SimgenConfig(particles=5)).noise.shape
        torch.Size([49, 35, 3])
    """

    start: Tensor
    place: Tensor
    noise: Tensor
    swaps: Tensor
    choices: Tensor

    def to(self, device: torch.device) -> "Draws":
        """Return them on a device."""
        return Draws(**{name: value.to(device) for name, value in vars(self).items()})


def draw(
    streams: list[np.random.Generator],
    n_free: list[int],
    n_fixed: list[int],
    config: SimgenConfig,
) -> Draws:
    """Draw the random numbers of a batch.

    Args:
        streams: of each molecule.
        n_free: of each molecule, heavy atoms to place.
        n_fixed: of each molecule, heavy atoms that are fixed.
        config: the settings.
    """
    copies, steps = config.particles, config.steps - 1
    rounds = -(-steps // config.swap_every)
    parts: list[tuple[np.ndarray, ...]] = []
    for stream, n, held in zip(streams, n_free, n_fixed, strict=True):
        width = copies * (n + held)
        parts.append(
            (
                stream.standard_normal((n, 3), dtype=np.float32),
                stream.random(n, dtype=np.float32),
                stream.standard_normal((steps, width, 3), dtype=np.float32),
                stream.random((rounds, width, 2), dtype=np.float32),
                stream.random((rounds, copies), dtype=np.float32),
            )
        )
    start, place, noise, swaps, choices = zip(*parts, strict=True)
    first = (np.concatenate(start), np.concatenate(place))
    others = (np.concatenate(x, axis=1) for x in (noise, swaps, choices))
    return Draws(*map(torch.from_numpy, (*first, *others)))

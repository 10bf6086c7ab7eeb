"""Where the atoms should be: around the origin, or along the points of a shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from molrl.errors import InputError
from molrl.generators.simgen.anchors import points_of
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.skeletons import Skeletons
from molrl.shapes import load_shape
from molrl.tasks.interface import Instance


def strength(n_atoms: Tensor) -> Tensor:
    """Return the strength of the prior by the number of heavy atoms, 1/Å², as fitted to QM9.

    Args:
        n_atoms: ``(n,)``.

    Returns:
        ``(n,)`` float32.
    """
    return 0.45 / (0.3 + 0.05 * 1.566 * n_atoms.float().sqrt()) ** 2


@dataclass(frozen=True)
class Prior:
    """A normal distribution around the origin, or point clouds, one for each molecule.

    Attributes:
        config: the settings.
        inverse: ``(3, 3)`` float32, diagonal, without unit: inverse of the covariance of the normal
            distribution, of determinant 1.
        points: ``(n_molecules, P, 3)`` float32, Å; P is 0 for the normal distribution.

    Example:
        >>> prior = Prior(SimgenConfig(), torch.eye(3), torch.zeros(1, 0, 3))
        >>> prior.force(Skeletons(torch.tensor([6]), torch.eye(1, 3), torch.tensor([1])), 1.0)[0, 0]
        tensor(-1.5722)
    """

    config: SimgenConfig
    inverse: Tensor
    points: Tensor

    def to(self, device: torch.device) -> "Prior":
        """Return it on a device."""
        return replace(self, inverse=self.inverse.to(device), points=self.points.to(device))

    def force(self, skeletons: Skeletons, sigma: float) -> Tensor:
        """Compute the force on each atom.

        Args:
            skeletons: as many copies in a row of each molecule as there are particles.
            sigma: the time σ.

        Returns:
            ``(n_atoms_total, 3)`` float32, 1/Å.
        """
        faded = self.config.prior_strength * torch.tanh(
            torch.tensor(self.config.prior_fade * sigma**2)
        )
        free = skeletons.sum_atoms((~skeletons.fixed).long())
        scale = (faded.item() * strength(free))[skeletons.molecule, None]
        return scale * self._pull(skeletons)

    def start(self, index: int, normal: Tensor, uniform: Tensor) -> Tensor:
        """Return where the atoms of a molecule begin.

        Args:
            index: of the molecule.
            normal: ``(n, 3)`` standard normal.
            uniform: ``(n,)`` in [0, 1), which tells the point of each atom.

        Returns:
            ``(n, 3)`` Å.
        """
        scale = self.config.start_scale
        points = self.points[index]
        if not len(points):
            spread: Tensor = scale * normal / self.inverse.diagonal().sqrt()
            return spread
        # Spread evenly over the cloud: one atom in each of n shares of the points.
        n = len(normal)
        share = (torch.arange(n) + uniform) / n
        nearest = (share * len(points)).long().clamp(max=len(points) - 1)
        return points[nearest] + scale * normal

    def _pull(self, skeletons: Skeletons) -> Tensor:
        if not self.points.shape[1]:
            return -skeletons.positions @ self.inverse
        copies = len(skeletons) // len(self.points)
        apart = self.points[skeletons.molecule // copies] - skeletons.positions[:, None]
        weights = torch.softmax(-self.config.prior_sharpness * apart.norm(dim=-1), dim=-1)
        pull: Tensor = (weights.unsqueeze(-1) * apart).sum(1)
        return pull


def choose_prior(given: object, instances: Sequence[Instance], config: SimgenConfig) -> Prior:
    """Return the prior of a batch.

    Args:
        given: None, a normal distribution or a shape, as for
            :class:`~molrl.generators.simgen.generator.SimgenGenerator`; without one, that of the
            shape or the fixed atoms of the instances, or a ball.
        instances: what to make.
        config: the settings.

    Raises:
        InputError: if it is no prior, or the task has a shape or fixed atoms, too.
    """
    round_ball = torch.eye(3)
    points = [points_of(instance) for instance in instances]
    if given is None:
        width = max(map(len, points))
        # All clouds of a batch are as large; points are repeated where they are fewer.
        padded = [p[np.arange(width) % len(p)] if len(p) else p for p in points]
        if len({len(p) for p in padded}) > 1:
            raise InputError("simgen: either all molecules of a task have a shape, or none")
        return Prior(config, round_ball, torch.from_numpy(np.stack(padded)))
    if any(map(len, points)):
        raise InputError("simgen: the task has a shape or fixed atoms; leave out the prior")
    if isinstance(given, Mapping) and given.get("kind") == "gaussian":
        nothing = torch.zeros(len(instances), 0, 3)
        return Prior(config, _inverse_covariance(given), nothing)
    cloud = torch.from_numpy(load_shape(given)).float()
    cloud = cloud - cloud.mean(0)
    return Prior(config, round_ball, cloud.expand(len(instances), *cloud.shape))


def _inverse_covariance(given: Mapping[str, object]) -> Tensor:
    widths = given.get("widths", [1.0, 1.0, 1.0])
    try:
        values = torch.tensor(widths, dtype=torch.float32)
    except (TypeError, ValueError):
        values = torch.zeros(0)
    extra = set(given) - {"kind", "widths"}
    if extra or values.shape != (3,) or not bool((values > 0).all()):
        raise InputError(
            "a gaussian prior is {kind: gaussian, widths: [1, 1, 3]} with three widths above 0, "
            f"not {dict(given)!r}"
        )
    return torch.diag(values.square() / values.prod() ** (2 / 3)).inverse()

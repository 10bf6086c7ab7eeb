"""Where the atoms should be: around the origin, or along the points of a shape."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.skeletons import Skeletons


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
        inverse: ``(3, 3)`` float32, without unit: inverse of the covariance of the normal
            distribution, of determinant 1.
        points: ``(n_molecules, P, 3)`` float32, Å; P is 0 for the normal distribution.

    Example:
        >>> prior = Prior(SimgenConfig(), torch.eye(3), torch.zeros(1, 0, 3))
        >>> prior.force(Skeletons(torch.tensor([6]), torch.eye(1, 3), torch.tensor([1])), 1.0)[0, 0]
        tensor(-2.1999)
    """

    config: SimgenConfig
    inverse: Tensor
    points: Tensor

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

    def _pull(self, skeletons: Skeletons) -> Tensor:
        if not self.points.shape[1]:
            return -skeletons.positions @ self.inverse
        copies = len(skeletons) // len(self.points)
        apart = self.points[skeletons.molecule // copies] - skeletons.positions[:, None]
        weights = torch.softmax(-self.config.prior_sharpness * apart.norm(dim=-1), dim=-1)
        return (weights.unsqueeze(-1) * apart).sum(1)

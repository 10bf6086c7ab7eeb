"""What the atoms of a canvas see of the points to fill."""

import torch
from torch import Tensor, nn

from molrl.agents.networks.encoder import N_RADIAL, DegreeLinear, mlp, radial_basis
from molrl.agents.networks.sphere import harmonics
from molrl.molecules import MoleculeBatch

_SHORTEST = 0.01  # Å; the first atom is placed on a point
_COVERED = 1.5  # Å, about the distance at which an atom covers a point


class PointEncoder(nn.Module):
    r"""Density of the points around each atom, on radial functions and spherical harmonics.

    An atom gets :math:`\sum_p R_b(r_{ip}) Y_{lm}(\hat r_{ip})` over the points within the cutoff
    (Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115, 2013), once for all points and once
    weighted by how near each point is to an atom of the canvas, mapped linearly in each degree. A
    rotation of atoms and points rotates it.

    Args:
        width: number of scalars per atom.
        channels: number of spherical features per degree.
        degree: highest degree l.
        cutoff: Å.
    """

    def __init__(self, width: int, channels: int, degree: int, cutoff: float) -> None:
        super().__init__()
        self.degree, self.cutoff = degree, cutoff
        self.scalars = mlp(2 * N_RADIAL, width, width)
        self.features = DegreeLinear(2 * N_RADIAL, channels, degree)

    def forward(self, molecules: MoleculeBatch, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return scalars ``(n_atoms_total, width)`` and features, as those of the encoder.

        Args:
            molecules: n canvases, positions in float32.
            points: ``(n, P, 3)`` float32, Å.
        """
        vectors = points[molecules.molecule] - molecules.positions[:, None]
        lengths = vectors.norm(dim=-1).clamp(min=_SHORTEST)
        index = molecules.molecule[:, None].expand_as(lengths)
        farthest = lengths.new_full(points.shape[:2], self.cutoff)
        nearest = farthest.scatter_reduce(0, index, lengths, "amin")
        covered = (-(nearest / _COVERED).square()).exp()[molecules.molecule]
        basis = radial_basis(lengths.flatten(), self.cutoff, N_RADIAL)
        inside = (lengths < self.cutoff).flatten()[:, None]
        radial = torch.where(inside, basis, 0.0).view(*lengths.shape, N_RADIAL)
        both = torch.cat([radial, radial * covered[:, :, None]], -1)
        angular = harmonics(vectors, self.degree)
        density = torch.einsum("npm,npb->nmb", angular, both) / points.shape[1] ** 0.5
        scalars: Tensor = self.scalars(density[:, 0])
        features: Tensor = self.features(density)
        return scalars, features

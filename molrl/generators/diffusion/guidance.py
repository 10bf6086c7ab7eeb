"""Guidance of a sampler: by the forces of an energy model, and into a shape."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from molrl.energy.counting import CountedEnergy
from molrl.energy.interface import EnergyModel
from molrl.errors import InputError
from molrl.generators.diffusion.cloud import Cloud, is_broken
from molrl.runs.config import Config

_BELOW = 1.0  # Å; above, denoised molecules are too blurred for an energy to mean anything
_REACH = 0.5  # Å, how far from the points of a shape heavy atoms may be
# 1/Å, times the noise level and squared: the share of the way to a shape that an atom is moved.
# At low noise bonds are made, which a pull would break.
_PULL = 2.0


class GuidanceConfig(Config):
    """Guidance by an energy, by reward terms, or by both.

    Attributes:
        energy: 1/eV: samples are drawn towards molecules of low energy E, as if those of the data
            were weighted by exp(-energy * E), along the forces; 0: no such guidance; below 0:
            towards high energy.
        reward: reward terms of finished molecules, as those of an environment, with their weights:
            samples are as if those of the data were weighted by the exponential of the reward.
            Of each molecule several particles are sampled, of which the best go on.
        particles: of each molecule, if there is a reward.
        model: name of the energy model of both.

    Example:
        >>> GuidanceConfig(reward={"valid": 5.0}).particles
        4
    """

    energy: float = 0.0
    reward: dict[str, Any] = Field(default_factory=dict)
    particles: int = Field(4, ge=2, le=1000)
    model: str = "mace-small"

    @model_validator(mode="after")
    def _check_used(self) -> Self:
        given = self.model_fields_set
        if "particles" in given and not self.reward:
            raise InputError("particles are of a reward, and there is none; give reward, too")
        if "model" in given and not (self.energy or self.reward):
            raise InputError("model would not be used; give energy or reward, too")
        return self


class EnergyGuide:
    """Moves denoised molecules along the forces of an energy model.

    Args:
        model: the energy model.
        weight: 1/eV.
        elements: atomic numbers of the features.

    Attributes:
        model: the same, which counts its evaluations.
    """

    def __init__(self, model: EnergyModel, weight: float, elements: Sequence[int]) -> None:
        self.model = CountedEnergy(model)
        self._weight, self._elements = weight, elements

    def displace(self, cloud: Cloud, sigma: Tensor) -> Tensor:
        """Return weight * sigma² * forces, at most as long as the noise; see :class:`Guide`."""
        moves = torch.zeros_like(cloud.positions)
        if float(sigma.max()) > _BELOW:
            return moves
        usable = ~is_broken(cloud)  # an energy model refuses the others
        if bool(usable.any()):
            molecules = cloud.to_molecules(self._elements)[usable]
            forces = self.model.evaluate(molecules, forces=True).forces
            assert forces is not None  # asked for
            moves[cloud.mask & usable[:, None]] = torch.nan_to_num(forces.to(moves))
        moves = moves * (self._weight * sigma.square())[:, None, None]
        lengths = moves.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        moves = moves * (sigma[:, None, None] / lengths).clamp(max=1.0)
        return cloud.centred(moves) if not bool(cloud.placed.any()) else moves


class ShapeGuide:
    """Draws denoised heavy atoms to the points of a shape, and to points that have none.

    Hydrogens follow the heavy atoms that they are bonded to.

    Args:
        points: ``(n_molecules, n_points, 3)`` Å, in the frame of the molecules.
        elements: atomic numbers of the features.
    """

    def __init__(self, points: Tensor, elements: Sequence[int]) -> None:
        self._points = points
        self._heavy = torch.tensor(elements, device=points.device) > 1

    def displace(self, cloud: Cloud, sigma: Tensor) -> Tensor:
        """Return the ways of atoms to the shape where they are far from it; see :class:`Guide`."""
        may = cloud.mask & ~cloud.placed & self._heavy[cloud.features.argmax(-1)]
        away = self._points[:, None] - cloud.positions[:, :, None]  # (n, atoms, points, 3)
        lengths = away.norm(dim=-1)
        nearest = lengths.argmin(2)[..., None, None].expand(-1, -1, 1, 3)
        way = away.gather(2, nearest).squeeze(2)
        far = way.norm(dim=-1, keepdim=True)
        moves: Tensor = way * ((far - _REACH) / far.clamp(min=1e-6)).clamp(min=0.0)
        # A point that no atom is near draws the atom that is nearest to it, which leaves its own.
        found, atom = lengths.masked_fill(~may[..., None], torch.inf).min(1)
        lonely = ((found > _REACH) & torch.isfinite(found)).to(moves.dtype)[..., None]
        ways = away.gather(1, atom[:, None, :, None].expand(-1, 1, -1, 3)).squeeze(1) * lonely
        index = atom[..., None].expand(-1, -1, 3)
        total = torch.zeros_like(moves).scatter_add(1, index, ways)
        count = torch.zeros_like(moves).scatter_add(1, index, lonely.expand_as(ways))
        moves = torch.where(count > 0, total / count.clamp(min=1), moves)
        moves = moves * may[..., None] * (_PULL * sigma).square().clamp(max=1.0)[:, None, None]
        return moves

"""The noise that denoisers learn to take away, and their loss."""

from dataclasses import replace

import torch
from torch import Tensor

from molrl.generators.diffusion.cloud import Cloud
from molrl.generators.diffusion.config import NoiseConfig
from molrl.generators.diffusion.models import DenoisingModel


def draw_known(clean: Cloud, config: NoiseConfig, random: torch.Generator) -> Cloud:
    """Say of some molecules that their elements, or a fragment of them, is known.

    Args:
        clean: molecules.
        config: how many.
        random: what draws.

    Returns:
        The same molecules, centred at what is known.
    """
    n = len(clean)
    chance = torch.rand(2, n, generator=random).to(clean.mask.device)
    named = clean.mask & (chance[0] < config.named)[:, None]
    with_fragment = (chance[1] < config.placed) & (clean.n_atoms > 1)
    placed = _fragments(clean, random) & with_fragment[:, None]
    known = replace(clean, named=named | placed, placed=placed)
    return known.at(known.centred(known.positions))


def _fragments(clean: Cloud, random: torch.Generator) -> Tensor:
    """Return ``(n_molecules, n_slots)`` bool, an atom of each and some that are nearest to it."""
    device = clean.mask.device
    draws = torch.rand(2, len(clean), generator=random).to(device)
    centre = (draws[0] * clean.n_atoms).long()
    at = clean.positions[torch.arange(len(clean), device=device), centre]
    distance = (clean.positions - at[:, None]).norm(dim=-1)
    rank = distance.masked_fill(~clean.mask, torch.inf).argsort(-1).argsort(-1)
    size = 1 + (draws[1] * (clean.n_atoms - 1)).long()
    nearest: Tensor = (rank < size[:, None]) & clean.mask
    return nearest


def add_noise(clean: Cloud, sigma: Tensor, random: torch.Generator) -> Cloud:
    """Add normal noise to what is not known.

    Args:
        clean: molecules, centred.
        sigma: ``(n_molecules,)`` Å.
        random: what draws.

    Returns:
        The noisy molecules; those without placed atoms stay centred.
    """
    level = sigma[:, None, None]

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=random, dtype=like.dtype).to(like.device)

    shift = normal(clean.positions) * clean.mask.unsqueeze(-1)
    free = ~clean.placed.any(-1)[:, None, None]
    shift = torch.where(free, clean.centred(shift), shift)
    there, named = clean.mask & ~clean.placed, clean.mask & ~clean.named
    positions = clean.positions + level * shift * there.unsqueeze(-1)
    features = clean.features + level * normal(clean.features) * named.unsqueeze(-1)
    return clean.at(positions, features)


def draw_levels(n: int, config: NoiseConfig, random: torch.Generator) -> Tensor:
    """Draw ``(n,)`` noise levels, Å, from a log-normal distribution.

    Args:
        n: number of molecules.
        config: of the distribution.
        random: what draws.
    """
    normal = torch.randn(n, generator=random)
    return (config.log_mean + config.log_width * normal).exp().clamp(max=config.largest)


def loss(model: DenoisingModel, clean: Cloud, noisy: Cloud, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean weighted squared errors of the denoised positions and features.

    Args:
        model: what denoises.
        clean: molecules.
        noisy: the same with noise.
        sigma: ``(n_molecules,)`` Å.

    Returns:
        Two numbers; 0 where everything is known.
    """
    positions, features = model.denoise(noisy, sigma)
    of_x, of_h = model.weights(sigma)
    there, named = clean.mask & ~clean.placed, clean.mask & ~clean.named
    return (
        _mean((positions - clean.positions).square(), of_x, there),
        _mean((features - clean.features).square(), of_h, named),
    )


def _mean(squared: Tensor, weight: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of squared errors over the values of the atoms that count."""
    total = (squared * weight[:, None, None] * counted.unsqueeze(-1)).sum()
    return total / (counted.sum().clamp(min=1) * squared.shape[-1])

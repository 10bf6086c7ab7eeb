"""Samplers: Heun's and Euler's method with churn, and relaxation along pseudo-forces."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from molrl.generators.diffusion.cloud import Cloud
from molrl.generators.diffusion.config import SamplingConfig
from molrl.generators.diffusion.models import DenoisingModel, keep_known, noise_of


@dataclass(frozen=True)
class Frame:
    """Molecules on their way from noise.

    Attributes:
        step: number of the step, from 0.
        noisy: after the step.
        sigma: ``(n_molecules,)`` Å, noise level of ``noisy``.
        evaluations: number of evaluations of the network for a molecule so far.
    """

    step: int
    noisy: Cloud
    sigma: Tensor
    evaluations: int


class Guide(Protocol):
    """What moves denoised molecules a little, so that samples are as it wants them."""

    def displace(self, cloud: Cloud, sigma: Tensor) -> Tensor:
        """Return displacements ``(n_molecules, n_slots, 3)``, Å, of denoised atoms.

        Args:
            cloud: denoised.
            sigma: ``(n_molecules,)`` Å, noise level of what was denoised.
        """
        ...


class Draws:
    """Normal random numbers, of each molecule from its own stream.

    Args:
        streams: one for each molecule.
        n_atoms: number of atoms of each molecule.
        like: of the type and on the device of the numbers.

    Example:
        >>> draws = Draws([np.random.default_rng(0)], [2], torch.zeros(0))
        >>> draws.normal(3).shape
        torch.Size([1, 2, 3])
    """

    def __init__(
        self, streams: Sequence[np.random.Generator], n_atoms: Sequence[int], like: Tensor
    ) -> None:
        self._streams, self._n_atoms, self._like = streams, n_atoms, like

    def normal(self, n: int) -> Tensor:
        """Return ``(n_molecules, n_slots, n)``; 0 in padding."""
        out = np.zeros((len(self._streams), max(self._n_atoms), n))
        for row, stream, atoms in zip(out, self._streams, self._n_atoms, strict=True):
            row[:atoms] = stream.standard_normal((atoms, n))
        return torch.from_numpy(out).to(self._like)

    def add(self, cloud: Cloud, sigma: Tensor, of_features: Tensor | None = None) -> Cloud:
        """Add noise to what is not known of molecules; free ones stay centred.

        Args:
            cloud: to add it to.
            sigma: ``(n_molecules,)`` Å.
            of_features: ``(n_molecules,)``, of the elements; None: the same.
        """
        level = sigma[:, None, None]
        other = level if of_features is None else of_features[:, None, None]
        shift = self.normal(3)
        free = ~cloud.placed.any(-1)[:, None, None]
        shift = torch.where(free, cloud.centred(shift), shift)
        features = cloud.features
        if not bool((cloud.named | ~cloud.mask).all()):
            features = features + other * self.normal(features.shape[-1])
        return cloud.at(*keep_known(cloud, cloud.positions + level * shift, features))


Denoise = Callable[[Cloud, Tensor], Cloud]
Steer = Callable[[Cloud, float], Tensor]


def keep_all(noisy: Cloud, level: float) -> Tensor:
    """Return the indices of all molecules: each goes on."""
    return torch.arange(len(noisy), device=noisy.mask.device)


def guided(model: DenoisingModel, guides: Sequence[Guide]) -> Denoise:
    """Return what denoises with a model, and then displaces atoms as guides want it.

    Args:
        model: the model.
        guides: none, one or several.
    """

    def denoise(cloud: Cloud, sigma: Tensor) -> Cloud:
        with torch.no_grad():
            clean = cloud.at(*model.denoise(cloud, sigma))
        for guide in guides:
            moved = clean.positions + guide.displace(clean, sigma)
            clean = clean.at(*keep_known(cloud, moved, clean.features))
        return clean

    return denoise


def start(cloud: Cloud, model: DenoisingModel, config: SamplingConfig, draws: Draws) -> Cloud:
    """Return noise in the place of all that is not known.

    Args:
        cloud: with what is known; the rest is 0.
        model: what the noise will be taken away with.
        config: of the sampler.
        draws: random numbers.
    """
    # Noisy data have the variance of the data, too.
    wide = [(config.largest**2 + spread**2) ** 0.5 for spread in model.spread]
    levels = cloud.positions.new_tensor(wide)[:, None].expand(2, len(cloud))
    return draws.add(cloud, levels[0], levels[1])


def heun(
    noisy: Cloud, denoise: Denoise, config: SamplingConfig, draws: Draws, steer: Steer = keep_all
) -> Iterator[Frame]:
    """Integrate from noise to molecules with Heun's method (Karras et al. 2022, algorithm 2).

    Args:
        noisy: from :func:`start`.
        denoise: from :func:`guided`.
        config: of the sampler.
        draws: random numbers.
        steer: what returns the indices of the molecules that go on after a step, by its noise
            level; see :class:`molrl.generators.diffusion.steering.Steering`.

    Yields:
        A frame after each step.
    """
    done = 0
    for step, (level, following) in enumerate(pairwise(config.heun_levels())):
        noisy, level = _churned(noisy, level, config, draws)
        slope = _slope(noisy, denoise, level)
        after = _moved(noisy, slope, following - level)
        done += 1
        if following > 0:
            second = _slope(after, denoise, following)
            mean = tuple((a + b) / 2 for a, b in zip(slope, second, strict=True))
            after = _moved(noisy, mean, following - level)
            done += 1
        noisy = after[steer(after, following)]
        yield Frame(step, noisy, _full(noisy, following), done)


def euler(
    noisy: Cloud, denoise: Denoise, config: SamplingConfig, draws: Draws, steer: Steer = keep_all
) -> Iterator[Frame]:
    """Integrate with Euler's method and churn: one evaluation a step.

    Where a network is imperfect, new noise mends more of what it did than a second evaluation does.

    Args:
        noisy: from :func:`start`.
        denoise: from :func:`guided`.
        config: of the sampler.
        draws: random numbers.
        steer: as of :func:`heun`.

    Yields:
        A frame after each step.
    """
    for step, (level, following) in enumerate(pairwise(config.euler_levels())):
        noisy, level = _churned(noisy, level, config, draws)
        noisy = _moved(noisy, _slope(noisy, denoise, level), following - level)
        noisy = noisy[steer(noisy, following)]
        yield Frame(step, noisy, _full(noisy, following), step + 1)


def relax(
    noisy: Cloud, denoise: Denoise, config: SamplingConfig, draws: Draws, steer: Steer = keep_all
) -> Iterator[Frame]:
    """Move atoms along pseudo-forces, each molecule by the noise that its forces tell.

    A step goes so far that the noise which is left is that of a schedule; the noise there is, is
    read from the forces, so that a molecule which is ahead of the schedule goes on more slowly.
    With churn a share of the noise that would be left is drawn anew (ancestral sampling).

    Args:
        noisy: from :func:`start`.
        denoise: from :func:`guided`.
        config: of the sampler.
        draws: random numbers.
        steer: what returns the indices of the molecules that go on after a step, by its noise
            level; see :class:`molrl.generators.diffusion.steering.Steering`.

    Yields:
        A frame after each step.
    """
    for step, (level, following) in enumerate(pairwise(config.euler_levels())):
        clean = denoise(noisy, _full(noisy, level))
        told = noise_of(clean.positions - noisy.positions, noisy).clamp(min=1e-6)
        left = torch.clamp(following / told, max=1.0)
        churned = config.churn_from <= following <= config.churn_to
        fresh = config.churn * (1 - left.square()).sqrt() if churned else torch.zeros_like(left)
        share = (left * (1 - fresh.square()).sqrt())[:, None, None]
        positions = clean.positions + share * (noisy.positions - clean.positions)
        features = clean.features + share * (noisy.features - clean.features)
        noisy = noisy.at(*keep_known(noisy, positions, features))
        if churned and config.churn:
            noisy = draws.add(noisy, config.churn_noise * fresh * left * told)
        kept = steer(noisy, following)
        noisy = noisy[kept]
        yield Frame(step, noisy, (left * told)[kept], step + 1)


def _churned(
    noisy: Cloud, level: float, config: SamplingConfig, draws: Draws
) -> tuple[Cloud, float]:
    """Return molecules with noise added before a step, and their noise level."""
    if not (config.churn and config.churn_from <= level <= config.churn_to):
        return noisy, level
    raised = level * (1 + config.churn)
    added = config.churn_noise * (raised**2 - level**2) ** 0.5
    return draws.add(noisy, _full(noisy, added)), raised


def _full(cloud: Cloud, level: float) -> Tensor:
    return cloud.positions.new_full((len(cloud),), level)


def _slope(noisy: Cloud, denoise: Denoise, level: float) -> tuple[Tensor, ...]:
    """Return the derivative of positions and features by the noise level."""
    clean = denoise(noisy, _full(noisy, level))
    return (noisy.positions - clean.positions) / level, (noisy.features - clean.features) / level


def _moved(noisy: Cloud, slope: tuple[Tensor, ...], change: float) -> Cloud:
    moved = noisy.positions + change * slope[0], noisy.features + change * slope[1]
    return noisy.at(*keep_known(noisy, *moved))


SAMPLERS = {"heun": heun, "euler": euler, "pseudo-force": relax}
"""The solvers of diffusion, and the sampler of a pseudo-force field."""

"""Steering of a sampler by reward terms, whose gradients are not needed.

Each molecule is sampled as several particles. At some noise levels the particles are drawn anew,
in proportion to the exponential of what the reward of the denoised molecule has grown by
(Singhal et al. 2025, arXiv:2501.06848, Feynman-Kac steering).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrl.bags import Bag
from molrl.energy.counting import CountedEnergy
from molrl.energy.interface import EnergyModel
from molrl.errors import InputError
from molrl.generators.diffusion.cloud import Cloud, is_broken
from molrl.generators.diffusion.sampling import Denoise, keep_all
from molrl.rewards.interface import PlacedAtoms
from molrl.rewards.registry import build_reward
from molrl.rewards.wants import check_wanted, combine_wants, split_output, wanted_names

LEVELS = (1.0, 0.5, 0.25, 0.1, 0.0)  # Å, noise levels at which particles are drawn anew
_WORST = -1e6  # of what has no reward

Score = Callable[[Cloud, Tensor | None], NDArray[np.float64]]
"""The reward of denoised molecules, eV, given the shape that they are to fill."""


class RewardScore:
    """Weighted sum of reward terms of denoised molecules.

    Args:
        spec: as for :func:`molrl.rewards.registry.build_reward`; terms at the end only.
        model: energy model of the terms.
        elements: atomic numbers of the features.

    Attributes:
        model: the same, which counts its evaluations.

    Raises:
        InputError: if a term is unknown, is one of every atom that an agent places, or wants what
            the energy model does not compute.
    """

    def __init__(
        self, spec: Mapping[str, Any], model: EnergyModel, elements: Sequence[int]
    ) -> None:
        self.model, self._elements = CountedEnergy(model), elements
        self._reward = build_reward(spec, self.model, provides=("fixed", "shape"))
        for name, (_, term) in self._reward.terms.items():
            if not term.at_end:
                raise InputError(
                    f"guidance.reward: {name!r} is of every atom that an agent places; name terms "
                    "of finished molecules, such as valid, or give guidance.energy"
                )
        self._wanted = combine_wants(self._reward.wants)
        check_wanted(self._wanted, model)

    def check(self, bag: Bag, has_shape: bool) -> None:
        """Check that the reward can be computed for molecules of a bag.

        Args:
            bag: of the finished molecules.
            has_shape: whether the task has a shape.

        Raises:
            InputError: if a term cannot.
        """
        self._reward.check_bag(bag)
        for name, (_, term) in self._reward.terms.items():
            if getattr(term, "requires", "") == "shape" and not has_shape:
                raise InputError(f"guidance.reward: {name!r} requires a task with a shape")

    def __call__(self, cloud: Cloud, shape: Tensor | None) -> NDArray[np.float64]:
        """Return ``(n_molecules,)``, eV; -10⁶ for molecules that have no reward.

        Args:
            cloud: denoised.
            shape: ``(n_molecules, n_points, 3)`` Å, in the frame of the cloud; None without any.
        """
        found = np.full(len(cloud), _WORST)
        usable = np.flatnonzero(~is_broken(cloud).cpu().numpy())
        if len(usable):
            rows = torch.from_numpy(usable).to(cloud.mask.device)
            points = np.zeros((len(usable), 0, 3), np.float32)
            if shape is not None:
                points = shape[rows].float().cpu().numpy()
            values = self._values(cloud[rows].to("cpu"), points)
            found[usable] = np.where(np.isfinite(values), values, _WORST)
        return found

    def _values(self, cloud: Cloud, points: NDArray[np.float32]) -> NDArray[np.float64]:
        molecules = cloud.to_molecules(self._elements)
        output = self.model.evaluate(molecules, **asdict(self._wanted))
        placed = PlacedAtoms(
            molecules=molecules,
            n_fixed=cloud.placed.sum(-1).numpy(),
            shape=points,
            binding=np.zeros(len(molecules)),
            energy=output.energy.cpu().double().numpy(),
            properties=split_output(output, wanted_names(self._wanted), molecules),
            model=self.model,
        )
        terms, _ = self._reward.compute_reward(placed, np.ones(len(molecules), bool))
        total: NDArray[np.float64] = np.sum(list(terms.values()), axis=0)
        return total


class Steering:
    """Particles of each molecule, of which those whose reward has grown most go on.

    Args:
        score: the reward, such as a :class:`RewardScore`.
        denoise: from :func:`molrl.generators.diffusion.sampling.guided`.
        shape: of each particle, as for :class:`RewardScore`.
        streams: of each molecule.
        particles: number of particles of each molecule, which follow one another.

    Attributes:
        evaluations: number of evaluations of the network for a particle so far.
    """

    def __init__(
        self,
        score: Score,
        denoise: Denoise,
        shape: Tensor | None,
        streams: Sequence[np.random.Generator],
        particles: int,
    ) -> None:
        self._score, self._denoise, self._shape = score, denoise, shape
        self._streams, self._particles = streams, particles
        self._left = list(LEVELS)
        self._before = np.zeros((len(streams), particles))
        self.evaluations = 0

    def __call__(self, noisy: Cloud, level: float) -> Tensor:
        """Return the indices of the particles that go on, as many as there are.

        Args:
            noisy: the particles.
            level: Å, their noise level.
        """
        if not self._left or level > self._left[0]:
            return keep_all(noisy, level)
        self._left = [each for each in self._left if each < level]
        clean = noisy
        if level > 0:
            clean = self._denoise(noisy, noisy.positions.new_full((len(noisy),), level))
            self.evaluations += 1
        reward = self._score(clean, self._shape).reshape(self._before.shape)
        chosen = [
            row * self._particles + _draw(stream, grown)
            for row, (stream, grown) in enumerate(
                zip(self._streams, reward - self._before, strict=True)
            )
        ]
        index = np.concatenate(chosen)
        self._before = reward.reshape(-1)[index].reshape(reward.shape)
        return torch.from_numpy(index).to(noisy.mask.device)


def _draw(stream: np.random.Generator, logits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw as many particles as there are, in proportion to the exponentials of numbers."""
    weights = np.exp(logits - logits.max())
    return stream.choice(len(logits), len(logits), p=weights / weights.sum())

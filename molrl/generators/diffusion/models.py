"""The two models on the same network: a preconditioned denoiser, and a field of pseudo-forces."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from molrl.generators.diffusion.cloud import Cloud
from molrl.generators.diffusion.config import TrunkConfig
from molrl.generators.diffusion.network import Denoiser

_FLAGS = 2  # inputs that say whether the position and the element of an atom are known
_N_WAVES = 4  # pairs of cosine and sine of the noise level
_INPUT = 0.3  # of normalised features, which are 2.5 for the element that an atom has
_FLOOR = 0.05  # Å; errors of pseudo-forces count relative to the noise level and this


class Spread(NamedTuple):
    """Root mean square of the clean data, which preconditioning is by.

    Attributes:
        positions: Å, of centred coordinates.
        features: of the features of elements.
    """

    positions: float
    features: float


@dataclass(frozen=True)
class Preconditioning:
    """The factors of Karras et al. 2022, table 1, for one noise level a molecule.

    The denoised value of x is ``skip * x + out * network(into * x)``.

    Attributes:
        skip: of the noisy value; 1 without noise, 0 where there is nothing but noise.
        out: of the output of the network; 0 without noise.
        into: of the noisy value in the input of the network, which so has a variance of 1.

    Example:
        >>> Preconditioning.of(torch.tensor(0.0), spread=1.3).skip
        tensor(1.0000)
    """

    skip: Tensor
    out: Tensor
    into: Tensor

    @classmethod
    def of(cls, sigma: Tensor, spread: float) -> "Preconditioning":
        """Return the factors for noise levels ``sigma`` and data of a root mean square."""
        total = sigma.square() + spread**2
        root = total.rsqrt()
        return cls(skip=spread**2 / total, out=sigma * spread * root, into=root)


class DenoisingModel(nn.Module, ABC):
    """What predicts clean molecules of noisy ones.

    Args:
        config: of the network.
        elements: atomic numbers, ascending.
        spread: of the data.

    Attributes:
        name: of the generator that samples with it.
        n_noise_inputs: number of inputs of the network that tell the noise level.
    """

    name: str
    n_noise_inputs: int = 0

    def __init__(self, config: TrunkConfig, elements: tuple[int, ...], spread: Spread) -> None:
        super().__init__()
        self.config, self.elements, self.spread = config, elements, spread
        n_inputs = len(elements) + _FLAGS + self.n_noise_inputs
        self.network = Denoiser(config, n_inputs, len(elements))

    @abstractmethod
    def denoise(self, cloud: Cloud, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the clean positions and features.

        Args:
            cloud: noisy, with what is known of it.
            sigma: ``(n_molecules,)``, noise level, Å; a model that finds it itself ignores it.

        Returns:
            Positions ``(n_molecules, n_slots, 3)`` Å and features
            ``(n_molecules, n_slots, n_elements)``; what is known is as it was.
        """

    @abstractmethod
    def weights(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights ``(n_molecules,)`` of squared errors of positions and features."""

    def _flags(self, cloud: Cloud) -> Tensor:
        return torch.stack([cloud.placed, cloud.named], dim=-1).to(cloud.positions.dtype)


class EDM(DenoisingModel):
    """A denoiser with the preconditioning of Karras et al. 2022 (arXiv:2206.00364).

    With a head of energies its score is the negative gradient of :meth:`energy`. The network is
    given the noise level.

    Example:
        >>> from molrl.generators.diffusion.config import TrunkConfig
        >>> model = EDM(TrunkConfig(channels=8), (1, 6), Spread(1.3, 0.1))
        >>> model.name
        'diffusion'
    """

    name = "diffusion"
    n_noise_inputs = 2 * _N_WAVES

    def denoise(self, cloud: Cloud, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the clean positions and features; see :meth:`DenoisingModel.denoise`."""
        level = sigma[:, None, None]
        of_x, of_h = (Preconditioning.of(level, spread) for spread in self.spread)
        inputs, seen = self._inputs(cloud, sigma)
        pull, turn = self.network(inputs, seen, cloud.mask)
        if self.config.head == "energy":
            pull, turn = pull * self.spread.positions, turn * self._balance
        pull = _without_drift(cloud, pull)
        positions = of_x.skip * cloud.positions + of_x.out * pull
        features = of_h.skip * cloud.features + of_h.out * turn
        return keep_known(cloud, positions, features)

    def energy(self, cloud: Cloud, sigma: Tensor) -> Tensor:
        """Return ``(n_molecules,)`` energies whose negative gradient is the score.

        Args:
            cloud: noisy.
            sigma: ``(n_molecules,)`` Å.
        """
        inputs, seen = self._inputs(cloud, sigma)
        learnt = self.network.energy(inputs, seen, cloud.mask)
        wells = [
            values.square().sum((1, 2)) / (2 * (sigma.square() + spread**2))
            for values, spread in zip((cloud.positions, cloud.features), self.spread, strict=True)
        ]
        return wells[0] + wells[1] + self.spread.positions / sigma * learnt

    def weights(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights with which all noise levels count alike at the beginning."""
        x, h = ((sigma.square() + s**2) / (sigma * s).square() for s in self.spread)
        return x, h

    @property
    def _balance(self) -> float:
        """The factor of gradients by features that makes them those of the same energy."""
        return self.spread.positions / self.spread.features * _INPUT

    def _inputs(self, cloud: Cloud, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the invariant inputs, and the positions that the network sees."""
        level = sigma[:, None, None]
        into_x, into_h = (Preconditioning.of(level, spread).into for spread in self.spread)
        into_h = torch.where(cloud.named.unsqueeze(-1), 1 / self.spread.features, into_h)
        waves = self._waves(sigma)[:, None].expand(-1, cloud.mask.shape[1], -1)
        inputs = [_INPUT * into_h * cloud.features, self._flags(cloud), waves]
        return torch.cat(inputs, dim=-1), into_x * self.spread.positions * cloud.positions

    def _waves(self, sigma: Tensor) -> Tensor:
        """Return ``(n_molecules, 8)``, cosines and sines of ln(sigma) / 4, of growing frequency."""
        frequency = 2.0 ** torch.arange(_N_WAVES, dtype=sigma.dtype, device=sigma.device)
        angle = (sigma.log() / 4)[:, None] * frequency
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


class PseudoForceField(DenoisingModel):
    """Forces that pull every atom to the equilibrium geometry, as springs of 1 eV/Å² would.

    A force field fitted to a quadratic potential about equilibrium geometries ("generative
    pseudo-force fields", arXiv:2605.19050): it is not told the noise level, which the length of
    its forces tells. Features of elements are pulled as positions are.

    Example:
        >>> from molrl.generators.diffusion.config import TrunkConfig
        >>> PseudoForceField(TrunkConfig(channels=8), (1, 6), Spread(1.3, 0.1)).name
        'pseudo-force'
    """

    name = "pseudo-force"

    def denoise(self, cloud: Cloud, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return positions and features moved by the forces; the noise level is not used."""
        pull, turn = self.forces(cloud)
        return keep_known(cloud, cloud.positions + pull, cloud.features + turn)

    def forces(self, cloud: Cloud) -> tuple[Tensor, Tensor]:
        """Return the pseudo-forces on positions, eV/Å, and those on features.

        Args:
            cloud: noisy.
        """
        scale = _INPUT / self.spread.features
        inputs = torch.cat([scale * cloud.features, self._flags(cloud)], dim=-1)
        pull, turn = self.network(inputs, cloud.positions, cloud.mask)
        turn = turn * (scale if self.config.head == "energy" else self.spread.features)
        return _without_drift(cloud, pull), turn

    def weights(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights with which errors count relative to the noise level."""
        weight = 1 / (sigma.square() + _FLOOR**2)
        return weight, weight


MODELS: dict[str, type[DenoisingModel]] = {model.name: model for model in (EDM, PseudoForceField)}


def keep_known(cloud: Cloud, positions: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return positions and features, those of a cloud where they are known or in padding."""
    there, named = cloud.mask & ~cloud.placed, cloud.mask & ~cloud.named
    return (
        torch.where(there.unsqueeze(-1), positions, cloud.positions),
        torch.where(named.unsqueeze(-1), features, cloud.features),
    )


def _without_drift(cloud: Cloud, pull: Tensor) -> Tensor:
    """Return pulls that do not move the centre of a molecule without placed atoms."""
    free = ~cloud.placed.any(-1)[:, None, None]
    return torch.where(free, cloud.centred(pull), pull)


def noise_of(displacements: Tensor, cloud: Cloud) -> Tensor:
    """Return ``(n_molecules,)`` Å, the noise level that pulls of this length tell.

    Args:
        displacements: ``(n_molecules, n_slots, 3)`` Å, of free atoms; 0 elsewhere.
        cloud: whose positions they are of.
    """
    free = (cloud.mask & ~cloud.placed).sum(-1)
    free = free - (~cloud.placed.any(-1)).long()  # the centre does not move
    squared = displacements.square().sum((1, 2))
    return (squared / (3 * free.clamp(min=1))).sqrt()

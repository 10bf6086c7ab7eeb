"""The forces that assemble a skeleton: of the kernel, the repulsion and the prior."""

import torch
from torch import Tensor

from molrl.energy.descriptors import Descriptors, SimilarityKernel
from molrl.energy.networks.batched import chunks
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.priors import Prior
from molrl.generators.simgen.skeletons import Skeletons
from molrl.molecules import MoleculeBatch

ATOMS_PER_CHUNK = 2500  # whose tensors stay in a CPU's cache


class Forces:
    """Forces on atoms, in 1/Å: the gradient of log-similarities, a repulsion, and a prior.

    Args:
        descriptors: of the atoms.
        kernel: around the reference environments.
        prior: where the atoms should be.
        config: the settings.

    Attributes:
        evaluations: number of skeletons that the descriptors were computed of.

    Example:
        >>> Forces(load_descriptors("mace"), kernel, prior, SimgenConfig())  # doctest: +SKIP
    """

    def __init__(
        self,
        descriptors: Descriptors,
        kernel: SimilarityKernel,
        prior: Prior,
        config: SimgenConfig,
    ) -> None:
        self._descriptors, self._kernel = descriptors, kernel
        self._prior, self._config = prior, config
        self.evaluations = 0

    def __call__(self, skeletons: Skeletons, sigma: float) -> Tensor:
        """Compute the force on each atom; 0 on those that are fixed.

        Args:
            skeletons: on the device of the descriptors.
            sigma: the time σ.

        Returns:
            ``(n_atoms_total, 3)`` float32, 1/Å.
        """
        parts = chunks(skeletons.n_atoms, ATOMS_PER_CHUNK)
        force = torch.cat([self._assembling(skeletons[part], sigma) for part in parts])
        force += self._prior.force(skeletons, sigma)
        return force.masked_fill_(skeletons.fixed[:, None], 0.0)

    def log_similarities(self, skeletons: Skeletons, sigma: float) -> Tensor:
        """Compute log k of each atom, without a gradient.

        Args:
            skeletons: on the device of the descriptors.
            sigma: the time σ.

        Returns:
            ``(n_atoms_total,)`` float32.
        """
        sharpness = self._config.sharpness_at(sigma)
        self.evaluations += len(skeletons)
        found = []
        with torch.no_grad():
            for part in chunks(skeletons.n_atoms, ATOMS_PER_CHUNK):
                features = self._descriptors(skeletons[part])
                found.append(self._kernel.log_similarity(features, sharpness))
        return torch.cat(found)

    def similarity(self, molecules: MoleculeBatch, sharpness: float) -> tuple[Tensor, Tensor]:
        """Compute log k of each atom, and the gradient of their sum.

        Args:
            molecules: on the device of the descriptors.
            sharpness: of the kernel.

        Returns:
            ``(n_atoms_total,)`` and ``(n_atoms_total, 3)``, 1/Å.
        """
        self.evaluations += len(molecules)
        x = molecules.positions.clone().requires_grad_()
        with torch.enable_grad():
            log_k = self._kernel.log_similarity(self._descriptors(molecules, x), sharpness)
        (gradient,) = torch.autograd.grad(log_k.sum(), x)
        return log_k.detach(), gradient.nan_to_num(0.0)

    def _assembling(self, skeletons: Skeletons, sigma: float) -> Tensor:
        """The force of the kernel, cut, and the repulsion."""
        _, gradient = self.similarity(skeletons, self._config.sharpness_at(sigma))
        length = gradient.norm(dim=-1, keepdim=True)
        cut: Tensor = gradient * (self._config.max_force / length.clamp(min=self._config.max_force))
        return cut + self._repulsion(skeletons)

    def _repulsion(self, skeletons: Skeletons) -> Tensor:
        """Minus the gradient of the sum of exp(-decay r) over the pairs, times the strength."""
        decay, strength = self._config.repulsion_decay, self._config.repulsion
        pairs = skeletons.neighbors(self._reach).pairs
        apart = skeletons.positions[pairs[1]] - skeletons.positions[pairs[0]]
        r = apart.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        push = strength * decay * torch.exp(-decay * r) * apart / r
        out = torch.zeros_like(skeletons.positions)
        return out.index_add(0, pairs[1], push).index_add(0, pairs[0], -push)

    @property
    def _reach(self) -> float:
        """Å, where the repulsion has fallen to e^-16 of its value at 0."""
        return 16 / self._config.repulsion_decay

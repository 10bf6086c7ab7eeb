"""Descriptors by the first layer of a network."""

import copy

import torch
from torch import Tensor

from molrl.energy.networks.interface import Network
from molrl.molecules import MoleculeBatch

CORE = 0.75  # Å; in SiMGen, too


class NetworkDescriptors:
    """The invariant features of the first layer of a network that molrl fits.

    Later layers are not evaluated where the architecture allows it (that of ``mace`` does).

    Args:
        network: on its device; later changes of its weights have no effect.
        core: Å; atoms that are closer count as being at this distance, so that a clash has no
            steep descriptors. Architectures other than ``mace`` may ignore it.
        dtype: floating type of the computation.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.networks.interface import build_network
        >>> from molrl.energy.networks.config import parse_network
        >>> network = build_network(parse_network({"elements": [1, 8], "channels": 8}), seed=0)
        >>> NetworkDescriptors(network)(MoleculeBatch.from_ase(molecule("H2O"))).shape
        torch.Size([3, 8])
    """

    def __init__(
        self, network: Network, core: float = CORE, dtype: torch.dtype = torch.float32
    ) -> None:
        self.elements = network.config.elements
        self.core, self.dtype = core, dtype
        frozen = copy.deepcopy(network).to(dtype).requires_grad_(False)
        self._network = frozen.eval().for_inference()
        self.device = next(network.parameters()).device

    def __call__(self, molecules: MoleculeBatch, positions: Tensor | None = None) -> Tensor:
        """Compute ``(n_atoms_total, n_features)``; see :class:`Descriptors`."""
        graph = self._network.graph(molecules, self.dtype)
        if positions is not None:
            graph = graph.at(positions.to(self.dtype))
        return self._network.first_features(graph, self.core)

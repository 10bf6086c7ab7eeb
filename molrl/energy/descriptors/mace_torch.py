"""Descriptors by the first layer of a network of mace-torch."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from molrl.energy.mace_torch.batching import to_mace_torch
from molrl.energy.mace_torch.energy import MaceModuleEnergy, elements
from molrl.molecules import MoleculeBatch


class MaceTorchDescriptors:
    """The scalar features of the first layer of a network of mace-torch.

    Args:
        model: its energy model, which is not changed.

    Example:
        >>> MaceTorchDescriptors(molrl.load_energy("mace-off:small"))  # doctest: +SKIP
    """

    def __init__(self, model: MaceModuleEnergy) -> None:
        self.elements, self.device = model.elements, model.device
        self._cutoff = model.cutoff
        network: Any = copy.copy(model.network)
        # The modules are shared; only the lists that the forward pass goes through are shorter.
        network._modules = dict(network._modules)
        for name in ("interactions", "products", "readouts"):
            setattr(network, name, nn.ModuleList([getattr(network, name)[0]]))
        self._network = network
        irreps = network.products[0].linear.irreps_out
        self._n_scalars = sum(n for n, irrep in irreps if str(irrep) == "0e")
        self._dtype = next(network.parameters()).dtype

    def __call__(self, molecules: MoleculeBatch, positions: Tensor | None = None) -> Tensor:
        """Compute ``(n_atoms_total, n_features)``; see :class:`Descriptors`."""
        neighbors = molecules.neighbors(self._cutoff)
        data = to_mace_torch(molecules, neighbors, elements(self._network), self._dtype)
        if positions is not None:
            data["positions"] = positions.to(self._dtype)
        data |= {
            "head": torch.zeros_like(data["head"]),
            "total_charge": molecules.charge.to(self._dtype),
            "total_spin": molecules.spin.to(self._dtype),
        }
        features: Tensor = self._network(data, compute_force=False)["node_feats"]
        return features[:, : self._n_scalars]

"""The function that returns the descriptors of an energy model."""

from molrl.energy.descriptors.interface import Descriptors
from molrl.energy.descriptors.network import CORE, NetworkDescriptors
from molrl.energy.descriptors.tensor_reduced import TensorReducedDescriptors
from molrl.energy.interface import EnergyModel
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.registry import load_energy, resolve_device
from molrl.errors import InputError

TENSOR_REDUCED = "tensor-reduced"


def load_descriptors(
    model: str | EnergyModel = "mace", device: str = "auto", core: float = CORE
) -> Descriptors:
    """Return the first-layer descriptors of an energy model that is a network, or random ones.

    Args:
        model: ``"mace"``, ``"mace-small"``, ``"mace:FILE.json"``, a network of mace-torch, or such
            a model; ``"tensor-reduced"`` for :class:`TensorReducedDescriptors`, which need no data.
        device: the device of a model that is named.
        core: Å, distance below which the descriptors are constant, where the network allows it.

    Raises:
        InputError: if the model is no network.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.molecules import MoleculeBatch
        >>> load_descriptors("mace")(MoleculeBatch.from_ase(molecule("CH3OH"))).shape
        torch.Size([6, 64])
    """
    if model == TENSOR_REDUCED:
        return TensorReducedDescriptors(core=core, device=resolve_device(device))
    loaded = load_energy(model, device)
    if isinstance(loaded, NetworkEnergy):
        return NetworkDescriptors(loaded.potential.network, core)
    from molrl.energy.mace_torch.energy import MaceModuleEnergy  # imports mace-torch, slow

    if isinstance(loaded, MaceModuleEnergy):
        from molrl.energy.descriptors.mace_torch import MaceTorchDescriptors

        return MaceTorchDescriptors(loaded)
    raise InputError(
        f"energy model {loaded.name!r} has no descriptors; use mace, mace-small or tensor-reduced"
    )

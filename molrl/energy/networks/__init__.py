"""Networks that predict energies: their interface, the architectures and the shipped weights."""

from typing import TYPE_CHECKING

from molrl.lazy import attributes_of

if TYPE_CHECKING:
    from molrl.energy.networks.config import NetworkConfig
    from molrl.energy.networks.interface import Graph, Network, Prediction
    from molrl.parts import NETWORKS

__all__ = ["NETWORKS", "Graph", "Network", "NetworkConfig", "Prediction"]

__getattr__ = attributes_of(
    __name__,
    {
        "Graph": "molrl.energy.networks.interface:Graph",
        "NETWORKS": "molrl.parts:NETWORKS",
        "Network": "molrl.energy.networks.interface:Network",
        "NetworkConfig": "molrl.energy.networks.config:NetworkConfig",
        "Prediction": "molrl.energy.networks.interface:Prediction",
    },
)

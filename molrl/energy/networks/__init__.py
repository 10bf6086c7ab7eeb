"""Networks that predict energies: their interface, the architectures and the shipped weights."""

from molrl.energy.networks.interface import (
    NETWORKS,
    Graph,
    Network,
    NetworkConfig,
    Prediction,
)

__all__ = ["NETWORKS", "Graph", "Network", "NetworkConfig", "Prediction"]

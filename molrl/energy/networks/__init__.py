"""Networks that predict energies: their interface, the architectures and the shipped weights."""

from molrl.energy.networks.interface import (
    Graph,
    Network,
    NetworkConfig,
    Prediction,
)
from molrl.parts import NETWORKS

__all__ = ["NETWORKS", "Graph", "Network", "NetworkConfig", "Prediction"]

"""Networks from molecules to energies: their interface, those that there are, their weights."""

from molrl.energy.networks.interface import (
    NETWORKS,
    Graph,
    Network,
    NetworkConfig,
    Prediction,
)

__all__ = ["NETWORKS", "Graph", "Network", "NetworkConfig", "Prediction"]

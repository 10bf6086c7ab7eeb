"""The config of networks, and weights that a network starts from."""

from typing import Literal

import pytest
from torch import nn

from molrl.energy.networks.config import NetworkConfig, parse_network
from molrl.energy.networks.interface import Network, build_network
from molrl.errors import InputError


class OtherConfig(NetworkConfig):
    """The settings of a network that is no MACE."""

    architecture: Literal["other"] = "other"


class Other(Network):
    """A network that is no MACE, and never evaluated."""

    Config = OtherConfig

    def __init__(self, config):
        super().__init__(config)
        self.first = nn.Linear(1, 1)

    def forward(self, graph):
        raise NotImplementedError


def test_parse_network_drops_the_empty_keys_of_older_run_folders():
    old = {"channels": 8, "atomic_energies": [], "repulsion": []}
    assert parse_network(old) == parse_network({"channels": 8})
    with pytest.raises(ValueError, match="unknown key 'repulsion'"):
        parse_network({"repulsion": [[1.0, 2.0]]})


def test_start_from_refuses_another_architecture():
    mace, other = build_network(parse_network({"channels": 4})), Other(OtherConfig())
    with pytest.raises(InputError, match="of architecture mace, the network is of other"):
        other.start_from(mace)
    with pytest.raises(InputError, match="of architecture other, the network is of mace"):
        mace.start_from(other)

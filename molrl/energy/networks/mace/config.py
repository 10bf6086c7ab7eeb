"""The settings of a MACE."""

from typing import Literal

from pydantic import Field

from molrl.energy.networks.config import NetworkConfig


class MaceConfig(NetworkConfig):
    """The settings of a MACE.

    With the defaults of the last two it is the network of mace-torch.

    Attributes:
        elements: the atomic numbers it knows, ascending.
        cutoff: Å.
        channels: number of scalar features of an atom.
        layers: number of message-passing layers.
        n_bessel: number of radial basis functions.
        envelope: power of the polynomial cutoff.
        radial_mlp: hidden sizes of the radial network.
        readout: hidden size of the last readout.
        avg_neighbors: average number of neighbours, by which sums over them are divided.
        scale: eV, factor of the learnt energy.
        vector_channels: number of vectors, and of tensors with l = 2, that a layer passes to the
            next, so that an atom sees how its neighbours are turned.
        charges: whether partial charges are predicted, for the electrostatic energy of
            :class:`~molrl.energy.networks.potential.Potential`.

    Example:
        >>> MaceConfig(elements=(1, 6, 8), channels=64).layers
        2
    """

    architecture: Literal["mace"] = "mace"
    channels: int = Field(32, ge=1)
    layers: int = Field(2, ge=2, le=4)
    n_bessel: int = Field(8, ge=1)
    envelope: int = Field(5, ge=2)
    radial_mlp: tuple[int, ...] = Field((64, 64, 64), min_length=1)
    readout: int = Field(16, ge=1)
    avg_neighbors: float = Field(8.0, gt=0)
    scale: float = Field(1.0, gt=0)
    vector_channels: int = Field(0, ge=0)
    charges: bool = False

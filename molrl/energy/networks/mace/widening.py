"""Widening of a MACE: weights of more channels that give the same energies and charges."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

DEGREES = 3  # l = 0, 1, 2


@torch.no_grad()
def widen(
    parameters: Mapping[str, nn.Parameter], narrow: Mapping[str, Tensor], channels: int
) -> None:
    """Fill the parameters of a network from one with fewer channels, with the same output.

    Parameters that the narrower network does not have stay as they are: those of
    :class:`~molrl.energy.networks.mace.layer.TurnedMessages` and of charges add nothing at first.
    The new channels keep their random weights, so that they can learn, but the weights from them
    to the old channels are 0 (a function-preserving transformation as in Chen et al., Net2Net,
    ICLR 2016).

    Args:
        parameters: parameters by name of the network that is filled; as wide, or wider.
        narrow: parameters by name of the narrower network.
        channels: of the narrower network.
    """
    wide = parameters["embedding"].shape[-1]
    last = f".radial.{sum(name.startswith('layers.0.radial.') for name in parameters) - 1}"
    for name, parameter in parameters.items():
        if name not in narrow:
            continue
        old, new = narrow[name], parameter.data
        if name.endswith(last):  # its columns hold the channels of all degrees
            old = torch.unflatten(old, -1, (DEGREES, channels))
            new = torch.unflatten(new, -1, (DEGREES, wide))
        elif name == "charge_readout":  # its rows hold the channels of all layers
            old, new = (torch.unflatten(x, 0, (-1, n)) for x, n in ((old, channels), (new, wide)))
        if old.shape[-2] != new.shape[-2]:  # its input is channels
            new[..., channels:, : old.shape[-1]] = 0
            # The network divides by the square root of the fan-in, which is larger now.
            old = old * (wide / channels) ** 0.5
        new[..., : old.shape[-2], : old.shape[-1]] = old

"""A network of more channels that begins as one of fewer."""

import torch
from torch import Tensor

from molrl.energy.networks.mace.network import DEGREES, Mace, MaceConfig


@torch.no_grad()
def load_widened(network: Mace, tensors: dict[str, Tensor], narrow: MaceConfig) -> None:
    """Put the weights of a network of fewer channels into one that then has the same energies.

    The new channels keep their random weights, so that they can learn, and nothing that was there
    before reads them yet (a function-preserving step as in Chen et al., Net2Net, ICLR 2016).

    Args:
        network: what is filled, but for its channels of the shape of the narrow one.
        tensors: weights of the narrow network, by name.
        narrow: its shape.
    """
    wide, channels = network.config, narrow.channels
    last = f".radial.{len(narrow.radial_mlp)}"
    for name, parameter in network.named_parameters():
        old, new = tensors[name], parameter.data
        if name.endswith(last):  # all degrees side by side
            old = torch.unflatten(old, -1, (DEGREES, channels))
            new = torch.unflatten(new, -1, (DEGREES, wide.channels))
        if old.shape[-2] != new.shape[-2]:  # it reads channels
            new[..., channels:, : old.shape[-1]] = 0
            old = old * (wide.channels / channels) ** 0.5  # weights are divided by their fan-in
        new[..., : old.shape[-2], : old.shape[-1]] = old

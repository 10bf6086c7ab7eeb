"""A MACE of more channels that begins as one of fewer."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

DEGREES = 3  # l = 0, 1, 2


@torch.no_grad()
def widen(
    parameters: Mapping[str, nn.Parameter], narrow: Mapping[str, Tensor], channels: int
) -> None:
    """Put the weights of a network of fewer channels into one that then has the same energies.

    The new channels keep their random weights, so that they can learn, and nothing that was there
    before reads them yet (a function-preserving step as in Chen et al., Net2Net, ICLR 2016).

    Args:
        parameters: by name, of the wider network, or of one as wide; they are filled.
        narrow: weights of the narrower network, by name.
        channels: of the narrower network.
    """
    wide = parameters["embedding"].shape[-1]
    last = f".radial.{sum(name.startswith('layers.0.radial.') for name in parameters) - 1}"
    for name, parameter in parameters.items():
        old, new = narrow[name], parameter.data
        if name.endswith(last):  # all degrees side by side
            old = torch.unflatten(old, -1, (DEGREES, channels))
            new = torch.unflatten(new, -1, (DEGREES, wide))
        if old.shape[-2] != new.shape[-2]:  # it reads channels
            new[..., channels:, : old.shape[-1]] = 0
            old = old * (wide / channels) ** 0.5  # weights are divided by their fan-in
        new[..., : old.shape[-2], : old.shape[-1]] = old

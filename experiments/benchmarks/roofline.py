"""Memory bandwidth of a device, and the memory traffic that a MACE needs and has."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from record import seconds
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_COPIED = {"cpu": 2**28, "cuda": 2**32}  # bytes, far more than the size of a cache
_FLOAT = 4  # bytes


def bandwidth(device: str) -> float:
    """Measure the bytes that a copy of a large tensor reads and writes per second."""
    source = torch.ones(_COPIED[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * _COPIED[device] / seconds(lambda: target.copy_(source), device)


@dataclass(frozen=True)
class Shape:
    """The sizes of a MACE; attributes as in ``MaceConfig``.

    Attributes:
        hidden_l: maximum degree of the features between two layers.
        max_ell: maximum degree of the spherical harmonics.
    """

    channels: int
    hidden_l: int = 0
    max_ell: int = 2
    layers: int = 2
    n_bessel: int = 8

    def least_bytes(self, n_atoms: int, n_pairs: int) -> float:
        """Return the bytes that an energy evaluation moves if it writes and reads each tensor once.

        The tensors are those of Batatia et al., NeurIPS 2022, in float32: spherical harmonics and
        radial basis of each pair of neighbours, and in each layer the radial weights R of each
        pair and path, the input features h, the sums A, and the output features. A network that
        computes R where it is used can move less, and exceed 100 % of the roofline.
        """
        full, hidden = (self.max_ell + 1) ** 2, (self.hidden_l + 1) ** 2
        per_pair, per_atom = full + self.n_bessel, 0
        for layer in range(self.layers):
            first, last = layer == 0, layer == self.layers - 1
            per_pair += self.channels * self.n_paths(0 if first else self.hidden_l)
            per_atom += self.channels * ((1 if first else hidden) + full + (1 if last else hidden))
        return 2 * _FLOAT * (n_pairs * per_pair + n_atoms * per_atom)

    def n_paths(self, degree_in: int) -> int:
        """Count couplings l1 x l2 -> l3, l1 up to ``degree_in``, l2 and l3 up to ``max_ell``."""
        return sum(
            abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0  # parity is conserved
            for l1 in range(degree_in + 1)
            for l2 in range(self.max_ell + 1)
            for l3 in range(self.max_ell + 1)
        )


def bytes_moved(work: Callable[[], object]) -> int:
    """Return the bytes that the operators of a call read and write, without views."""
    with _Traffic() as traffic:
        work()
    return traffic.bytes


class _Traffic(TorchDispatchMode):
    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 - torch's
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = tree_leaves((args, kwargs, out))
            self.bytes += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, torch.Tensor))
        return out

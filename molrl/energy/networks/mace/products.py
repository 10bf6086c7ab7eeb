"""The parts of a MACE that have no weights: radial basis, spherical harmonics and invariants."""

import math

import torch
from torch import Tensor

from molrl.energy.networks.mace.graph import MaceGraph

N_INVARIANTS = (1, 3, 5)  # of degree 1, 2, 3


def bessel(lengths: Tensor, cutoff: float, n_bessel: int, envelope: int) -> Tensor:
    """Return Bessel functions times the polynomial cutoff, ``(n_pairs, n_bessel)``.

    Eq. 7 and 8 of Gasteiger et al., ICLR 2020.
    """
    x, p = lengths / cutoff, envelope
    order = torch.arange(1, n_bessel + 1, dtype=lengths.dtype, device=lengths.device)
    waves = (2 / cutoff) ** 0.5 * torch.sin(order * math.pi * x) / lengths
    cut = x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
    basis: Tensor = waves * (1 - cut)
    return basis


def harmonics(units: Tensor) -> tuple[Tensor, Tensor]:
    """Return the spherical harmonics with l = 1 and 2 of unit vectors ``(..., 3)``.

    They are real, in e3nn's order and component normalisation.

    Returns:
        ``(..., 3)`` and ``(..., 5)``.
    """
    x, y, z = units.unbind(-1)
    first = 3**0.5 * units
    second = 5**0.5 * torch.stack(
        [
            3**0.5 * x * z,
            3**0.5 * x * y,
            y * y - 0.5 * (x * x + z * z),
            3**0.5 * y * z,
            3**0.5 / 2 * (z * z - x * x),
        ],
        dim=-1,
    )
    return first, second


def slot_harmonics(units: Tensor, graph: MaceGraph) -> list[Tensor]:
    """Return the spherical harmonics of each slot, ``(n_atoms, 2l + 1, n_slots)`` for each l.

    They are real, in e3nn's order and component normalisation, and 0 in padding.
    """
    first, second = harmonics(units)
    # Evaluated once per pair: seen from the other atom, harmonics of odd l change their sign.
    sign = graph.slot_sign.unsqueeze(-1)
    filled = sign.abs()
    return [
        filled.transpose(1, 2),
        (first[graph.slot_pair] * sign).transpose(1, 2),
        (second[graph.slot_pair] * filled).transpose(1, 2),
    ]


def invariants(scalar: Tensor, vector: Tensor, tensor: Tensor) -> Tensor:
    """Compute the invariants of degree 1, 2 and 3 of features with l = 0, 1 and 2.

    With s the scalar, v the vector and T the symmetric traceless matrix of the l = 2 components,
    they are s; s², |v|², |T|²; s³, s|v|², s|T|², vᵀTv, det T; each divided by its root mean square
    for normal features.

    Args:
        scalar: ``(n_atoms, 1, channels)``.
        vector: ``(n_atoms, 3, channels)``.
        tensor: ``(n_atoms, 5, channels)``.

    Returns:
        ``(n_atoms, 9, channels)``, in the order above.
    """
    s = scalar.squeeze(1)
    x, y, z = vector.unbind(1)
    half = 3**0.5 / 2
    xz, xy, yz = half * tensor[:, 0], half * tensor[:, 1], half * tensor[:, 3]
    yy, across = tensor[:, 2], half * tensor[:, 4]
    xx, zz = -0.5 * yy - across, -0.5 * yy + across
    v2, t2 = vector.square().sum(1), tensor.square().sum(1)
    vtv = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z)
    det = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    s2 = s * s
    return torch.stack(
        [
            s,
            s2 / 3**0.5,
            v2 / 15**0.5,
            t2 / 35**0.5,
            s2 * s / 15**0.5,
            s * v2 / 15**0.5,
            s * t2 / 35**0.5,
            vtv / 15**0.5,
            det / 2.2**0.5,
        ],
        dim=1,
    )

"""Sums over the neighbours of each atom, with gradients by hand, in blocks that fit the cache.

Tensors with a row for each slot of the neighbour list are the largest of a network, and on a CPU
its speed is limited by how often they leave the cache. So they are made for a block of atoms at a
time, and made again for the gradient rather than kept.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from molrl.energy.networks.mace.radial_table import look_up, look_up_slopes

_SLOTS_PER_BLOCK = 1024  # on a CPU
_SIZES = [1, 3, 5]  # how many harmonics each l has


def element_sums(place: Tensor, harmonics: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Sum what the element of each neighbour determines, times the harmonics.

    Args:
        place: ``(n_slots,)``, within the interval of the table.
        harmonics: ``(n_atoms, 9, width)``.
        table: ``(n_rows, 3 channels)``: for l = 0, 1 and 2.
        rows: ``(n_slots, 4)`` int64, of the table.

    Returns:
        ``(n_atoms, 9, channels)``, differentiable once.
    """
    sums: Tensor = _ElementSums.apply(place, harmonics, table, rows)  # type: ignore[no-untyped-call]  # PyTorch's
    return sums


def carried_sums(
    place: Tensor, carried: Tensor, harmonics: Tensor, table: Tensor, rows: Tensor, sender: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum what neighbours carry, times radial functions and harmonics.

    Atoms carry scalars and, in ``8 K`` columns behind them, components of vectors and tensors.

    Args:
        place: ``(n_slots,)``, within the interval of the table.
        carried: ``(n_atoms, channels + 8 K)``.
        harmonics: ``(n_atoms, 9, width)``.
        table: ``(n_rows, 3 channels + 16 K)``: for the scalars with l = 0, 1 and 2, then for the
            components and for their products.
        rows: ``(n_slots, 4)`` int64, of the table.
        sender: ``(n_slots,)`` int64, row of the neighbour.

    Returns:
        The sums of the scalars times each harmonic, ``(n_atoms, 9, channels)``; of the components,
        ``(n_atoms, 8 K)``; and of the products of each component and its harmonic, the same shape.
        They are differentiable once.
    """
    sums: tuple[Tensor, Tensor, Tensor] = _CarriedSums.apply(  # type: ignore[no-untyped-call]  # PyTorch's
        place, carried, harmonics, table, rows, sender
    )
    return sums


class _ElementSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's context
        place: Tensor,
        harmonics: Tensor,
        table: Tensor,
        rows: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(place, harmonics, table, rows)
        sums = harmonics.new_empty(len(harmonics), 9, table.shape[1] // 3)
        for atoms, slots in _blocks(harmonics):
            sent = look_up(table, rows[slots], place[slots])
            _gather(harmonics[atoms], sent, out=sums[atoms])
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_sums: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: ANN401 - as above
        place, harmonics, table, rows = ctx.saved_tensors
        of_place, of_harmonics = torch.empty_like(place), torch.empty_like(harmonics)
        for atoms, slots in _blocks(harmonics):
            at = rows[slots], place[slots]
            _of_harmonics(of_sums[atoms], look_up(table, *at), out=of_harmonics[atoms])
            of_sent = _of_sent(harmonics[atoms], of_sums[atoms])
            along = _dot(of_sent, look_up_slopes(table, *at))
            torch.sum(along, -1, out=of_place[slots])
        return of_place, of_harmonics, None, None


class _CarriedSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's context
        place: Tensor,
        carried: Tensor,
        harmonics: Tensor,
        table: Tensor,
        rows: Tensor,
        sender: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(place, carried, harmonics, table, rows, sender)
        n, n_scalars = len(carried), table.shape[1] - 2 * carried.shape[1]
        width, k = harmonics.shape[-1], (carried.shape[1] - n_scalars) // 8
        sums = carried.new_empty(n, 9, n_scalars)
        summed = carried.new_empty(n, carried.shape[1] - n_scalars)
        products = torch.empty_like(summed)
        for atoms, slots in _blocks(harmonics):
            scalars, components = _split(carried.index_select(0, sender[slots]), n_scalars)
            radial = look_up(table, rows[slots], place[slots])
            sent, turned = _split(radial, 3 * n_scalars)
            _times(sent, scalars, 3)
            _times(turned, components, 2)
            harmonic = harmonics[atoms]
            _gather(harmonic, sent, out=sums[atoms])
            of_atoms = turned.reshape(len(harmonic), width, 2, turned.shape[1] // 2)
            torch.sum(of_atoms[:, :, 0], 1, out=summed[atoms])
            # Each component is multiplied with all harmonics, and the products with its own are
            # taken: faster than a sum over neighbours of the products that are needed.
            every = torch.bmm(harmonic[:, 1:], of_atoms[:, :, 1]).view(len(harmonic), 8, 8, k)
            products[atoms].view(len(harmonic), 8, k).copy_(every.diagonal(dim1=1, dim2=2).mT)
        return sums, summed, products

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 - as above
        of_sums: Tensor,
        of_summed: Tensor,
        of_products: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        place, carried, harmonics, table, rows, sender = ctx.saved_tensors
        n_scalars, width, k = of_sums.shape[-1], harmonics.shape[-1], of_products.shape[1] // 8
        of_place, of_carried = torch.empty_like(place), torch.zeros_like(carried)
        of_harmonics = torch.empty_like(harmonics)
        for atoms, slots in _blocks(harmonics):
            received = carried.index_select(0, sender[slots])
            scalars, components = _split(received, n_scalars)
            at, harmonic = (rows[slots], place[slots]), harmonics[atoms]
            values, values_turned = _split(look_up(table, *at), 3 * n_scalars)
            slopes, slopes_turned = _split(look_up_slopes(table, *at), 3 * n_scalars)
            of_sent = _of_sent(harmonic, of_sums[atoms])
            product = of_products[atoms].view(len(harmonic), 1, 8, k)
            of_along = harmonic[:, 1:].mT.contiguous().unsqueeze(-1) * product
            of_turned = [
                of_summed[atoms].repeat_interleave(width, 0),
                of_along.flatten(2).flatten(0, 1),
            ]
            along = _dot(of_sent, slopes).mul_(scalars).sum(-1)
            along += _dot(of_turned, slopes_turned).mul_(components).sum(-1)
            of_place[slots] = along
            of_received = torch.cat([_dot(of_sent, values), _dot(of_turned, values_turned)], -1)
            of_carried.index_add_(0, sender[slots], of_received)
            _of_harmonics(of_sums[atoms], _times(values, scalars, 3), out=of_harmonics[atoms])
            turned = values_turned[:, 8 * k :] * components
            own = turned.view(len(harmonic), width, 8, k) * product
            of_harmonics[atoms, 1:] += own.sum(-1).mT
        return of_place, of_carried, of_harmonics, None, None, None


def _blocks(harmonics: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield the atoms and the slots of each block."""
    n, _, width = harmonics.shape
    size = max(1, _SLOTS_PER_BLOCK // max(1, width)) if harmonics.device.type == "cpu" else n
    for start in range(0, n, max(1, size)):
        end = min(n, start + size)
        yield slice(start, end), slice(start * width, end * width)


def _split(columns: Tensor, n: int) -> tuple[Tensor, Tensor]:
    return columns[:, :n], columns[:, n:]


def _times(radial: Tensor, received: Tensor, n: int) -> Tensor:
    """Multiply each of n radial functions by what is received, in place."""
    torch.unflatten(radial, 1, (n, received.shape[1])).mul_(received.unsqueeze(1))
    return radial


def _of_each(sent: Tensor, like: Tensor) -> tuple[Tensor, ...]:
    """Split ``(n_slots, 3 channels)`` into ``(n_atoms, width, channels)`` for each l."""
    n, _, width = like.shape
    return torch.chunk(torch.unflatten(sent, 0, (n, width)), 3, dim=-1)


def _degrees(components: Tensor) -> tuple[Tensor, ...]:
    """Split ``(n_atoms, 9, n)`` into the components of each l."""
    return torch.split_with_sizes(components, _SIZES, 1)


def _gather(harmonics: Tensor, sent: Tensor, out: Tensor) -> None:
    """Sum ``(n_slots, 3 channels)`` times the harmonics of each l over the neighbours."""
    of_degrees = zip(_degrees(harmonics), _of_each(sent, harmonics), strict=True)
    torch.cat([torch.bmm(of_l, sent_l) for of_l, sent_l in of_degrees], dim=1, out=out)


def _of_sent(harmonics: Tensor, of_sums: Tensor) -> list[Tensor]:
    """Return the gradients by what is sent, ``(n_slots, channels)`` for each l."""
    of_degrees = zip(_degrees(harmonics), _degrees(of_sums), strict=True)
    return [torch.bmm(of_l.mT, gradient).flatten(0, 1) for of_l, gradient in of_degrees]


def _of_harmonics(of_sums: Tensor, sent: Tensor, out: Tensor) -> None:
    """Compute the gradient by the harmonics, ``(n_atoms, 9, width)``."""
    of_degrees = zip(_degrees(of_sums), _of_each(sent, out), strict=True)
    torch.cat([torch.bmm(gradient, sent_l.mT) for gradient, sent_l in of_degrees], 1, out=out)


def _dot(gradients: list[Tensor], radial: Tensor) -> Tensor:
    """Sum the gradients of each of n radial functions, times its values."""
    first, *others = radial.chunk(len(gradients), dim=1)
    total = gradients[0] * first
    for gradient, values in zip(gradients[1:], others, strict=True):
        total.addcmul_(gradient, values)
    return total

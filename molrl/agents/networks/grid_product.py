"""Pointwise products of spherical functions, with a gradient that keeps no array over the grid."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_WIDTH = 1024  # functions at once on a CPU, whose values on the grid then stay in the cache


class GridProduct(torch.autograd.Function):
    """Coefficients of the products of pairs of functions, which are multiplied on a grid.

    The values on the grid are made for a few functions at a time, and again for the gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's own
        left: Tensor,
        right: Tensor,
        to_grid: Tensor,
        from_grid: Tensor,
    ) -> Tensor:
        """Return coefficients ``(n_coefficients, n)``.

        Args:
            ctx: context of the gradient.
            left: ``(n_coefficients, n)``, n functions.
            right: likewise.
            to_grid: ``(n_points, n_coefficients)``, constant.
            from_grid: ``(n_coefficients, n_points)``, constant.
        """
        ctx.save_for_backward(left, right, to_grid, from_grid)
        product = torch.empty_like(left)
        for a, b, out in zip(*_parts(left, right, product), strict=True):
            values = to_grid @ a
            values *= to_grid @ b
            torch.mm(from_grid, values, out=out)
        return product

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 - PyTorch's own
        gradient: Tensor,
    ) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of both factors.

        Args:
            ctx: context of the gradient.
            gradient: of the product.
        """
        left, right, to_grid, from_grid = ctx.saved_tensors
        of_left, of_right = torch.empty_like(left), torch.empty_like(right)
        parts = _parts(left, right, gradient, of_left, of_right)
        for a, b, of_product, of_a, of_b in zip(*parts, strict=True):
            of_values = from_grid.T @ of_product
            torch.mm(to_grid.T, (to_grid @ a).mul_(of_values), out=of_b)
            torch.mm(to_grid.T, of_values.mul_(to_grid @ b), out=of_a)
        return of_left, of_right, None, None


def _parts(*arrays: Tensor) -> list[tuple[Tensor, ...]]:
    """Return the columns of each array in parts, on a CPU; elsewhere all at once."""
    if arrays[0].device.type != "cpu":
        return [(each,) for each in arrays]
    return [torch.split(each, _WIDTH, 1) for each in arrays]

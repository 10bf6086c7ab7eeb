"""Radial functions as a table, so that a multilayer perceptron need not run for every pair."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

_FIRST = 0.1  # Å, the first knot; below it the functions are constant
_STEP = 0.0125  # Å, the largest distance between knots
_NEAR = 1e-4  # Å, of the differences that slopes are computed from


class Knots(nn.Module):
    """The lengths between which radial functions are interpolated by cubic polynomials.

    Args:
        cutoff: Å, where the functions and their slopes end at 0.

    Example:
        >>> knots = Knots(5.0)
        >>> rows, place = knots(torch.tensor([1.0, 9.0], dtype=torch.float64))
        >>> rows.shape, place.shape, knots.n_rows
        (torch.Size([2, 4]), torch.Size([2]), 1572)
    """

    four: Tensor

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.first = min(_FIRST, cutoff / 2)
        self.n_intervals = math.ceil(round((cutoff - self.first) / _STEP, 6))
        self.step = (cutoff - self.first) / self.n_intervals
        self.register_buffer("four", torch.arange(4))

    @property
    def n_rows(self) -> int:
        """How many rows a table has: four for each interval, and for all lengths beyond."""
        return 4 * (self.n_intervals + 1)

    def tabulate(self, functions: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the coefficients of the polynomials, constant first, of each interval.

        They are fixed by values and slopes at both ends (Hermite interpolation). As powers of the
        place within the interval, slopes are exact to rounding in float32 too.

        Args:
            functions: of lengths ``(n, 1)`` float64, Å; returns ``(n, n_functions)``.

        Returns:
            ``(n_rows, n_functions)`` float64; the last four rows are 0.
        """
        at = self.first + self.step * torch.arange(self.n_intervals, dtype=torch.float64)[:, None]
        value = functions(at)
        # Differences, because the first forward-mode derivative loads much of torch; in float64
        # their error is below the rounding of float32.
        slope = (functions(at + _NEAR) - functions(at - _NEAR)) * (self.step / (2 * _NEAR))
        zero = torch.zeros_like(value[:1])  # at the cutoff and beyond
        next_value, next_slope = torch.cat([value[1:], zero]), torch.cat([slope[1:], zero])
        rise = next_value - value
        square, cube = 3 * rise - 2 * slope - next_slope, slope + next_slope - 2 * rise
        rows = torch.stack([value, slope, square, cube], dim=1)
        return torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])]).flatten(0, 1)

    def forward(self, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return which rows of a table hold the polynomials, and where to evaluate them.

        Args:
            lengths: ``(n,)`` Å; any beyond the cutoff.

        Returns:
            ``(n, 4)`` int64, and the place within the interval, from 0 to 1: ``(n,)`` floating,
            differentiable by the lengths.
        """
        x = ((lengths - self.first) * (1 / self.step)).clamp(0, self.n_intervals)
        before = x.detach().floor()
        return (4 * before).long().unsqueeze(-1) + self.four, x - before


def look_up(table: Tensor, rows: Tensor, place: Tensor) -> Tensor:
    """Return the values of polynomials, without a copy of their coefficients.

    Args:
        table: ``(n_rows, n_functions)``.
        rows: ``(n, 4)`` int64.
        place: ``(n,)``, without a gradient.

    Returns:
        ``(n, n_functions)``.
    """
    square = place * place
    powers = torch.stack([torch.ones_like(place), place, square, square * place], dim=-1)
    return _weighted_sum(table, rows, powers)


def look_up_slopes(table: Tensor, rows: Tensor, place: Tensor) -> Tensor:
    """Return the derivatives of polynomials by the place; see :func:`look_up`."""
    powers = torch.stack([torch.ones_like(place), 2 * place, 3 * place * place], dim=-1)
    return _weighted_sum(table, rows[:, 1:].contiguous(), powers)


def _weighted_sum(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    return nn.functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

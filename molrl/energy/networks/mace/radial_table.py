"""Radial functions as a table, so that a multilayer perceptron need not run for every pair."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

_FIRST = 0.1  # Å, the first knot; below it the functions are constant
_STEP = 0.01  # Å, the largest distance between knots
_NEAR = 1e-4  # Å, of the differences that slopes are computed from


class Knots(nn.Module):
    """The lengths between which radial functions are interpolated by cubic polynomials.

    Args:
        cutoff: Å, where the functions and their slopes end at 0.

    Example:
        >>> knots = Knots(5.0)
        >>> rows, weights = knots(torch.tensor([1.0, 9.0], dtype=torch.float64))
        >>> rows.shape, weights.shape, knots.n_rows
        (torch.Size([2, 4]), torch.Size([2, 4]), 1964)
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
        """Return which rows of a table to add up, and with which weights.

        Args:
            lengths: ``(n,)`` Å; any beyond the cutoff.

        Returns:
            ``(n, 4)`` int64 and ``(n, 4)`` floating, differentiable by the lengths.
        """
        x = ((lengths - self.first) * (1 / self.step)).clamp(0, self.n_intervals)
        before = x.detach().floor()
        t = x - before
        t2 = t * t
        powers = torch.stack([torch.ones_like(t), t, t2, t2 * t], dim=-1)
        return (4 * before).long().unsqueeze(-1) + self.four, powers


def look_up(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of some rows of a table, without a copy of the rows.

    Args:
        table: ``(n_rows, n_functions)``.
        rows: ``(n, 4)`` int64.
        weights: ``(n, 4)``.

    Returns:
        ``(n, n_functions)``.
    """
    return nn.functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

"""Pictures of a comparison: what methods found for what they used."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from molrl.plotting.figures import blank_figure, save_figure, tidy

Curves = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""By method the costs, the values and both ends of their intervals, ``(n_points,)`` each, such as
a :class:`molrl.evaluation.statistics.Curve`."""

COLORS = ("#1f6f8b", "#c8553d", "#6a994e", "#9a8c98", "#e0a458", "#5e548e")
"""Of the methods, in their order."""


def plot_discovery_curves(curves: Curves, path: Path | str, cost: str = "energy calls") -> None:
    """Write how many distinct molecules each method found, with intervals, as a PNG.

    Args:
        curves: of each method, from :func:`molrl.evaluation.statistics.discovery_curve`.
        path: the PNG.
        cost: what the costs are, with their unit.

    Example:
        >>> plot_discovery_curves({"random": curve}, "discovery.png")  # doctest: +SKIP
    """
    save_figure(_draw(curves, cost, "distinct valid molecules"), path)


def plot_success_curves(curves: Curves, path: Path | str, cost: str = "energy calls") -> None:
    """Write which share of the runs of each method succeeded, with intervals, as a PNG.

    Args:
        curves: of each method, from :func:`molrl.evaluation.statistics.success_curve`.
        path: the PNG.
        cost: what the costs are, with their unit.

    Example:
        >>> plot_success_curves({"random": curve}, "success.png", "time, s")  # doctest: +SKIP
    """
    figure = _draw(curves, cost, "share of successful runs")
    figure.axes[0].set_ylim(-0.02, 1.02)
    save_figure(figure, path)


def _draw(curves: Curves, cost: str, value: str) -> Figure:
    figure = blank_figure(6.4, 4.0)
    ax = figure.subplots()
    for i, (name, (x, middle, low, high)) in enumerate(curves.items()):
        color = COLORS[i % len(COLORS)]
        ax.plot(x, middle, color=color, lw=2, drawstyle="steps-post", label=name)
        ax.fill_between(x, low, high, color=color, alpha=0.18, lw=0, step="post")
    ax.set_xlabel(cost)
    ax.set_ylabel(value)
    ax.set_ylim(bottom=0)
    tidy(ax)
    if curves:
        ax.legend(frameon=False)
    return figure

"""Learning curves as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from molrl.runs.atomic import write_atomically

_CURVES = {
    "return_fraction": ("return fraction", "#1f6f8b"),
    "valid_fraction": ("valid molecules", "#c8553d"),
    "complete_fraction": ("complete episodes", "#9a8c98"),
}


def plot_learning_curve(
    rows: Sequence[Mapping[str, float | int | None]], path: Path | str, title: str = ""
) -> None:
    """Write a PNG of how a run learned.

    Drawn are the return fraction, the share of valid molecules and that of complete episodes over
    environment steps, as many of them as the rows have: each figure thin, its running mean thick.

    Args:
        rows: of ``metrics.csv``, as :func:`molrl.runs.metrics.read_metrics` reads it.
        path: of the PNG.
        title: written above, such as the bag and the energy model.
    """
    figure = blank_figure(7.2, 4.2)
    ax = figure.subplots()
    for name, (label, color) in _CURVES.items():
        points = [(row["steps"], row[name]) for row in rows if row.get(name) is not None]
        _curve(ax, np.array(points, dtype=float).reshape(-1, 2), label, color)
    _decorate(ax)
    ax.set_title(title, fontsize=11, loc="left", color="#333333")
    save_figure(figure, path)


def blank_figure(width: float, height: float) -> Figure:
    """A figure of so many inches at 150 dots an inch, without a window."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a PNG, whole or not at all, with nothing in it that differs between identical runs."""
    write_atomically(path, lambda file: figure.savefig(file, metadata={"Software": None}))


def _curve(ax: Axes, points: np.ndarray, label: str, color: str) -> None:
    """One figure: its points thin, their running mean thick."""
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return
    reach = len(points) // 50
    sums = np.cumsum(np.concatenate([[0.0], points[:, 1]]))
    middle = np.arange(len(points))
    first, last = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, len(points))
    smooth = (sums[last] - sums[first]) / (last - first)
    ax.plot(points[:, 0], points[:, 1], color=color, lw=0.7, alpha=0.35)
    marker = "o" if len(points) < 3 else None
    ax.plot(points[:, 0], smooth, color=color, lw=2, marker=marker, label=label)


def _decorate(ax: Axes) -> None:
    ax.axhline(1, color="#bbbbbb", lw=0.8, ls=(0, (4, 3)), zorder=0)
    ax.text(0.008, 1.005, "best known isomer", transform=ax.get_yaxis_transform(),
            ha="left", va="bottom", fontsize=8, color="#888888")  # fmt: skip
    ax.set_xlabel("environment steps")
    ax.set_ylabel("fraction")
    ax.set_ylim(*_limits(ax))
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}".replace(",", "\u202f"))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, lw=0.6)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, loc="lower right")


def _limits(ax: Axes) -> tuple[float, float]:
    """From 0, or a little below the worst point but never below -0.5, to a little above 1."""
    values = np.concatenate([line.get_ydata() for line in ax.get_lines()])
    return max(-0.5, min(0.0, float(values.min()))) - 0.02, max(1.0, float(values.max())) + 0.08

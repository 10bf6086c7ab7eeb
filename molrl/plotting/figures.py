"""What all figures have in common: their size, their axes, and how they are written."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from molrl.runs.atomic import write_atomically


def blank_figure(width: float, height: float) -> Figure:
    """A figure of so many inches at 150 dots an inch, without a window."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a PNG, whole or not at all, with nothing in it that differs between identical runs."""
    write_atomically(path, lambda file: figure.savefig(file, metadata={"Software": None}))


def tidy(axes: Axes) -> None:
    """Take away the upper and the right border, and draw a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)

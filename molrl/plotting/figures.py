"""Creation, style and atomic writing of figures."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from molrl.runs.atomic import write_atomically


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure at 150 dots per inch, without a window.

    Args:
        width: inches.
        height: inches.
    """
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG, atomically; identical figures give identical files.

    Args:
        figure: the figure.
        path: the PNG.
    """
    write_atomically(path, lambda file: figure.savefig(file, metadata={"Software": None}))


def tidy(axes: Axes) -> None:
    """Remove the upper and the right border, and draw a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)

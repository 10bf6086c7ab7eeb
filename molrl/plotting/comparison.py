"""Pictures of a comparison: what methods found for what they used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from molrl.plotting.figures import blank_figure, save_figure, tidy

Curves = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""By method the costs, the values and both ends of their intervals, ``(n_points,)`` each, such as
a :class:`molrl.evaluation.statistics.Curve`."""

COLORS = (
    *("#1f6f8b", "#c8553d", "#6a994e", "#9a8c98", "#e0a458", "#5e548e"),
    *("#2b2d42", "#d291bc"),
)
"""Of the methods, in their order; further ones have the same colours with other dashes."""
_LONG = 10_000  # from here on numbers of an axis are written as 10k, since they have no room
_DASHES = "-", (0, (4, 2)), (0, (1, 1.5))


class Panel(NamedTuple):
    """One of several pictures side by side.

    Attributes:
        curves: of each method.
        cost: label of the horizontal axis, with its unit.
        value: label of the vertical axis.
        top: upper end of the vertical axis; that of the curves if None.
        log: whether both axes are logarithmic.
    """

    curves: Curves
    cost: str
    value: str
    top: float | None = None
    log: bool = False


def plot_panels(
    panels: Sequence[Panel],
    path: Path | str,
    title: str = "",
    marks: Mapping[str, tuple[float, str]] | None = None,
) -> None:
    """Write several pictures of the same methods, two in a row, with one legend, as a PNG.

    Args:
        panels: at least one; a method has one colour in all, and one style of its line.
        path: the PNG.
        title: above all.
        marks: by the ``value`` of panels a height and its name, which is drawn as a dashed line.

    Example:
        >>> plot_panels([Panel({"random": curve}, "calls", "found")], "c.png")  # doctest: +SKIP
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    n_rows = -(-len(panels) // 2)
    figure = blank_figure(9.6, 3.5 * n_rows + 0.6)
    every = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for ax, panel in zip(every, panels, strict=False):
        _draw_panel(ax, panel, names)
        if marks and panel.value in marks:
            _mark(ax, *marks[panel.value])
    for ax in every[len(panels) :]:
        ax.set_axis_off()
    lines = {line.get_label(): line for ax in every for line in ax.get_lines()}
    labels = [name for name in names if name in lines]
    figure.legend(
        [lines[name] for name in labels],
        labels,
        loc="outside lower center",
        ncols=min(max(len(labels), 1), 5),
        frameon=False,
    )
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)


def _draw_panel(ax: Axes, panel: Panel, names: Sequence[str]) -> None:
    if panel.log:
        ax.set(xscale="log", yscale="log")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.yaxis.set_major_formatter(_plain)
    _draw_curves(ax, panel.curves, {name: i for i, name in enumerate(names)})
    ax.set_xlabel(panel.cost)
    ax.set_ylabel(panel.value)
    if panel.log:
        low, high = ax.get_ylim()
        ax.yaxis.set_minor_formatter(_plain if high < 100 * low else "")
    else:
        ax.set_ylim(0 if panel.top is None else -0.02, panel.top)
        ax.set_xlim(left=0)
        if ax.get_xlim()[1] >= _LONG:
            ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    tidy(ax)


def _plain(value: float, _: float) -> str:
    """Return a number without an exponent, if its first digit is one that has room on an axis."""
    return f"{value:,.0f}" if f"{value:e}"[0] in "125" else ""


def _mark(ax: Axes, height: float, name: str) -> None:
    """Draw a dashed line at a height, unless it would flatten the curves."""
    top = ax.get_ylim()[1]
    if height > 4 * top:
        return
    ax.set_ylim(top=max(top, 1.1 * height))
    ax.axhline(height, color="#999999", lw=0.9, ls=(0, (4, 3)), zorder=0)
    ax.text(0.99, height, f"{name}: {height:g}", transform=ax.get_yaxis_transform(),
            ha="right", va="bottom", fontsize=8, color="#777777")  # fmt: skip


def _draw_curves(ax: Axes, curves: Curves, colors: Mapping[str, int]) -> None:
    for name, (x, middle, low, high) in curves.items():
        turn, at = divmod(colors[name], len(COLORS))
        color, dashes = COLORS[at], _DASHES[turn % len(_DASHES)]
        ax.plot(x, middle, color=color, lw=2, ls=dashes, drawstyle="steps-post", label=name)
        if ax.get_yscale() == "log" and not (high > 0).any():
            continue  # Matplotlib warns of a band without a positive value
        ax.fill_between(x, low, high, color=color, alpha=0.1, lw=0, step="post")

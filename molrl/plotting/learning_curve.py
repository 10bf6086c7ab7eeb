"""Pictures of learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import lfilter

from molrl.plotting.figures import blank_figure, save_figure, tidy

Rows = Sequence[Mapping[str, float | int | None]]

_MARKER: dict[str, Any] = {"ls": "", "marker": "D", "ms": 4, "mew": 0.8}
_CURVES = {
    "return_fraction": ("return fraction", "#1f6f8b"),
    "valid_fraction": ("valid molecules", "#c8553d"),
    "complete_fraction": ("complete episodes", "#9a8c98"),
}
_RETURN = {"return": ("return", "#1f6f8b")}  # drawn above, where there is no fraction of it


def plot_learning_curve(
    rows: Rows, path: Path | str, title: str = "", evaluations: Rows = ()
) -> None:
    """Write :func:`draw_learning_curve` as a PNG.

    Args:
        rows: rows of ``metrics.csv``, from :func:`molrl.runs.metrics.read_metrics`.
        path: the PNG.
        title: the title, such as the bag and the energy model.
        evaluations: rows of ``evaluations.csv``, likewise.
    """
    save_figure(draw_learning_curve(rows, title, evaluations), path)


def draw_learning_curve(rows: Rows, title: str = "", evaluations: Rows = ()) -> Figure:
    """Draw the learning curve of a run, with the legend below.

    The curves are the return fraction, the fraction of valid molecules and that of complete
    episodes over environment steps, as far as the rows have them: raw values thin,
    :func:`smoothed` ones thick. Evaluations are markers in the colours of the same figures, filled
    for the policy of that step and open for the average of the weights. Where no row has a return
    fraction, the return in eV has a panel of its own above.

    Args:
        rows: as for :func:`plot_learning_curve`.
        title: the title.
        evaluations: likewise.

    Returns:
        The figure.
    """
    has_fraction = _any_has("return_fraction", rows, evaluations)
    if has_fraction or not _any_has("return", rows, evaluations):
        figure = blank_figure(7.2, 4.2)
        ax = figure.subplots()
    else:
        figure = blank_figure(7.2, 6.4)
        above, ax = figure.subplots(2, 1, sharex=True)
        _draw(above, rows, evaluations, _RETURN)
        above.set_ylabel("return, eV")
        tidy(above)
    _draw(ax, rows, evaluations, _CURVES)
    if evaluations:
        for label, face in (("evaluation", "#555555"), ("evaluation of the average", "white")):
            ax.plot([], [], label=label, mfc=face, mec="#555555", **_MARKER)
    _decorate(ax)
    figure.axes[0].set_title(title, fontsize=11, loc="left", color="#333333")
    if any(each.get_legend_handles_labels()[0] for each in figure.axes):
        figure.legend(frameon=False, loc="outside lower center", ncols=len(_CURVES))
    return figure


def smoothed(values: np.ndarray) -> np.ndarray:
    """Compute the exponential moving average of a curve, which depends on past values only.

    The newest value has the weight ``1 / (1 + n / 150)``, so that a dip has the same width in the
    picture of a long run as in that of a short one.

    Args:
        values: ``(n,)`` float, at least one.

    Returns:
        ``(n,)`` float64.
    """
    weight = 1 / (1 + len(values) / 150)
    start = [(1 - weight) * values[0]]
    average, _ = lfilter([weight], [1, weight - 1], values, zi=start)
    return np.asarray(average, np.float64)


def _any_has(name: str, *tables: Rows) -> bool:
    return any(row.get(name) is not None for rows in tables for row in rows)


def _draw(ax: Axes, rows: Rows, evaluations: Rows, curves: Mapping[str, tuple[str, str]]) -> None:
    """Draw curves, each with the markers of its evaluations."""
    for name, (label, color) in curves.items():
        points = [(row["steps"], row[name]) for row in rows if row.get(name) is not None]
        _curve(ax, np.array(points, dtype=float).reshape(-1, 2), label, color)
        _markers(ax, evaluations, name, label, color)


def _curve(ax: Axes, points: np.ndarray, label: str, color: str) -> None:
    """Draw one curve: raw values thin, smoothed ones thick; nothing without points."""
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return
    ax.plot(points[:, 0], points[:, 1], color=color, lw=0.7, alpha=0.35)
    marker = "o" if len(points) < 3 else None
    ax.plot(points[:, 0], smoothed(points[:, 1]), color=color, lw=2, marker=marker, label=label)


def _markers(ax: Axes, evaluations: Rows, name: str, label: str, color: str) -> None:
    """Draw a figure of the evaluations: of the policy filled, of the average open.

    Where there is no curve of it, as of a training without episodes, its colour is named here.
    """
    for key, face in ((name, color), (f"average_{name}", "white")):
        points = [(row["steps"], row[key]) for row in evaluations if row.get(key) is not None]
        x, y = np.array(points, dtype=float).reshape(-1, 2).T
        ax.plot(x, y, mfc=face, mec=color, **_MARKER)
        if len(x) and label not in ax.get_legend_handles_labels()[1]:
            ax.plot([], [], color=color, lw=2, label=label)


def _decorate(ax: Axes) -> None:
    if _CURVES["return_fraction"][0] in ax.get_legend_handles_labels()[1]:
        ax.axhline(1, color="#bbbbbb", lw=0.8, ls=(0, (4, 3)), zorder=0)
        ax.text(0.008, 1.005, "best known isomer", transform=ax.get_yaxis_transform(),
                ha="left", va="bottom", fontsize=8, color="#888888")  # fmt: skip
    ax.set_xlabel("environment steps")
    ax.set_ylabel("fraction")
    ax.set_ylim(*_limits(ax))
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}".replace(",", "\u202f"))
    tidy(ax)


def _limits(ax: Axes) -> tuple[float, float]:
    """Return limits from 0, or the lowest point but at least -0.5, to 1 or the highest point."""
    values = np.concatenate([[0.0, 1.0], *(line.get_ydata() for line in ax.get_lines())])
    return max(-0.5, float(values.min())) - 0.02, float(values.max()) + 0.08

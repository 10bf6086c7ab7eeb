"""Pictures of rounds of active learning."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from molrl.plotting.figures import blank_figure, save_figure, tidy

_COLORS = {"placements": "#1f6f8b", "gradient": "#c8553d"}
_LABELS = {"placements": "best of random", "gradient": "downhill"}
_DASHES = {"guarded": "-", "open": (0, (4, 2))}
_PANELS = {"worst_error": "worst error, eV", "mean_absolute_error": "mean absolute error, eV"}


def plot_rounds(rows: Sequence[Mapping[str, float | int | None]], path: Path | str) -> None:
    """Write a PNG of the errors of adversarial placements against the round.

    Args:
        rows: rows of ``metrics.csv``, one per round.
        path: the PNG.
    """
    figure = blank_figure(8.4, 3.6)
    for ax, (name, label) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        _panel(ax, rows, name, label)
    figure.axes[0].legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def _panel(
    ax: Axes, rows: Sequence[Mapping[str, float | int | None]], name: str, label: str
) -> None:
    rounds = [row["round"] or 0 for row in rows]
    for attack in _LABELS:
        for guard in _DASHES:
            found = [row[f"{attack}_{guard}_{name}"] for row in rows]
            values = [float("nan") if value is None else abs(value) for value in found]
            ax.plot(
                rounds, values, color=_COLORS[attack], ls=_DASHES[guard], marker="o", ms=4,
                label=f"{_LABELS[attack]}, {'clash guard' if guard == 'guarded' else 'from 0.3 Å'}",
            )  # fmt: skip
    if ax.dataLim.ymax > 10 * ax.dataLim.ymin > 0:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel("round")
    ax.set_ylabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    tidy(ax)
    ax.grid(alpha=0.25, lw=0.6, which="minor")

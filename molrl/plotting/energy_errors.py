"""Pictures of the errors of energy models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from molrl.errors import InputError
from molrl.plotting.figures import blank_figure, save_figure, tidy

Row = Mapping[str, float | int | None]
_COLORS = [matplotlib.colormaps["tab10"](i) for i in range(10)]
_MARKERS, _DASHES = "os^Dv", ("-", "--", ":")  # the next when the colours repeat
_ALL = "#222222"
_TITLE = {"fontsize": 10, "loc": "left", "color": "#333333"}
_MAX_POINTS = 400  # per kind: more would hide the others


def plot_parity(
    energies: Mapping[str, tuple[np.ndarray, np.ndarray]],
    kinds: Sequence[str],
    path: Path | str,
    title: str = "",
) -> None:
    """Write a PNG of predicted against reference energies per atom, by kind of structure.

    On the left are the energies, on the right the absolute errors of each kind: structures as
    points, quartiles as a box, the median as a line. Kinds with many structures show an evenly
    spaced selection of them as points.

    Args:
        energies: reference ``(n,)`` and prediction ``(n,)``, eV/atom, by kind.
        kinds: all kinds of structures in the data, in the order of their colours.
        path: the PNG.
        title: the title.
    """
    figure = blank_figure(11.0, 5.0)
    left, right = figure.subplots(1, 2)
    groups = {kind: pair for kind, pair in energies.items() if len(pair[0])}
    for place, (kind, (reference, predicted)) in enumerate(groups.items()):
        style = _style(kinds.index(kind))
        step = -(-len(reference) // _MAX_POINTS)
        left.plot(reference[::step], predicted[::step], alpha=0.7, **style)
        error = 1e3 * np.abs(predicted - reference)
        _errors_of_kind(right, place, error, error[::step], style)
    limits = (*left.get_xlim(), *left.get_ylim())
    low, high = min(limits), max(limits)
    left.plot([low, high], [low, high], color="#888888", lw=0.8, zorder=0)
    left.set(xlim=(low, high), ylim=(low, high))
    left.set_xlabel("reference, eV/atom")
    left.set_ylabel("predicted, eV/atom")
    left.set_title(title, **_TITLE)
    right.set_yticks(range(len(groups)), [f"{kind} ({len(e[0])})" for kind, e in groups.items()])
    for kind, label in zip(groups, right.get_yticklabels(), strict=True):
        label.set_color(_style(kinds.index(kind))["color"])
    right.invert_yaxis()
    right.set_xscale("log")
    right.set_xlabel("absolute error, meV/atom")
    right.set_title("points: structures; box: quartiles and median", **_TITLE)
    for axes in (left, right):
        tidy(axes)
    save_figure(figure, path)


def plot_error_curve(
    rows: Sequence[Row], kinds: Sequence[str], path: Path | str, title: str = ""
) -> None:
    """Write a PNG of the validation errors of a fit against its steps, both axes logarithmic.

    Args:
        rows: rows of ``metrics.csv``, from :func:`molrl.runs.metrics.read_metrics`.
        kinds: kinds of structures in the data, with the colours of :func:`plot_parity`.
        path: the PNG.
        title: the title.
    """
    figure = blank_figure(10.0, 4.4)
    left, right = figure.subplots(1, 2)
    for i, kind in enumerate(kinds):
        dashes = _DASHES[i // len(_COLORS) % len(_DASHES)]
        line = {"lw": 1.0, "ls": dashes, "label": kind}
        _line(left, rows, f"valid_energy_mae/{kind}", _style(i) | line)
    whole = {"color": _ALL, "lw": 2.2, "marker": "o", "ms": 4, "label": "all"}
    _line(left, rows, "valid_energy_mae", whole)
    _line(right, rows, "valid_force_mae", whole)
    left.set_ylabel("energy MAE, meV/atom")
    right.set_ylabel("force MAE, meV/Å")
    left.set_title(title or "validation errors", **_TITLE)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("steps")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(lambda x, _: f"{x:,.10g}".replace(",", "\u202f"))
            axis.set_minor_formatter(NullFormatter())
        tidy(axes)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", frameon=False)
    save_figure(figure, path)


def plot_attack_errors(
    errors: Mapping[str, np.ndarray], largest: Mapping[str, float], path: Path | str, title: str
) -> None:
    """Write a PNG with a histogram of the errors that each attack found.

    The histograms extend a little beyond the allowed errors; larger errors are in the outermost
    bars.

    Args:
        errors: ``(n,)`` eV, model minus reference, by attack, as in
            :class:`molrl.fitting.data.adversarial.AttackReport`.
        largest: eV, the largest overbinding allowed, by attack; drawn as a line.
        path: the PNG.
        title: the title.

    Raises:
        InputError: if there is no attack.
    """
    if not errors:
        raise InputError("there are no errors of attacks to draw")
    figure = blank_figure(8.0, 0.8 + 1.9 * len(errors))
    panels = np.atleast_1d(figure.subplots(len(errors), 1, sharex=True))
    reach = 1.5 * max(largest.values())
    bins = np.linspace(-reach, reach, 121)
    for axes, (name, found) in zip(panels, errors.items(), strict=True):
        axes.hist(found.clip(-reach, reach), bins, color="#1f6f8b")
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(bottom=0.7)
        axes.axvline(0, color="#888888", lw=0.8)
        axes.axvline(-largest[name], color="#c8553d", lw=1.2, ls=(0, (4, 3)))
        axes.set_ylabel("placements")
        beyond = int((np.abs(found) > reach).sum())
        axes.set_title(f"{name}: {len(found)} placements, {beyond} off the scale", **_TITLE)
        tidy(axes)
    panels[-1].set_xlabel("error, eV; overbound to the left, dashed: the largest allowed")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color="#333333")
    save_figure(figure, path)


def _style(kind: int) -> dict[str, Any]:
    """Return colour and marker of a kind, by its index among the kinds of the data."""
    at = kind % len(_COLORS)
    return {
        "color": _COLORS[at],
        "marker": _MARKERS[kind // len(_COLORS) % len(_MARKERS)],
        "ms": 3,
        "mew": 0,
        "lw": 0,
    }


def _errors_of_kind(
    axes: Axes, place: int, error: np.ndarray, drawn: np.ndarray, style: dict[str, Any]
) -> None:
    """Draw absolute errors as points scattered around a line, with their quartiles and median."""
    low, middle, high = np.quantile(error, [0.25, 0.5, 0.75])
    off = np.random.default_rng(0).uniform(-0.3, 0.3, len(drawn))
    axes.plot(drawn, place + off, alpha=0.4, **style)
    axes.barh(place, high - low, 0.62, left=low, fill=False, ec=_ALL, lw=0.9)
    axes.plot([middle, middle], [place - 0.31, place + 0.31], color=_ALL, lw=1.6)


def _line(axes: Axes, rows: Sequence[Row], name: str, style: dict[str, Any]) -> None:
    """Draw one column of the log, in thousandths of its unit."""
    points = np.array([(row["steps"], row.get(name)) for row in rows], float).reshape(-1, 2)
    points = points[np.isfinite(points).all(1) & (points > 0).all(1)]
    if not len(points):
        return
    markers = {} if len(points) < 20 else {"marker": None}
    axes.plot(points[:, 0], 1e3 * points[:, 1], **style | markers)

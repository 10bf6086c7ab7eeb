"""Figures of the attacks, a colour for each model."""

from collections.abc import Sequence

import numpy as np
from kept_rows import Row
from matplotlib.axes import Axes
from record import RESULTS

from molrl.plotting.figures import blank_figure, save_figure, tidy

LIMIT = -2.0  # eV, the lowest error that crowds may have
LINEAR = 2.0  # eV, up to which the scale of the errors is linear


def draw_crowds(rows: Sequence[Row], name: str) -> None:
    """Draw the lowest error of each central element and kind of ligands."""
    figure = blank_figure(9, 4.5)
    ax = figure.subplots()
    centres, models = names(rows, "centre"), names(rows, "model")
    for place, model in enumerate(models):
        for kind, marker in {"H": "o", "F": "^", "H and F": "s"}.items():
            of = [row for row in rows if row["model"] == model]
            x = [centres.index(str(row["centre"])) + shift(place, len(models)) for row in of]
            y = [number(row[f"lowest error, {kind}"]) for row in of]
            style = {"color": f"C{place}", "ms": 6, "ls": ""}
            ax.plot(x, y, marker, label=f"{model}, {kind}", **style)
    ax.axhline(LIMIT, color="#333333", lw=0.8, ls="--")
    ax.axhline(0, color="#999999", lw=0.6)
    scale(ax, LINEAR)
    ax.set_ylim(top=max(1.0, ax.dataLim.y1))
    ax.set_xticks(range(len(centres)), centres)
    ax.set(xlabel="central atom", ylabel="lowest model - GFN2-xTB, eV")
    finish(ax, name)


def draw_minima(rows: Sequence[Row], name: str) -> None:
    """Draw the false minima of each bag, pale without and full with the default rules."""
    figure = blank_figure(9, 4)
    ax = figure.subplots()
    bags, models = names(rows, "bag"), names(rows, "model")
    for place, model in enumerate(models):
        of = [row for row in rows if row["model"] == model]
        x = np.array([bags.index(str(row["bag"])) for row in of]) + shift(place, len(models))
        for key, label, alpha in (
            ("false", "network alone", 0.35),
            ("false with the default rules", "with the rules", 1.0),
        ):
            share = [100 * number(row[key]) / number(row["relaxations"]) for row in of]
            ax.bar(x, share, 0.8 / len(models), color=f"C{place}", alpha=alpha,
                   label=f"{model}, {label}")  # fmt: skip
    ax.axhline(0.05, color="#333333", lw=0.8, ls="--")
    scale(ax, 0.05)
    ax.set_ylim(bottom=0)
    ax.set_xticks(range(len(bags)), bags)
    ax.set_ylabel("false minima, % of relaxations")
    finish(ax, name)


def draw_episodes(rows: Sequence[Row], name: str) -> None:
    """Draw the highest return found of each bag above that of its best isomer.

    Filled: an episode of the bag is hacked.
    """
    figure = blank_figure(11, 4.5)
    ax = figure.subplots()
    bags, models = names(rows, "bag"), names(rows, "model")
    for place, model in enumerate(models):
        for hacked, face in ((True, f"C{place}"), (False, "white")):
            of = [r for r in rows if r["model"] == model and bool(r["hacked"]) == hacked]
            x = [bags.index(str(row["bag"])) + shift(place, len(models)) for row in of]
            y = [number(row["highest return"]) - number(row["best isomer's return"]) for row in of]
            label = f"{model}, {'hacked' if hacked else 'not hacked'}"
            ax.plot(x, y, "o", color=f"C{place}", mfc=face, ms=6, label=label)
    ax.axhline(0, color="#333333", lw=0.8, ls="--")
    scale(ax, LINEAR)
    ax.set_xticks(range(len(bags)), bags, rotation=60, ha="right")
    ax.set_ylabel("highest return - best isomer's, eV")
    finish(ax, name)


def draw_honest(rows: Sequence[Row], name: str) -> None:
    """Draw the share of honest episodes that end for each reason other than being complete."""
    figure = blank_figure(9, 4)
    ax = figure.subplots()
    models = names(rows, "model")
    groups = [(str(row["molecules"]), str(row["reason"])) for row in rows]
    ends = [group for group in dict.fromkeys(groups) if group[1] != "complete"]
    for place, model in enumerate(models):
        share = []
        for molecules, reason in ends:
            of = [r for r in rows if (r["model"], r["molecules"]) == (model, molecules)]
            ended = sum(number(row["episodes"]) for row in of if row["reason"] == reason)
            every = sum(number(row["episodes"]) for row in of)
            share.append(100 * ended / every if every else 0.0)
        y = np.arange(len(ends)) + shift(place, len(models))
        ax.barh(y, share, 0.8 / len(models), color=f"C{place}", label=model)
    ax.axvline(1, color="#333333", lw=0.8, ls="--")
    ax.set_yticks(range(len(ends)), ["\n".join(end) for end in ends])
    ax.set_xlabel("honest episodes that the rules end, %")
    finish(ax, name)


def names(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(str(row[key]) for row in rows))


def shift(place: int, n: int) -> float:
    """Return where the marks of one of ``n`` models are beside a tick."""
    return 0.8 * ((place + 0.5) / n - 0.5)


def scale(ax: Axes, linear: float) -> None:
    """Set an ordinate that is linear up to a value, and logarithmic beyond."""
    ax.set_yscale("symlog", linthresh=linear)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.margins(y=0.1)


def number(value: object) -> float:
    return np.nan if value is None else float(str(value))


def finish(ax: Axes, name: str) -> None:
    """Add the legend, and write the figure."""
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    tidy(ax)
    save_figure(ax.get_figure(), RESULTS / name)

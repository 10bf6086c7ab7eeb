"""The HTML of a map: a scatter plot whose points are buttons."""

from collections.abc import Sequence
from html import escape

from matplotlib.ticker import MaxNLocator

from molrl.plotting.comparison import COLORS
from molrl.report.content import Entry, Map
from molrl.report.values import coordinate, format_values

N_TICKS = 6
MARGIN = 0.04  # of the axes, beyond the points


class Axis:
    """A linear axis with rounded ticks.

    Args:
        values: what it spans, at least one.
    """

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        width = (high - low) or max(abs(low), 1.0)
        self.low, self.width = low - MARGIN * width, (1 + 2 * MARGIN) * width
        if low == high:
            self.low -= width / 2
        locator = MaxNLocator(N_TICKS, steps=[1, 2, 5, 10])
        ticks = map(float, locator.tick_values(self.low, self.low + self.width))
        self.ticks = [tick for tick in ticks if 0 <= self.place(tick) <= 100]

    def place(self, value: float) -> float:
        """Return where a value lies, in percent of the axis."""
        return round(100 * (value - self.low) / self.width, 2)


def render_map(drawn: Map, entries: Sequence[Entry], first: int) -> str:
    """Return the HTML of a map, with a place for the molecule that is opened.

    Args:
        drawn: the names of the values.
        entries: the molecules.
        first: the number of the first in the report.
    """
    points = [
        (first + i, x, y, entry)
        for i, entry in enumerate(entries)
        if (x := coordinate(entry.values.get(drawn.x))) is not None
        and (y := coordinate(entry.values.get(drawn.y))) is not None
    ]
    if not points:
        return '<p class="note">No molecule has both values of the map.</p>\n'
    across, up = Axis([x for _, x, _, _ in points]), Axis([y for _, _, y, _ in points])
    colors = _colors(drawn, entries)
    buttons = "".join(
        f'<button type="button" data-opens="{number}" style="left:{across.place(x)}%;'
        f'bottom:{up.place(y)}%;--dot:{colors.get(_kind(drawn, entry), COLORS[0])}" '
        f'aria-label="{escape(_label(drawn, entry))}"></button>\n'
        for number, x, y, entry in points
    )
    return (
        f'<div class="map">\n<div class="plot">\n{_legend(colors)}'
        f'<p class="up">{escape(drawn.y)}</p>\n'
        f'<div class="axes" role="group" aria-label="{escape(drawn.y)} over {escape(drawn.x)}">\n'
        f"{_ticks(across, 'left')}{_ticks(up, 'bottom')}{buttons}</div>\n"
        f'<p class="across">{escape(drawn.x)}</p>\n</div>\n<figure class="card opened"></figure>\n'
        "</div>\n"
    )


def _kind(drawn: Map, entry: Entry) -> str:
    return format_values([entry.values.get(drawn.color)])[0]


def _colors(drawn: Map, entries: Sequence[Entry]) -> dict[str, str]:
    """Return a colour for each text that the colours stand for, in the order of the entries."""
    kinds = dict.fromkeys(_kind(drawn, entry) for entry in entries) if drawn.color else {}
    return {kind: COLORS[i % len(COLORS)] for i, kind in enumerate(kinds)}


def _label(drawn: Map, entry: Entry) -> str:
    names = [name for name in (drawn.x, drawn.y, drawn.color) if name]
    values = (format_values([entry.values.get(name)])[0] for name in names)
    pairs = (f"{name}: {value}" for name, value in zip(names, values, strict=True))
    return "; ".join([entry.title, *pairs])


def _legend(colors: dict[str, str]) -> str:
    items = "".join(
        f'<li><i style="--dot:{color}"></i>{escape(kind)}</li>' for kind, color in colors.items()
    )
    return f'<ul class="legend" aria-label="Colours">{items}</ul>\n' * bool(items)


def _ticks(axis: Axis, side: str) -> str:
    return "".join(
        f'<span class="{side}" style="{side}:{axis.place(tick)}%"><b>{tick:g}</b></span>\n'
        for tick in axis.ticks
    )

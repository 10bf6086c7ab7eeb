"""Pictures of comparisons show each method in one colour."""

import numpy as np
from PIL import Image

from molrl.evaluation.statistics import Run, discovery_curve, success_curve
from molrl.plotting.comparison import COLORS, Panel, plot_panels

RUNS = [Run([1, 3], ["CO", "CCO"], [0.0, -1.0]), Run([2], ["CO"], [0.0])]


def test_plot_panels_shows_each_method_and_mark(tmp_path):
    found, near = discovery_curve(RUNS, np.arange(6)), success_curve(RUNS, np.arange(6), best=-1.0)
    panels = [
        Panel({"random": found, "agent": found._replace(value=2 * found.value)}, "calls", "found"),
        Panel({"agent": near}, "calls", "share", top=1.02),
        Panel({"agent": found._replace(cost=found.cost + 1)}, "made", "cost", log=True),
    ]
    drawn = {}
    for name, marks in (("plain", {}), ("marked", {"found": (4.0, "known")})):
        plot_panels(panels, tmp_path / f"{name}.png", "Methods", marks)
        drawn[name] = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
    assert (drawn["plain"] != drawn["marked"]).any()
    middle = drawn["plain"].shape[1] // 2
    for color, sides in zip(COLORS, ((True, False), (True, True)), strict=False):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        shown = (drawn["plain"][: -drawn["plain"].shape[0] // 8] == rgb).all(-1)
        assert (bool(shown[:, :middle].any()), bool(shown[:, middle:].any())) == sides


def test_plot_panels_tells_more_methods_than_colours_apart(tmp_path):
    curve = discovery_curve(RUNS, np.arange(6))
    pictures = []
    for names in (range(9), [*range(8), 0]):
        curves = {f"method {i}": curve._replace(value=(1 + i) * curve.value) for i in range(9)}
        drawn = {f"method {i}": curves[f"method {i}"] for i in names}
        plot_panels([Panel(drawn, "calls", "found", top=20)], tmp_path / "panels.png")
        pictures.append(np.asarray(Image.open(tmp_path / "panels.png").convert("RGB")))
    added = (pictures[0] != pictures[1]).any(-1)
    rgb = [int(COLORS[0][i : i + 2], 16) for i in (1, 3, 5)]
    # the ninth is dashed: its line at the top has gaps
    row = (pictures[0] == rgb).all(-1)[: -pictures[0].shape[0] // 5]
    lines = np.flatnonzero(row.sum(1) > 20)
    assert added.any()
    top = row[lines[0]]
    inside = top[np.flatnonzero(top)[0] : np.flatnonzero(top)[-1]]
    assert not inside.all()

"""Valid molecules of several denoisers, by evaluations of the network and by CPU time.

    python experiments/benchmarks/denoiser_heads.py diffusion diffusion-direct [pseudo-force]

Of molecules of the bags of the valid split, as they are made: reads what denoisers.py has written
for each name (``--name``), which should be of trainings of the same time, and draws
experiments/results/denoiser_heads.png.
"""

import json
import sys

from denoisers import BAGS
from record import RESULTS

from molrl.plotting.figures import blank_figure, save_figure, tidy

COLORS = ("#2a6fb0", "#c0392b", "#e08e2b", "#777777")
AXES = {
    "evaluations": ("evaluations of the network for a molecule", (6, 12, 25, 59, 125, 250)),
    "CPU ms": ("CPU time of a molecule, ms", (10, 30, 100, 300, 1000, 3000)),
}


def read(name: str) -> tuple[str, list[dict[str, float]]]:
    """Return the title of the results of a denoiser, and its rows of bags."""
    data = json.loads((RESULTS / f"denoisers_{name}.json").read_text(encoding="utf-8"))
    return data["title"].partition(",")[0], [r for r in data["rows"] if r["molecules"] == BAGS]


def main(names: list[str]) -> None:
    """Draw the figure."""
    figure = blank_figure(9.6, 3.8)
    for axes, (key, (label, ticks)) in zip(figure.subplots(1, 2), AXES.items(), strict=True):
        for color, name in zip(COLORS, names, strict=False):
            about, rows = read(name)
            valid = [row["valid and connected %"] for row in rows]
            axes.plot([row[key] for row in rows], valid, color=color, marker=".", label=about)
        axes.set(xscale="log", xlabel=label, ylabel="valid and connected, %", ylim=(0, 102))
        axes.set_xticks(ticks, [f"{tick}" for tick in ticks])
        axes.minorticks_off()
        tidy(axes)
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    save_figure(figure, RESULTS / "denoiser_heads.png")


if __name__ == "__main__":
    main(sys.argv[1:])

"""GFN2-xTB with or without spin polarisation as the reference of the energy model of the reward.

python experiments/benchmarks/reference_choice.py [FOLDER]

A shorter quickstart is trained with each of the two as the energy model, then with a MACE fitted to
the same structures labelled by each. What FOLDER (default: runs/reference-choice) holds already is
not repeated.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from record import RESULTS, record

from molrl.energy import load_energy
from molrl.fitting.data.dataset import Dataset
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics

ROOT = Path(__file__).parents[2]
REFERENCES = {"gfn2": "#1f6f8b", "spgfn2": "#c8553d"}
SEEDS = (0, 1)
STEPS = 30_000  # both have learned methanol by then
CURVES = {"return_fraction": "return fraction", "valid_fraction": "valid molecules"}
REACHED = 0.9
SMOOTH = 10  # updates
MAX_FORCE = 30.0  # eV/Å; structures with larger forces are left out of the errors

Runs = Mapping[tuple[str, bool, int], RunFolder]
"""By reference, whether the energy model is a MACE fitted to it, and seed."""


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/reference-choice").resolve()
    runs: dict[tuple[str, bool, int], RunFolder] = {}
    for reference in REFERENCES:
        weights = fit(folder / reference, reference)
        for seed in SEEDS:
            for fitted, energy in enumerate((reference, f"mace:{weights}")):
                run = folder / reference / f"{('direct', 'fitted')[fitted]}-{seed}"
                runs[reference, bool(fitted), seed] = train(run, energy, seed)
    title = f"{STEPS} steps of the quickstart with GFN2-xTB, plain (gfn2) or spin-polarised"
    record("reference_choice", title, [outcome(*key, run) for key, run in runs.items()])
    title = f"Errors of the fits on test molecules, forces up to {MAX_FORCE:.0f} eV/Å"
    record("reference_choice_errors", title, errors(folder))
    draw(runs, RESULTS / "reference_choice.png")


def fit(folder: Path, reference: str) -> Path:
    """Fit a MACE to structures labelled by ``reference``, and return its weights."""
    data, run, configs = folder / "data.npz", folder / "fit", "experiments/energy/reference-"
    folder.mkdir(parents=True, exist_ok=True)
    if not data.is_file():
        molrl("energy", "data", f"{configs}data.yaml", f"reference={reference}", f"output={data}")
    finish(run, "energy", "fit", f"{configs}fit.yaml", f"reference={reference}", f"data=[{data}]")
    return run / "mace.json"


def train(folder: Path, energy: str, seed: int) -> RunFolder:
    """Train a shorter quickstart with an energy model, and return its run."""
    config = ("experiments/quickstart.yaml", f"total_steps={STEPS}", "checkpoint_every=5000")
    finish(folder, "train", *config, f"energy={energy}", f"seed={seed}")
    return RunFolder(folder)


def finish(run: Path, *arguments: str) -> None:
    """Start or resume a run of the command line, unless it is finished."""
    if not run.exists():
        molrl(*arguments, f"run_dir={run}")
    elif not (run / "summary.json").is_file():
        molrl("resume", str(run))


def molrl(*arguments: str) -> None:
    command = [sys.executable, "-m", "molrl.cli.main", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def outcome(reference: str, fitted: bool, seed: int, run: RunFolder) -> dict[str, object]:
    """Return the figures of one training."""
    summary = run.read_summary() or {}
    rows = read_metrics(run.metrics_file)
    row: dict[str, object] = {
        "energy model": f"mace fitted to {reference}" if fitted else reference
    }
    row |= {"seed": seed}
    for name, label in CURVES.items():
        steps, values = curve(rows, name)
        reached = np.flatnonzero(values >= REACHED)
        row[f"steps to {REACHED} {label}"] = int(steps[reached[0]]) if len(reached) else None
    for name in ("return_fraction", "valid_fraction", "median_strain"):
        row[name.replace("_", " ")] = summary[name]
    endings = summary["endings"]
    row["episodes whose energy failed"] = endings.get("energy failed", 0) / sum(endings.values())
    return row


def curve(rows: list[dict[str, float | int | None]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps, and the mean of a figure over the last :data:`SMOOTH` updates."""
    points = np.array([(row["steps"], row[name]) for row in rows], dtype=float)
    points = points[np.isfinite(points).all(1)]
    sums = np.cumsum(np.concatenate([[0.0], points[:, 1]]))
    last = np.arange(1, len(points) + 1)
    first = np.maximum(last - SMOOTH, 0)
    return points[:, 0], (sums[last] - sums[first]) / (last - first)


def errors(folder: Path) -> list[dict[str, object]]:
    """Return the errors of each of the two fits against its own reference, by kind of structure."""
    rows: dict[str, dict[str, object]] = {}
    for reference in REFERENCES:
        data = Dataset.load(folder / reference / "data.npz")
        test = data[(data.split == data.splits.index("test")) & (data.largest_force() < MAX_FORCE)]
        model = load_energy(f"mace:{folder / reference / 'fit' / 'mace.json'}")
        found = model.evaluate(test.molecules).energy.cpu()
        error = 1e3 * (found - test.energy).abs() / test.molecules.n_atoms
        groups = {"all": torch.ones(len(test), dtype=torch.bool)}
        groups |= {kind: test.of_kind(kind) for kind in test.kinds}
        for kind, chosen in groups.items():
            if not chosen.any():
                continue
            row = rows.setdefault(kind, {"kind": kind})
            row[f"{reference} structures"] = int(chosen.sum())
            row[f"{reference} MAE meV/atom"] = float(error[chosen].mean())
            row[f"{reference} median"] = float(error[chosen].quantile(0.5))
    return list(rows.values())


def draw(runs: Runs, path: Path) -> None:
    """Write a PNG of the learning curves of all runs; the first seed solid, the second dashed."""
    figure = Figure(figsize=(9.6, 6.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for (reference, fitted, seed), run in runs.items():
        rows = read_metrics(run.metrics_file)
        for ax, name in zip(axes[:, int(fitted)], CURVES, strict=True):
            label = f"{reference}, seed {seed}"
            style = "-" if seed == SEEDS[0] else "--"
            ax.plot(*curve(rows, name), style, color=REFERENCES[reference], lw=1.5, label=label)
    for ax, title in zip(axes[0], ("GFN2-xTB", "a MACE fitted to it"), strict=True):
        ax.set_title(title, fontsize=11, loc="left", color="#333333")
    for row, label in zip(axes, CURVES.values(), strict=True):
        row[0].set_ylabel(label)
    for ax in axes.flat:
        decorate(ax)
    axes[1, 0].legend(frameon=False, loc="lower right")
    figure.supxlabel("environment steps")
    figure.savefig(path, metadata={"Software": None})


def decorate(ax: Axes) -> None:
    ax.set_ylim(-0.1, 1.05)
    ax.set_xlim(left=0)
    ax.axhline(1, color="#bbbbbb", lw=0.8, ls=(0, (4, 3)), zorder=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, lw=0.6)


if __name__ == "__main__":
    main()

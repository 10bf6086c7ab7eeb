"""Agents that learn one bag: what they make, how relaxed, how many isomers, after how many steps.

python experiments/benchmarks/single_bags.py [--from nothing|large|shipped] [--bags C4H7N ...]
    [--policy covariant] [--seeds 0 1 2] [--steps 100000] [--set algorithm.temperature=0.1 ...]

Each run is ``molrl train`` of ``isomers.yaml`` or ``isomers_large.yaml``, to which no molecule and
no weights are given, or of ``from_shipped.yaml``, which goes on from the policy that ships. One
that was stopped goes on with the run it was in, and runs of earlier calls stay in the record.
*Distinct*: isomers, without
stereochemistry, among 1,000 molecules, relaxed with GFN2-xTB, within 3 eV of the best known one.
*Best above known*: of the lowest isomer, above the lowest one that is enumerated; 0 if it is lower.
*Fall of return*: of the average policy, from its best evaluation to the last, over the return of
the best known isomer. The learning curves, of that policy too, are drawn with the least and the
largest value of all seeds.
"""

import argparse
import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from kept_rows import KeptRows, Row
from numpy.typing import NDArray
from rdkit import Chem
from record import RESULTS, origin, record, run_script

from molrl.comparison.config import slug
from molrl.evaluation.statistics import stratified_interval
from molrl.plotting.comparison import Curves, Panel, plot_panels

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "nothing": "experiments/isomers.yaml",
    "large": "experiments/isomers_large.yaml",
    "shipped": "experiments/from_shipped.yaml",
}
N_MOLECULES, N_EPISODES, N_EVALUATIONS = 1000, 128, 12
LONGEST = 240  # name of a folder; most file systems allow 255 bytes
NEAR = 3.0  # eV above the best known isomer
# by the average policy of an evaluation: a share of valid episodes, and distinct molecules
STEPS_TO = {"steps to 90%": (0.9, 0), "steps to 90% and 20": (0.9, 20)}
CURVES = {
    "return_fraction": "return fraction",
    "valid_fraction": "valid share of episodes",
    "distinct": f"distinct molecules of {N_EPISODES}",
    "strain": "median strain, eV",
    "bond_length": "mean bond length over the covalent radii",
}
TOPS = {"return_fraction": 1.0, "valid_fraction": 1.0, "strain": 2.0, "bond_length": 1.2}
DRAWN = 30_000  # steps of the shortest curves that are drawn
ALIKE = "bag", "policy", "changed", "steps"  # what runs of several seeds share
SUMMED = "valid, %", "strain, eV", "RMSD, Å", "distinct", "best above known, eV", "fall of return"


def train(start: str, bag: str, policy: str, seed: int, steps: int, changes: str) -> list[Row]:
    """Train an agent, and return its figures."""
    name = "-".join([bag, policy, str(seed), str(steps), *changes.split()])
    folder = ROOT / f"runs/benchmarks/from_{start}" / (name if len(name) < LONGEST else slug(name))
    options = {
        "run_dir": folder,
        "task.bag": bag,
        "policy.name": policy,
        "seed": seed,
        "total_steps": steps,
        "evaluate_every": steps // N_EVALUATIONS,
        "evaluation.n_molecules": N_MOLECULES,
        "evaluation.n_episodes": N_EPISODES,
    }
    given = [f"{key}={value}" for key, value in options.items()]
    command = ["train", CONFIGS[start], *given, *changes.split()]
    if (folder / "config.yaml").exists():
        command = ["resume", str(folder)]
    molrl = [sys.executable, "-m", "molrl"]
    subprocess.run([*molrl, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    about = {"bag": bag, "policy": policy, "changed": changes or "-", "seed": seed}
    return [about | figures(summary, folder)]


def figures(summary: Row, folder: Path) -> Row:
    """Return the figures of a run; those of molecules are None if it completed none."""
    made = bool(summary["n_molecules"])
    distinct, best = isomers(folder / "molecules.extxyz") if made else (0, None)
    with (folder / "evaluations.csv").open(encoding="utf-8", newline="") as lines:
        evaluations = list(csv.DictReader(lines))
    returns = [float(row["average_return_fraction"] or "nan") for row in evaluations]
    curve = {key: [float(row[f"average_{key}"] or "nan") for row in evaluations] for key in CURVES}
    return {
        "curve": {"steps": [int(row["steps"]) for row in evaluations], **curve},
        "steps": int(evaluations[-1]["steps"]),
        "valid, %": 100.0 * float(str(summary.get("valid_fraction_per_attempt", 0))),
        "strain, eV": summary.get("median_strain"),
        "RMSD, Å": summary.get("median_rmsd"),
        "distinct": distinct,
        "best above known, eV": best,
        "fall of return": float(np.nanmax(returns)) - returns[-1],
        "energies": summary["training_energy_calls"],
        "minutes": float(str(summary["seconds"])) / 60,
        **origin(),
    }


def shown(run: Row) -> Row:
    """Return a run as it is recorded: the steps to some share of valid episodes for its curve."""
    row = {key: run[key] for key in run if key not in {"curve", "commit", "cpu", *STEPS_TO}}
    row |= dict.fromkeys(STEPS_TO)
    curve: Any = run["curve"]
    for name, (valid, distinct) in STEPS_TO.items() if curve else ():
        enough = [
            steps
            for steps, *made in zip(
                curve["steps"], curve["valid_fraction"], curve["distinct"], strict=True
            )
            if made[0] >= valid and made[1] >= distinct
        ]
        row[name] = min(enough, default=None)
    return row | {key: run[key] for key in ("commit", "cpu")}


def isomers(file: Path) -> tuple[int, float | None]:
    """Return how many isomers molecules are after relaxation, and how far the best is, eV.

    Stereoisomers, mirror images among them, count as one.
    """
    valid = [each.info for each in ase.io.read(file, ":") if each.info["valid"]]
    known = [info for info in valid if np.isfinite(info["above_best"])]
    above = {
        without_stereo(info["relaxed_smiles"]): float(info["above_best"])
        for info in sorted(known, key=lambda info: -info["above_best"])
        if info["relaxation"] != "fragmented" and info["above_best"] <= NEAR
    }
    return len(above), min(above.values(), default=None)


def without_stereo(smiles: str) -> str:
    """Return a SMILES, which may break rules of valence, without its stereochemistry."""
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    Chem.RemoveStereochemistry(molecule)
    flat = Chem.MolToSmiles(molecule)
    again = Chem.MolFromSmiles(flat)
    return flat if again is None else Chem.MolToSmiles(again)


def over_seeds(rows: list[Row]) -> list[Row]:
    """Return interquartile means over the seeds of each bag, with 95 % bootstrap intervals."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in ALIKE), []).append(row)
    return [
        dict(zip(ALIKE, case, strict=True))
        | {"seeds": len(runs)}
        | {key: interval([run[key] for run in runs]) for key in SUMMED}
        for case, runs in groups.items()
        if len(runs) > 1
    ]


def interval(values: list[object]) -> str:
    """Return the interquartile mean and the interval of figures, without those that are None."""
    there = np.array([float(str(value)) for value in values if value is not None])
    if not len(there):
        return "-"
    estimate, low, high = stratified_interval(there[:, None])
    return f"{estimate:.3g} ({low:.3g} to {high:.3g})"


def plot_curves(rows: list[Row], policy: str, path: Path) -> None:
    """Draw the learning curves of one policy: of each bag all seeds of the last, longest run."""
    drawn = [r for r in rows if r["policy"] == policy and r["curve"] and _steps(r) >= DRAWN]
    last: dict[str, Row] = {}
    for row in drawn:
        if _steps(row) >= _steps(last.get(str(row["bag"]), row)):
            last[str(row["bag"])] = row
    groups = {
        bag: [row for row in drawn if all(row[key] == run[key] for key in ALIKE)]
        for bag, run in last.items()
    }
    panels = []
    for key, label in CURVES.items():
        curves: Curves = {bag: over_runs(runs, key) for bag, runs in groups.items()}
        panels.append(Panel(curves, "environment steps", label, TOPS.get(key)))
    if groups:
        plot_panels(panels, path, f"the policy {policy}, one bag each")


def _steps(row: Row) -> int:
    return int(str(row["steps"]))


def over_runs(
    runs: list[Row], key: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return steps, and the median, the least and the largest value of a curve."""
    curves: list[Any] = [run["curve"] for run in runs]
    steps, values = np.array(curves[0]["steps"]), np.array([curve[key] for curve in curves])
    return steps, np.median(values, 0), values.min(0), values.max(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="start", choices=sorted(CONFIGS), default="nothing")
    parser.add_argument("--bags", nargs="+", default=["C3H8O", "C4H7N", "C5H9NO"])
    parser.add_argument("--policy", default="covariant")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--set", nargs="+", default=[], help="other keys of the config")
    given = parser.parse_args()
    kept = KeptRows(ROOT / f"runs/benchmarks/from_{given.start}.jsonl")
    for seed in given.seeds:
        for bag in given.bags:
            case = given.start, bag, given.policy, seed, given.steps, " ".join(given.set)
            kept.get(" ".join(map(str, case)).strip(), partial(train, *case))
            title = f"`molrl train {CONFIGS[given.start]}`, {N_MOLECULES:,} molecules of each run"
            name, runs = f"from_{given.start}", kept.all()
            rows = [shown(run) for run in runs]
            record(name, title, rows)
            if summed := over_seeds(rows):
                record(f"{name}_seeds", f"{title}, over seeds", summed)
            plot_curves(runs, given.policy, RESULTS / f"{name}_{given.policy}.png")


if __name__ == "__main__":
    run_script(main)

"""The policies and algorithms on one bag, with their defaults: the summaries of whole runs.

python experiments/benchmarks/policies.py

Each run is ``molrl train --bag``, 60,000 steps with either algorithm. One that was stopped goes on
with the run it was in.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from kept_rows import KeptRows, Row
from record import record

ROOT = Path(__file__).parents[2]
RUNS = (
    ("CH4O", "internal", "imitation"),
    ("C3H8O", "internal", "imitation"),
    ("C3H8O", "covariant", "imitation"),
    ("C3H8O", "covariant", "ppo"),
)
FIGURES = (
    "policy_steps",
    "return_fraction",
    "valid_fraction",
    "valid_fraction_per_attempt",
    "n_distinct",
    "median_strain",
    "median_rmsd",
    "training_energy_calls",
)


def outcome(bag: str, policy: str, algorithm: str) -> list[Row]:
    """Train a policy, and return its figures."""
    folder = ROOT / f"runs/benchmarks/{bag}-{policy}-{algorithm}"
    command = [sys.executable, "-m", "molrl", "train", "--bag", bag, f"run_dir={folder}"]
    command += [f"policy.name={policy}", f"algorithm.name={algorithm}"]
    if (folder / "config.yaml").exists():
        command = [*command[:3], "resume", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    about: Row = {"bag": bag, "policy": policy, "algorithm": algorithm}
    return [about | {key: summary[key] for key in FIGURES}]


def main() -> None:
    kept, rows = KeptRows(ROOT / "runs/benchmarks/policies.jsonl"), []
    for case in RUNS:
        rows += kept.get(" ".join(case), partial(outcome, *case))
        record("policies", "molrl train --bag BAG with each policy and algorithm, seed 0", rows)


if __name__ == "__main__":
    main()

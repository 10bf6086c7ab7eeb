"""The policies by the quickstart's config: the summaries of whole runs.

That of the covariant policy on CH4O is the quickstart, which has its own record.

python experiments/benchmarks/policies.py

One that was stopped goes on with the run it was in.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from kept_rows import KeptRows, Row
from record import record

ROOT = Path(__file__).parents[2]
CONFIG = "experiments/quickstart.yaml"
RUNS = ("CH4O", "internal"), ("C3H8O", "internal"), ("C3H8O", "covariant")
FIGURES = (
    "policy_steps",
    "return_fraction",
    "valid_fraction",
    "valid_fraction_per_attempt",
    "median_energy_above_relaxed",
    "median_rmsd",
)


def outcome(bag: str, policy: str) -> list[Row]:
    """Train a policy, and return its figures."""
    folder = ROOT / f"runs/benchmarks/{bag}-{policy}"
    command = [sys.executable, "-m", "molrl.cli.main", "train", CONFIG, f"run_dir={folder}"]
    command += [f"task.bag={bag}", f"policy.name={policy}"]
    subprocess.run(command, cwd=ROOT, check=True, stderr=sys.stderr)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return [{"bag": bag, "policy": policy} | {key: summary[key] for key in FIGURES}]


def main() -> None:
    kept, rows = KeptRows(ROOT / "runs/benchmarks/policies.jsonl"), []
    for bag, policy in RUNS:
        rows += kept.get(f"{bag} {policy}", partial(outcome, bag, policy))
        record("policies", f"molrl train {CONFIG} with each policy, seed 0", rows)


if __name__ == "__main__":
    main()

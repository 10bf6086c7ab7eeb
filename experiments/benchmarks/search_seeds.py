"""How surely does ``molrl search`` find the isomers of a formula? The same search, five seeds.

python experiments/benchmarks/search_seeds.py [BAG ...]

Each search has 20,000 energies; by default of C4H7N and C5H9NO, which have 61 and 112 known isomers
and which no part of the package has learned from. Stopped, it goes on where it was.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from record import RESULTS, record

from molrl.bags import Bag
from molrl.chemistry.molecule_set import shipped_molecules

ROOT = Path(__file__).parents[2]
BAGS = ("C4H7N", "C5H9NO")
SEEDS = range(5)
ENERGY_CALLS = 20_000
METHODS = ("covariant", "random-search", "basin-hopping", "simgen")

Row = dict[str, object]


def search(bag: str, seed: int) -> Path:
    """Return the folder of a finished search."""
    folder = ROOT / f"runs/search-seeds/{bag}-{seed}"
    molrl = [sys.executable, "-m", "molrl"]
    if (folder / "config.yaml").exists():
        command = [*molrl, "resume", str(folder)]
    else:
        budget = ["--energy-calls", str(ENERGY_CALLS), "--seed", str(seed)]
        command = [*molrl, "search", bag, *budget, f"run_dir={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    return folder


def row(bag: str, seed: int, folder: Path) -> Row:
    """Return the figures of a search."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    found = {f"{name} finds": summary["methods"][name]["n_isomers"] for name in METHODS}
    return {
        "bag": bag,
        "seed": seed,
        "isomers": summary["n_isomers"],
        "known": summary["n_known"],
        "known found": summary["n_known_found"],
        "lowest known found": "yes" if summary["lowest_known_found"] else "no",
        **found,
        "energies": summary["energy_calls"],
        "energies of the ranking": summary["ranking_energy_calls"],
        "wall time, s": round(summary["seconds"]),
    }


def calls_of_known(bag: str, folder: Path) -> list[int]:
    """Return after how many energies each known isomer was found, ascending."""
    known = set(shipped_molecules().isomers(Bag(bag)).identities)
    with (folder / "isomers.csv").open(encoding="utf-8", newline="") as file:
        rows = [line for line in csv.DictReader(file) if line["smiles"] in known]
    return sorted(int(line["energy_calls_when_found"]) for line in rows)


def main(bags: list[str]) -> None:
    """Run the benchmark."""
    rows, figure = [], plt.figure(figsize=(4.5 * len(bags), 3.6), layout="constrained")
    for axes, bag in zip(figure.subplots(1, len(bags), squeeze=False)[0], bags, strict=True):
        for seed in SEEDS:
            folder = search(bag, seed)
            rows.append(row(bag, seed, folder))
            calls = calls_of_known(bag, folder)
            axes.step([0, *calls, ENERGY_CALLS], [*range(len(calls) + 1), len(calls)], where="post")
        axes.axhline(int(str(rows[-1]["known"])), color="0.6", linestyle="--")
        axes.set(title=bag, xlabel="energies", ylabel="known isomers found")
        axes.set_xticks(range(0, ENERGY_CALLS + 1, ENERGY_CALLS // 4))
    title = f"molrl search with {ENERGY_CALLS:,} energies, {len(SEEDS)} seeds"
    record("search_seeds", title, rows)
    figure.savefig(RESULTS / "search_seeds.png", dpi=150)


if __name__ == "__main__":
    main(sys.argv[1:] or list(BAGS))

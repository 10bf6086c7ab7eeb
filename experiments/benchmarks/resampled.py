"""What a trained agent makes at several temperatures of sampling, judged as at the end of a run.

python experiments/benchmarks/resampled.py RUN BAG --temperatures 0.2 0.3 [--seed 0]

RUN is a run folder of single_bags.py. Runs and temperatures of earlier calls stay in the record.
"""

import argparse
from functools import partial
from pathlib import Path

from kept_rows import KeptRows, Row
from record import origin, record, run_script
from single_bags import N_MOLECULES, ROOT, isomers

import molrl
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.outputs import write_molecules

KEPT = ROOT / "runs/benchmarks/resampled"


def sample(run: Path, bag: str, temperature: float, seed: int) -> list[Row]:
    """Return the figures of molecules that an agent makes at a temperature."""
    agent = molrl.load_generator("run", run=run, temperature=temperature)
    made = agent.generate(bag, N_MOLECULES, seed)
    report = evaluate_molecules(made.molecules)
    folder = KEPT / f"{run.name}-{temperature:g}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    write_molecules(report, folder)
    figures = report.summary()
    distinct, best = isomers(folder / "molecules.extxyz")
    row: Row = {
        "run": run.name,
        "temperature": temperature,
        "seed": seed,
        "attempts": made.attempts,
        "valid, %": 100 * figures["n_valid"] / made.attempts,
        "strain, eV": figures["median_strain"],
        "RMSD, Å": figures["median_rmsd"],
        "distinct": distinct,
        "best above known, eV": best,
    }
    return [row | origin()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", metavar="RUN", type=Path)
    parser.add_argument("bag", metavar="BAG")
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.2, 0.3])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    kept = KeptRows(KEPT.with_suffix(".jsonl"))
    for temperature in given.temperatures:
        case = given.run, given.bag, temperature, given.seed
        kept.get(" ".join([given.run.name, *map(str, case[1:])]), partial(sample, *case))
        record("resampled", f"{N_MOLECULES:,} molecules of agents of one bag", kept.all())


if __name__ == "__main__":
    run_script(main)

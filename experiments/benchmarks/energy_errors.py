"""Errors of a shipped energy model on the test split of datasets, by kind of structure.

python experiments/benchmarks/energy_errors.py runs/energy/data.npz [more.npz ...] [--model NAME]
"""

import argparse

from record import named, record

from molrl.energy import load_energy
from molrl.energy.networks.energy import SHIPPED
from molrl.fitting.accuracy import errors_of
from molrl.fitting.data.dataset import Dataset
from molrl.runs.progress import progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="mace", choices=SHIPPED)
    options = parser.parse_args()
    model = load_energy(options.model)
    data = Dataset.join([Dataset.load(path) for path in options.data])
    test = data[data.split == data.splits.index("test")]
    with progress(len(test), "evaluate") as bar:
        rows = errors_of(model, test, bar.update).by_kind()
    title = f"{model.name} {model.hash} against GFN2-xTB, molecules not in the fit"
    record(named("energy_errors", model), title, rows)


if __name__ == "__main__":
    main()

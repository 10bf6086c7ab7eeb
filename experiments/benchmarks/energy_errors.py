"""Errors of the shipped energy model on the test split of datasets, by kind of structure.

python experiments/benchmarks/energy_errors.py runs/energy/data.npz [more.npz ...]
"""

import sys

from record import record

from molrl.energy import load_energy
from molrl.energy.data.dataset import Dataset
from molrl.energy.errors import errors_of
from molrl.runs.progress import progress


def main() -> None:
    model = load_energy("mace")
    data = Dataset.join([Dataset.load(path) for path in sys.argv[1:]])
    test = data[data.split == data.splits.index("test")]
    with progress(len(test), "evaluate") as bar:
        rows = errors_of(model, test, bar.update).by_kind()
    record("energy_errors", f"mace {model.hash} against GFN2-xTB, molecules not in the fit", rows)


if __name__ == "__main__":
    main()

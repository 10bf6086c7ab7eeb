"""Errors of energy models on the test split of datasets, by kind of structure.

python experiments/benchmarks/energy_errors.py runs/energy/*.npz [--models mace mace:old.json]
"""

import argparse

from record import record
from side_by_side import add_models, describe, load_models

from molrl.fitting.accuracy import errors_of
from molrl.fitting.data.dataset import Dataset
from molrl.runs.progress import progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    add_models(parser)
    options = parser.parse_args()
    models = load_models(options.models)
    data = Dataset.join([Dataset.load(path) for path in options.data])
    test = data[(data.split == data.splits.index("test")) & ~data.bound]
    rows: dict[str, dict[str, object]] = {}
    for name, model in models.items():
        with progress(len(test), f"evaluate {name}") as bar:
            for row in errors_of(model, test, bar.update).by_kind():
                kind, structures, *figures = row.items()
                of_kind = rows.setdefault(str(kind[1]), dict([kind, structures]))
                of_kind |= {f"{figure}, {name}": value for figure, value in figures}
    title = f"{describe(models)} against GFN2-xTB, molecules not in the fit"
    record("energy_errors", title, list(rows.values()))


if __name__ == "__main__":
    main()

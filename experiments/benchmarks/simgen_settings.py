"""What the settings of SiMGen do: the figures of ``simgen.py`` for each of them."""

import sys

import torch
from record import record
from simgen import described, known, measure

from molrl.runs.progress import progress

N = 48
SETTINGS: dict[str, dict[str, float]] = {
    "defaults": {},
    "not settled": {"settle_steps": 0},
    "not settled, equal weights, temperature 0.1, prior 0.7, as published": {
        "settle_steps": 0,
        "temperature": 0.1,
        "balance": 0.0,
        "prior_strength": 0.7,
    },
    "equal weights": {"balance": 0.0},
    "balance 1": {"balance": 1.0},
    "balance 1.5": {"balance": 1.5},
    "no exchange": {"swap_share": 0.0},
    "one particle": {"particles": 1},
    "25 times": {"steps": 25},
    "no churn": {"churn": 1.0},
    "kernel twice as sharp": {"sharpness_max": 240.0, "temperature": 0.6},
}
FIGURES = (
    "attempts",
    "valid %",
    "valid, same after GFN2 %",
    "valid after relaxation %",
    "distinct",
    "novel",
    "strain, eV",
    "rings",
    "multiple bonds %",
    "with C=O %",
    "CPU s",
)


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    rows: list[dict[str, object]] = []
    with progress(len(SETTINGS), "settings") as bar:
        for i, (name, settings) in enumerate(SETTINGS.items()):
            found, _ = measure(n, settings)
            rows.append({"settings": name} | {key: found[key] for key in FIGURES})
            bar.update(i + 1)
    real = described(known())
    rows.append({"settings": "reference"} | {key: real.get(key, "") for key in FIGURES})
    title = f"Settings of SiMGen: {n} molecules each with 4 to 9 heavy atoms, batches of 64"
    record("simgen_settings", title, rows)


if __name__ == "__main__":
    main()

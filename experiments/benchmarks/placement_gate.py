"""The gate against fooling: the best paid of 200 random placements, checked against GFN2-xTB.

Exits with 1 if the shipped model fails the gate: mean error at most 0.3 eV, none above 5 eV.
"""

import sys

from record import record

from molrl.energy import load_energy
from molrl.energy.data.adversarial import placement_attack

MEAN, WORST = 0.3, 5.0  # eV


def main() -> int:
    model, reference = load_energy("mace"), load_energy("gfn2")
    rows: list[dict[str, object]] = []
    passed = True
    for seed in (0, 1, 2):
        report = placement_attack(model, reference, n_molecules=100, n_placements=200, seed=seed)
        figures = report.summary()
        rows.append({"seed": seed, **figures})
        passed &= abs(figures["mean_error"]) <= MEAN and abs(figures["worst_error"]) <= WORST
    title = f"Best of 200 placements on 100 half-built molecules, clash guard on; mace {model.hash}"
    record("placement_gate", f"{title}; errors in eV", rows)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

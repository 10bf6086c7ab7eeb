"""The gate against fooling: the placements that the shipped model likes best, by GFN2-xTB.

Exits with 1 if the shipped model fails a gate of molrl.energy.gate.
"""

import sys
from collections.abc import Callable

import numpy as np
from record import RESULTS, record

from molrl.energy import EnergyModel, load_energy
from molrl.energy.data.adversarial import AttackReport, placement_attack
from molrl.energy.gate import GATES
from molrl.energy.learning.gradient_attack import gradient_attack
from molrl.evaluation.energy_plots import plot_attack_errors
from molrl.runs.progress import progress

Attack = Callable[[EnergyModel, EnergyModel, int, float], AttackReport]  # seed, guard


def random_placements(
    model: EnergyModel, reference: EnergyModel, seed: int, guard: float
) -> AttackReport:
    return placement_attack(model, reference, 200, 200, seed, guard)


def gradient_driven(
    model: EnergyModel, reference: EnergyModel, seed: int, guard: float
) -> AttackReport:
    return gradient_attack(model, reference, 1000, seed=seed, guard=guard)


# name: the attack and its seeds
ATTACKS: dict[str, tuple[Attack, tuple[int, ...]]] = {
    "best of 200 random placements": (random_placements, (0, 1, 2)),
    "1,000 gradient-driven": (gradient_driven, (0,)),
}
DISTANCES = {0.0: "from 0.3 Å", 0.65: "environment's guard"}


def main() -> int:
    model, reference = load_energy("mace"), load_energy("gfn2")
    rows: list[dict[str, object]] = []
    failures: list[str] = []
    errors: dict[str, np.ndarray] = {}
    largest: dict[str, float] = {}
    todo = [
        (name, seed, guard)
        for name, (_, seeds) in ATTACKS.items()
        for guard in GATES
        for seed in seeds
    ]
    with progress(len(todo), "attack") as bar:
        for done, (name, seed, guard) in enumerate(todo, start=1):
            report = ATTACKS[name][0](model, reference, seed, guard)
            wrong = GATES[guard].failures(report)
            distance = DISTANCES[guard]
            what = {"attack": name, "distances": distance, "seed": seed}
            rows.append({**what, **report.summary(), "passed": not wrong})
            failures += [f"{name}, {distance}, seed {seed}: {line}" for line in wrong]
            panel = f"{name}, {distance}"
            errors[panel] = np.concatenate([errors.get(panel, np.zeros(0)), report.errors])
            largest[panel] = GATES[guard].overbinding_max
            bar.update(done)
    title = f"Placements on half-built molecules that mace {model.hash} likes best"
    record("placement_gate", f"{title}; errors against GFN2-xTB in eV", rows)
    plot_attack_errors(errors, largest, RESULTS / "placement_gate.png", title)
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

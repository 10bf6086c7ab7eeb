"""What agents end with: are their molecules as low in energy as their reward says?

python experiments/benchmarks/agent_errors.py [METHOD@BAG ...] [--name NAME] [--set temperature=0.5]

For each of them, such as ``run:runs/mine@C4H7N``, 200 molecules are sampled, as they are made,
without relaxation, and their total energies under ``mace`` and GFN2-xTB compared; by default those
of the policy that ships on the formulas that it has not seen. *Too low*: ``mace`` is lower by more
than 0.5 eV. The twenty that are lowest beside GFN2-xTB are drawn.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from record import RESULTS, record, run_script

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import COMPARED
from molrl.energy import load_energy
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import draw_grid
from molrl.runs.config import read_overrides
from molrl.runs.progress import log_message

N_MOLECULES = 200
TOO_LOW = 0.5  # eV
N_WORST = 20


@dataclass(frozen=True)
class Made:
    """Molecules of an agent, and how wrong the model is about them.

    Attributes:
        name: method and formula.
        molecules: as they were made.
        attempts: episodes that were begun.
        error: ``(n,)`` eV, ``mace`` minus GFN2-xTB, total energies.
        valid: ``(n,)`` bool.
    """

    name: str
    molecules: MoleculeBatch
    attempts: int
    error: np.ndarray
    valid: np.ndarray

    def row(self) -> dict[str, object]:
        """Return the row of the table."""
        known = np.isfinite(self.error)
        error, valid = self.error[known], self.valid[known]
        each = np.abs(1000 * error / self.molecules.n_atoms.numpy()[known])
        too_low = error < -TOO_LOW
        return {
            "agent": self.name,
            "molecules": len(self.molecules),
            "valid %": round(100 * float(self.valid.mean()), 1),
            "without an energy in GFN2-xTB": int((~known).sum()),
            "mean |error|, meV/atom": mean(each, 1),
            "valid ones": mean(each[valid], 1),
            "too low %": mean(100.0 * too_low, 2),
            "too low and valid %": mean(100.0 * (valid & too_low), 2),
            "lowest, eV": round(float(error.min()), 2) if len(error) else None,
            "episodes ended by the rules %": round(
                100 * (1 - len(self.molecules) / self.attempts), 1
            ),
        }


def mean(values: np.ndarray, digits: int) -> float | None:
    """Return the rounded mean of figures; None of none."""
    return round(float(values.mean()), digits) if len(values) else None


def make(method: str, bag: str, options: Mapping[str, Any]) -> Made:
    """Return molecules of an agent with the errors of the model."""
    made = molrl.load_generator(method, **options).generate(bag, n=N_MOLECULES, seed=0)
    energies = [
        load_energy(name).evaluate(made.molecules).energy.double().numpy()
        for name in ("mace", "gfn2")
    ]
    valid = np.array(validity(made.molecules).valid)
    return Made(f"{method} {bag}", made.molecules, made.attempts, energies[0] - energies[1], valid)


def total(made: list[Made]) -> Made:
    """Return the molecules of all agents together."""
    return Made(
        "all",
        MoleculeBatch.cat([each.molecules for each in made]),
        sum(each.attempts for each in made),
        np.concatenate([each.error for each in made]),
        np.concatenate([each.valid for each in made]),
    )


def draw_worst(whole: Made, names: list[str], name: str) -> None:
    """Draw the molecules whose energy is lowest beside that of GFN2-xTB."""
    worst = np.argsort(np.nan_to_num(whole.error, nan=np.inf))[:N_WORST]
    found = validity(whole.molecules[worst])
    captions = [
        f"{names[i]}\n{whole.error[i]:+.2f} eV\n{smiles if ok else reason}"
        for i, smiles, ok, reason in zip(
            worst, found.smiles, found.valid, found.reasons, strict=True
        )
    ]
    title = f"The {N_WORST} that mace has lowest beside GFN2-xTB, of {len(whole.molecules)}"
    draw_grid(whole.molecules[worst], RESULTS / f"{name}.png", captions, title=title)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = [f"covariant@{bag}" for bag in COMPARED]
    parser.add_argument("agents", metavar="METHOD@BAG", nargs="*", default=usual)
    parser.add_argument("--set", metavar="key=value", nargs="+", default=[], help="options")
    parser.add_argument("--name", default="agent_errors", help="of the record")
    given = parser.parse_args()
    options, made = read_overrides(given.set), []
    for word in given.agents:
        made.append(make(*word.rsplit("@", 1), options))
        log_message(f"{len(made)} of {len(given.agents)}: {made[-1].row()}")
    whole = total(made)
    record(
        given.name,
        f"mace beside GFN2-xTB on {N_MOLECULES} molecules of each agent, as they are made",
        [each.row() for each in (whole, *made)],
    )
    draw_worst(
        whole,
        [each.name.rsplit(" ", 1)[1] for each in made for _ in each.molecules.n_atoms],
        given.name,
    )


if __name__ == "__main__":
    run_script(main)

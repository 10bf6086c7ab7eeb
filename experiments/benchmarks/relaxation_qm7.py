"""Comparison of QM7 molecules relaxed with `mace` and with GFN2-xTB.

python experiments/benchmarks/relaxation_qm7.py qm7.extxyz [-n 300]

The molecules are drawn at random with a fixed seed, one of each formula, then another of each,
until there are enough; both relaxations start from the given geometry. The distance of a molecule
without an energy is infinite; that of one that did not converge is of its last geometry.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from qm7 import BLUE, RED, Molecules, identities, known_molecules
from record import RESULTS, record

from molrl.chemistry.geometry import rmsd
from molrl.energy import EnergyModel, load_energy
from molrl.energy.relaxation import RelaxationResult, relax
from molrl.molecules import MoleculeBatch
from molrl.plotting.figures import blank_figure
from molrl.runs.progress import progress

SEED = 0
NEAR, TYPICAL = 0.1, 0.05  # Å, targets for 90 % and 50 % of the molecules
FORCE_TOLERANCE = 0.01  # eV/Å; half the default, since floppy molecules move far under small forces


@dataclass(frozen=True)
class Outcome:
    """Results of the relaxations, ``(n_molecules,)`` each.

    Attributes:
        distance: RMSD of the two minima, Å; infinite if one has no energy.
        preserved: bool, whether the connectivity is preserved in both minima.
        preserved_by: bool, the same for each of the two models.
        unconverged: number of relaxations that did not converge, with each of the two models.
    """

    distance: np.ndarray
    preserved: np.ndarray
    preserved_by: tuple[np.ndarray, np.ndarray]
    unconverged: tuple[int, int]

    def row(self) -> dict[str, object]:
        """Return the row of the table."""
        percent = [100 * float(x.mean()) for x in (self.preserved, *self.preserved_by)]
        return {
            "molecules": len(self.distance),
            "median RMSD Å": float(np.median(self.distance)),
            "within 0.1 Å, %": 100 * float((self.distance <= NEAR).mean()),
            "connectivity preserved by both, %": percent[0],
            "by mace": percent[1],
            "by gfn2": percent[2],
            "not converged, mace": self.unconverged[0],
            "gfn2": self.unconverged[1],
        }


AIM: dict[str, object] = {
    "molecules": "target",
    "median RMSD Å": f"<= {TYPICAL}",
    "within 0.1 Å, %": ">= 90",
    "connectivity preserved by both, %": ">= 99",
    "by mace": "",
    "by gfn2": "",
    "not converged, mace": "",
    "gfn2": "",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="QM7 as .extxyz")
    parser.add_argument("-n", type=int, default=300, help="number of molecules; default: 300")
    options = parser.parse_args()
    model, reference = load_energy("mace"), load_energy("gfn2")
    found = known_molecules(options.file, model)
    start = found.molecules[spread(found, options.n)]
    outcome = compare(start, model, reference)
    draw(outcome)
    title = f"Relaxed with mace {model.hash} and with GFN2-xTB, out of {found.describe()}"
    record("relaxation_qm7", title, [outcome.row(), AIM])


def spread(found: Molecules, n: int) -> np.ndarray:
    """Return the indices of ``n`` molecules: one of each formula, then a second, and so on."""
    order = np.random.default_rng(SEED).permutation(len(found))
    seen: dict[str, int] = {}
    turn = np.zeros(len(found), dtype=int)  # number of molecules of its formula before it
    for i, formula in zip(order, found.formulas()[order], strict=True):
        turn[i] = seen[formula] = seen.get(formula, -1) + 1
    return np.sort(order[np.argsort(turn[order], kind="stable")][:n])


def compare(start: MoleculeBatch, model: EnergyModel, reference: EnergyModel) -> Outcome:
    """Relax the molecules with both models, and compare the minima."""
    first, second = relaxed(start, model), relaxed(start, reference)
    distance = rmsd(first.molecules, second.molecules).cpu().numpy()
    known = np.isfinite((first.energy.cpu() + second.energy.cpu()).numpy())
    names = identities(start, "as given")
    preserved_by = tuple(
        (identities(done.molecules, by.name) == names) & (names != "")
        for done, by in ((first, model), (second, reference))
    )
    return Outcome(
        distance=np.where(known, distance, np.inf),
        preserved=preserved_by[0] & preserved_by[1],
        preserved_by=(preserved_by[0], preserved_by[1]),
        unconverged=(int((~first.converged).sum()), int((~second.converged).sum())),
    )


def relaxed(start: MoleculeBatch, model: EnergyModel) -> RelaxationResult:
    """Relax the molecules with a model."""
    with progress(len(start), f"relaxed with {model.name}") as bar:
        return relax(start, model, FORCE_TOLERANCE, report=lambda done, total: bar.update(done))


def draw(outcome: Outcome) -> None:
    """Draw a histogram of the distances between the two minima."""
    figure = blank_figure(6.4, 3.8)
    axes = figure.subplots()
    bins = np.geomspace(1e-3, 3, 61)
    axes.hist(np.clip(outcome.distance, bins[0], bins[-1]), bins=bins, color=BLUE)
    axes.set_xscale("log")
    axes.axvline(NEAR, color=RED, lw=1, ls=(0, (4, 3)))
    row = outcome.row()
    axes.set_title(
        f"{row['molecules']} molecules, median {row['median RMSD Å']:.3f} Å, "
        f"{row['within 0.1 Å, %']:.1f} % within {NEAR} Å",
        fontsize=10,
        loc="left",
        color="#333333",
    )
    axes.set_xlabel("RMSD of the minima of mace and gfn2, Å")
    axes.set_ylabel("molecules")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS / "relaxation_qm7.png", metadata={"Software": None})


if __name__ == "__main__":
    main()

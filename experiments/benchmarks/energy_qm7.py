"""Errors of a shipped model against GFN2-xTB on QM7: single points at the given geometries.

python experiments/benchmarks/energy_qm7.py qm7.extxyz [--data fitted.npz ...] [--model NAME]

Molecules whose identity is in the training data of the model, or with elements that it does not
know, are left out and counted. The offset of a formula is the mean error of its molecules; formulas
of one molecule have no error after removing it, and are left out of that figure. The force error is
the mean over all Cartesian components (`component`), and the mean length of the error of an atom
(`vector`). The rank correlation is that of Spearman for the energies within a formula, its mean
over the 20 most frequent formulas.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from qm7 import Molecules, evaluate, identities, known_molecules
from record import RESULTS, named, record
from scipy.stats import spearmanr

from molrl.energy import EnergyModel, load_energy
from molrl.energy.networks.energy import SHIPPED
from molrl.plotting.figures import blank_figure

FREQUENT = 20  # formulas
SULFUR = 16
AIM: dict[str, object] = {
    "molecules": "target",
    "count": "",
    "energy MAE meV/atom": "<= 12",
    "after offset": "<= 6",
    "of": "",
    "force MAE meV/Å, component": "<= 80",
    "vector": "",
    "rank correlation": ">= 0.95",
    "formulas": "",
}


@dataclass(frozen=True)
class Compared:
    """Energies and forces of two models on the molecules that both have an energy for.

    Attributes:
        formulas: ``(n_molecules,)`` str.
        n_atoms: ``(n_molecules,)`` int64.
        energy: ``(2, n_molecules)`` eV, predicted and reference.
        forces: ``(2, n_atoms_total, 3)`` eV/Å, predicted and reference.
    """

    formulas: np.ndarray
    n_atoms: np.ndarray
    energy: np.ndarray
    forces: np.ndarray

    def of(self, chosen: np.ndarray) -> "Compared":
        """Return the part for ``chosen (n_molecules,)`` bool."""
        atoms = np.repeat(chosen, self.n_atoms)
        return Compared(
            self.formulas[chosen],
            self.n_atoms[chosen],
            self.energy[:, chosen],
            self.forces[:, atoms],
        )

    def relative(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the energies minus the mean of their formula, and which formulas have several.

        Returns:
            ``(2, n_molecules)`` eV, and ``(n_molecules,)`` bool.
        """
        _, index, counts = np.unique(self.formulas, return_inverse=True, return_counts=True)
        means = np.stack([np.bincount(index, weights=e) / counts for e in self.energy])
        return self.energy - means[:, index], counts[index] > 1

    def rank_correlation(self) -> tuple[float, int]:
        """Return the mean over the most frequent formulas, and how many formulas these are."""
        counts = Counter(self.formulas.tolist()).most_common(FREQUENT)
        values = [
            spearmanr(*self.energy[:, self.formulas == formula]).statistic
            for formula, count in counts
            if count > 2
        ]
        return (float(np.mean(values)) if values else np.nan), len(values)

    def row(self, name: str) -> dict[str, object]:
        """Return a row of the table."""
        error = np.abs(self.energy[0] - self.energy[1]) / self.n_atoms
        relative, several = self.relative()
        after = (np.abs(relative[0] - relative[1]) / self.n_atoms)[several]
        force = self.forces[0] - self.forces[1]
        correlation, n_formulas = self.rank_correlation()
        values = (
            name,
            len(error),
            1e3 * _mean(error),
            1e3 * _mean(after),
            len(after),
            1e3 * _mean(np.abs(force)),
            1e3 * _mean(np.linalg.norm(force, axis=-1)),
            correlation,
            n_formulas,
        )
        return dict(zip(AIM, values, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="QM7 as .extxyz")
    parser.add_argument("--data", nargs="*", default=[], help="training data of the model, .npz")
    parser.add_argument("--model", default="mace", choices=SHIPPED)
    parser.add_argument("-n", type=int, help="number of molecules, drawn at random; default: all")
    options = parser.parse_args()
    model, reference = load_energy(options.model), load_energy("gfn2")
    found = known_molecules(options.file, model)
    if options.n:
        order = np.random.default_rng(0).permutation(len(found))
        found = found.without(order >= options.n, "places above -n in a random order")
    found = unfitted(found, options.data)
    compared, sulfurous, left_out = compare(found, model, reference)
    rows = [compared.row("all"), compared.of(~sulfurous).row("without S")]
    if sulfurous.any():
        rows.append(compared.of(sulfurous).row("with S"))
    name = named("energy_qm7", model)
    draw(compared, model.name, RESULTS / f"{name}.png")
    title = f"{model.name} {model.hash} against GFN2-xTB, {left_out.describe()}"
    record(name, title, [*rows, AIM])


def unfitted(found: Molecules, data: list[str]) -> Molecules:
    """Return the molecules that are in none of the datasets, nor a part of a complex there."""
    fitted: set[str] = set()
    for path in data:
        with np.load(path, allow_pickle=False) as arrays:
            for identity in arrays["identities"].tolist():
                fitted.update(identity.split("."))  # of a complex, its molecules
    if not fitted:
        return found
    names = identities(found.molecules, "as given")
    return found.without(np.isin(names, list(fitted)), "identities in the training data")


def compare(
    found: Molecules, model: EnergyModel, reference: EnergyModel
) -> tuple[Compared, np.ndarray, Molecules]:
    """Evaluate both models; also return which molecules contain sulfur, and which were left out."""
    results = [evaluate(one, found.molecules) for one in (model, reference)]
    energy = np.stack([energy for energy, _ in results])
    failed = ~np.isfinite(energy).all(0)
    compared = Compared(
        formulas=found.formulas(),
        n_atoms=found.molecules.n_atoms.numpy(),
        energy=energy,
        forces=np.stack([forces for _, forces in results]),
    ).of(~failed)
    left = found.without(failed, "no energy of one of the models")
    return compared, left.having(SULFUR), left


def draw(compared: Compared, model: str, path: Path) -> None:
    """Draw isomer energies and forces of a model against those of GFN2-xTB."""
    figure = blank_figure(9.6, 4.6)
    left, right = figure.subplots(1, 2)
    relative, several = compared.relative()
    relative, forces = relative[:, several], compared.forces.reshape(2, -1)
    error, force_error = np.ptp(relative, axis=0), np.abs(forces[0] - forces[1])
    parity(
        left, relative, model, f"energy within the formula, eV; MAE {1e3 * _mean(error):.0f} meV"
    )
    parity(
        right, forces, model, f"force components, eV/Å; MAE {1e3 * _mean(force_error):.0f} meV/Å"
    )
    figure.savefig(path, metadata={"Software": None})


def parity(axes: Axes, pair: np.ndarray, model: str, title: str) -> None:
    """Draw the density of ``pair (2, n)``, predicted against reference, and the diagonal."""
    reach = 1.05 * float(np.abs(pair).max(initial=1e-3))
    axes.plot([-reach, reach], [-reach, reach], color="#bbbbbb", lw=0.8, zorder=0)
    cells = axes.hexbin(
        pair[1], pair[0], gridsize=100, bins="log", mincnt=1, cmap="viridis", linewidths=0.1,
        extent=(-reach, reach, -reach, reach),
    )  # fmt: skip
    axes.figure.colorbar(cells, ax=axes, label="count", shrink=0.8)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_xlabel("gfn2")
    axes.set_ylabel(model)
    axes.set_title(title, fontsize=10, loc="left", color="#333333")
    axes.spines[["top", "right"]].set_visible(False)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


if __name__ == "__main__":
    main()

"""Uncertainty of an energy model and its errors, on a fixed mixture of structures.

python experiments/benchmarks/energy_uncertainty.py runs/energy/data.npz [--qm7 qm7.extxyz]

The mixture is up to 300 structures of each kind of the test split of the data, and further kinds,
nearly all of which are in no data. Four are made from 150 half-built molecules of the test split
and labelled by GFN2-xTB:
*adversarial*, the placements of lowest, highest and intermediate energy of 100 random ones with the
clash rule; *pressed*, two random atoms at a quarter to three quarters of a bond length; *scaled*,
all distances times 0.7 to 1.6; *random*, the same atoms anywhere in a box, at least 0.6 Å apart.
The others are those of fresh_structures.py: molecules together, large ones, and attacks.

A molecule is flagged if its uncertainty is above 0. The area under the ROC curve is that for errors
above the limit, of kinds with at least 30 of them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from fresh_structures import fresh_structures
from matplotlib.figure import Figure
from record import RESULTS, named, record, seconds
from reference_or_bound import gfn2_or_bound
from scipy.stats import mannwhitneyu, spearmanr

from molrl.energy import EnergyModel, load_energy
from molrl.energy.networks.energy import SHIPPED
from molrl.fitting.data.adversarial import half_built_molecules, placement_attack
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.labels import label
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress
from molrl.structures.distort import press_together
from molrl.structures.structure import Structure, distances

PER_KIND, MOLECULES, PLACEMENTS, SEED = 300, 150, 100, 2023
LARGE = (0.1, 0.3)  # eV/atom
FEW = 30  # errors above a limit
MAX_FORCE = 400.0  # eV/Å
BATCH = 64


@dataclass(frozen=True)
class Scored:
    """Errors and uncertainties of n structures.

    Attributes:
        kind: ``(n,)`` str.
        error: ``(n,)`` eV/atom, absolute.
        uncertainty: ``(n,)``.
    """

    kind: np.ndarray
    error: np.ndarray
    uncertainty: np.ndarray

    def __add__(self, other: "Scored") -> "Scored":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Scored(*(np.concatenate(pair) for pair in pairs))

    @classmethod
    def of_data(cls, model: EnergyModel, data: Dataset) -> "Scored":
        """Return the scores of the labelled structures that have more than a bound."""
        data = data[~data.bound]
        kind = np.array(data.kinds)[data.kind.numpy()]
        return cls.of(model, data.molecules, data.energy.numpy(), kind)

    @classmethod
    def of(
        cls, model: EnergyModel, molecules: MoleculeBatch, energy: np.ndarray, kind: np.ndarray
    ) -> "Scored":
        """Return the scores of molecules with known energies, eV."""
        output = model.evaluate(molecules, uncertainty=True)
        assert output.uncertainty is not None  # asked for
        error = np.abs(output.energy.cpu().numpy() - energy) / molecules.n_atoms.numpy()
        return cls(kind, error, output.uncertainty.cpu().numpy())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="mace", choices=SHIPPED)
    parser.add_argument("--qm7", help="QM7 as .extxyz; default: without it")
    arguments = parser.parse_args()
    model = load_energy(arguments.model, "cpu")
    test = from_data(Dataset.join([Dataset.load(path) for path in arguments.data]))
    of_test = Scored.of_data(model, test)
    scored = of_test + Scored.of_data(model, out_of_distribution(model))
    for kind, molecules in fresh_structures(model, arguments.qm7, SEED).items():
        scored += fresh_scores(model, kind, molecules)
    inside = np.arange(len(scored.kind)) < len(of_test.kind)
    groups = {"the mixture": inside | ~inside, "its test split": inside, "the rest": ~inside}
    groups |= {kind: scored.kind == kind for kind in dict.fromkeys(scored.kind.tolist())}
    rows = [row(name, scored.error[of], scored.uncertainty[of]) for name, of in groups.items()]
    name = named("energy_uncertainty", model)
    draw(scored, RESULTS / f"{name}.png")
    title = (
        f"The uncertainty of {model.name} {model.hash} against its error; "
        f"{cost(model, test)} on one CPU thread in batches of {BATCH}"
    )
    record(name, title, rows)


def fresh_scores(model: EnergyModel, kind: str, molecules: MoleculeBatch) -> Scored:
    """Return the scores of the molecules that GFN2-xTB has an energy for."""
    right = gfn2_or_bound(molecules)
    known = np.flatnonzero(np.isfinite(right.energy) & ~right.bound)
    names = np.full(len(known), kind)
    return Scored.of(model, molecules[known], right.energy[known], names)


def from_data(data: Dataset) -> Dataset:
    """Draw up to ``PER_KIND`` structures of each kind in the test split."""
    test = data[data.split == data.splits.index("test")]
    rng = np.random.default_rng(SEED)
    shuffled = rng.permutation(len(test))
    kind = test.kind.numpy()[shuffled]
    chosen = [shuffled[kind == code][:PER_KIND] for code in range(len(test.kinds))]
    return test[np.sort(np.concatenate(chosen))]


def out_of_distribution(model: EnergyModel) -> Dataset:
    """Return labelled structures of the four further kinds."""
    reference = load_energy("gfn2")
    with progress(2, "structures out of distribution") as bar:
        attack = placement_attack(model, reference, MOLECULES, PLACEMENTS, seed=SEED)
        bar.update(1)
        structures = attack.structures + list(distortions(model))
        labelled, _ = label(structures, reference, MAX_FORCE, lambda *_: None)
        bar.update(2)
    return labelled


def distortions(model: EnergyModel) -> Iterator[Structure]:
    starts = half_built_molecules(MOLECULES, SEED + 1, "test", model.elements)
    for i, start in enumerate(starts):
        rng = np.random.default_rng([SEED, i])
        pressed = press_together(start, rng)
        if pressed is not None:
            yield pressed.at(pressed.positions, "pressed")
        yield start.at(start.positions * rng.uniform(0.7, 1.6), "scaled")
        side = 2 * len(start) ** (1 / 3) * rng.uniform(0.8, 1.5)
        anywhere = rng.uniform(0, side, size=(len(start), 3))
        if distances(anywhere).min() > 0.6:
            yield start.at(anywhere, "random")


def row(kind: str, error: np.ndarray, uncertainty: np.ndarray) -> dict[str, object]:
    tenth = uncertainty >= np.quantile(uncertainty, 0.9)
    figures: dict[str, object] = {"structures": len(error), "kind": kind}
    for limit in LARGE:
        figures[f"errors above {limit} eV/atom"] = int((error > limit).sum())
        figures[f"area under ROC, {limit} eV/atom"] = roc_area(error > limit, uncertainty)
    large = error > LARGE[0]
    figures["of these flagged, %"] = percent(uncertainty[large] > 0)
    figures["of the others flagged, %"] = percent(uncertainty[~large] > 0)
    return figures | {
        "rank correlation": float(spearmanr(uncertainty, error).statistic),
        "mean error of the most uncertain tenth, meV/atom": 1e3 * float(error[tenth].mean()),
        "of the rest": 1e3 * float(error[~tenth].mean()),
    }


def percent(flagged: np.ndarray) -> float | None:
    return 100 * float(flagged.mean()) if len(flagged) else None


def roc_area(large: np.ndarray, uncertainty: np.ndarray) -> float | str:
    """Return the probability that a large error is more uncertain than a small one."""
    n_pairs = int(large.sum()) * int((~large).sum())
    if large.sum() < FEW or not n_pairs:
        return "-"
    return float(mannwhitneyu(uncertainty[large], uncertainty[~large]).statistic / n_pairs)


def cost(model: EnergyModel, data: Dataset) -> str:
    """Measure the time of the uncertainty and that of the energy."""
    torch.set_num_threads(1)
    batch = data.molecules[:BATCH]
    plain, uncertain = np.inf, np.inf
    for _ in range(3):  # in turns, so that both have the machine at its fastest
        plain = min(plain, seconds(lambda: model.evaluate(batch), "cpu"))
        uncertain = min(uncertain, seconds(lambda: model.evaluate(batch, uncertainty=True), "cpu"))
    extra = uncertain - plain
    per_molecule = 1e6 * extra / len(batch)
    return f"{per_molecule:.0f} µs per molecule, {extra / plain:.1%} of the time of the energy,"


def draw(scored: Scored, path: Path) -> None:
    """Draw the error against the uncertainty, coloured by kind."""
    figure = Figure(figsize=(9, 6), dpi=130, layout="constrained")
    ax = figure.subplots()
    for code, kind in enumerate(dict.fromkeys(scored.kind.tolist())):
        of = scored.kind == kind
        style = {"s": 9, "alpha": 0.6, "lw": 0, "color": f"C{code % 10}"}
        ax.scatter(
            scored.uncertainty[of],
            1e3 * scored.error[of].clip(1e-4),
            marker="o^s"[code // 10],
            label=kind,
            **style,
        )
    ax.axhline(1e3 * LARGE[0], color="#333333", lw=0.8, ls="--")
    ax.axvline(0, color="#333333", lw=0.8, ls=":")
    # The uncertainty is a logarithm already.
    ax.set(yscale="log", ylabel="error, meV/atom", xlabel="uncertainty")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()

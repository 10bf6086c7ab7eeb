"""Active and random selection of training data, with equal numbers of labels.

Both start from the same small fit. Structures from active learning, or as many of the kinds in its
training data, are labelled and added, and the model is fitted again for as many steps; twice. The
errors are those of placements found by attacks on the first fit, the same for both.

python experiments/benchmarks/active_learning.py [seed ...]
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from record import RESULTS, record

from molrl.energy import EnergyModel, load_energy
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.networks.mace.network import MaceConfig
from molrl.fitting.active.config import LearnConfig, RefitConfig
from molrl.fitting.active.gradient_attack import N_STARTS, gradient_search
from molrl.fitting.active.measure import GUARDS, validation_errors
from molrl.fitting.active.sources import Sources
from molrl.fitting.config import FitConfig
from molrl.fitting.data.adversarial import PlacementSearch, half_built_molecules, random_placements
from molrl.fitting.data.config import DataConfig, KindCounts
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.labels import Progress, label
from molrl.fitting.data.make import make_dataset
from molrl.fitting.data.placements import interaction_energies
from molrl.fitting.fit import Fit
from molrl.fitting.mixture_fit import with_uncertainty
from molrl.runs.progress import phases
from molrl.runs.trainer import train_saving

LABELS, ROUNDS, SPARE = 500, 2, 1.3  # candidates for each label, as some fail
START_STEPS, STEPS = 1000, 500
MORE = 0.3  # share of COUNTS that is drawn for a round of random labels
ATTACKED = 50  # half-built molecules, for each attack and guard
BAGS = ("CH4O", "CH2O", "CH3NO", "C2H6O", "C2H4O", "C2H2", "CO2", "NH3", "N2H4", "H2O2")
SHAPE = MaceConfig(elements=(1, 6, 7, 8), channels=32)
COUNTS = KindCounts(
    relaxed=200, distorted=500, half_built=500, placed=600, clash=250, fragments=150, pair=250,
    random_walks=400, partially_relaxed=150,
)  # fmt: skip
PICTURE = RESULTS.parents[1] / "docs" / "active_learning.png"


@dataclass(frozen=True)
class AdversarialSet:
    """Placements found by attacks on the first fit, and their reference energies, eV."""

    search: PlacementSearch
    changes: np.ndarray

    @classmethod
    def of(cls, model: EnergyModel, reference: EnergyModel, seed: int) -> "AdversarialSet":
        """Run both attacks, with and without the clash rule."""
        molecules = half_built_molecules(ATTACKED, seed, "test", model.elements)
        starts, picks = [], []
        for guard in GUARDS.values():
            placed = random_placements(molecules, 200, seed, guard)
            for found in (
                PlacementSearch.of(model, *placed),
                gradient_search(model, molecules, N_STARTS, seed, guard),
            ):
                starts += found.starts
                picks += found.picks
        search = PlacementSearch(starts, picks)
        return cls(search, _changes(reference, search))

    def errors(self, model: EnergyModel) -> dict[str, float]:
        """Return the errors of the placements that have a reference energy."""
        errors = np.abs(_changes(model, self.search) - self.changes)
        errors = errors[np.isfinite(errors)]
        return {"MAE eV": float(errors.mean()), "worst eV": float(errors.max())}


def _changes(model: EnergyModel, search: PlacementSearch) -> np.ndarray:
    best = [some[0] for some in search.picks]
    return interaction_energies(model, best) - interaction_energies(model, search.starts)


class Arm:
    """One way of selecting labels, starting from the first fit."""

    def __init__(self, name: str, folder: Path, seed: int, data: Dataset, report: Progress) -> None:
        self.name, self.data, self.seed, self.report = name, data, seed, report
        self._folder, self._reference = folder, load_energy("gfn2")
        self.weights = folder / "start" / "mace.json"

    def start(self) -> NetworkEnergy:
        """Return the first fit."""
        return self._fitted("start", None, START_STEPS)

    def round(self, number: int) -> NetworkEnergy:
        """Return the fit after another :data:`LABELS` labels."""
        chosen = self._active(number) if self.name == "active" else self._random(number)
        order = np.random.default_rng(number).permutation(len(chosen))
        if len(chosen) < LABELS:
            raise RuntimeError(f"{self.name} found {len(chosen)} structures, not {LABELS}")
        self.data = Dataset.join([self.data, chosen[order[:LABELS]]])
        return self._fitted(f"{self.name}-{number}", str(self.weights), STEPS)

    def _active(self, number: int) -> Dataset:
        config = LearnConfig(
            run_dir="", data=("",), labels=int(SPARE * LABELS), bags=BAGS, seed=self.seed
        )
        model = with_uncertainty(self.weights, self.data, self.seed, "cpu")
        found = Sources(config, model, self.data, (), frozenset(), number).collect(self.report)
        return label(found, self._reference, config.max_force, self.report)[0]

    def _random(self, number: int) -> Dataset:
        made = generic(100 * (self.seed + 1) + number, MORE, self.report)
        return made[made.split == made.splits.index("train")]

    def _fitted(self, name: str, start: str | None, steps: int) -> NetworkEnergy:
        settings = RefitConfig(steps=steps, learning_rate=3e-3 if start else 8e-3)
        config = FitConfig(
            run_dir=str(self._folder / name), data=(), start=start, network=SHAPE, seed=self.seed,
            **settings.model_dump(),
        )  # fmt: skip
        fit = Fit(config, self.data, dict(self._reference.atom_energies()), "cpu")
        train_saving(
            fit,
            self._folder / name,
            lambda step, _: self.report(f"seed {self.seed}, fit {name}", step, steps),
        )
        self.weights = fit.weights
        return NetworkEnergy(fit.weights)


def generic(seed: int, share: float, report: Progress) -> Dataset:
    counts = {kind: int(share * n) for kind, n in COUNTS.model_dump().items()}
    config = DataConfig(
        output="",
        seed=seed,
        elements=("C", "N", "O"),
        max_heavy=4,
        bags=BAGS,
        counts=KindCounts(**counts),
    )
    return make_dataset(config, report)[0]


def one_seed(seed: int, folder: Path, report: Progress) -> list[dict[str, object]]:
    data = generic(seed, 1.0, report)
    start = Arm("start", folder, seed, data, report).start()
    attacked = AdversarialSet.of(start, load_energy("gfn2"), seed)
    rows = []
    for name in ("active", "random"):
        arm, model = Arm(name, folder, seed, data, report), start
        for number in range(ROUNDS + 1):
            model = arm.round(number) if number else model
            figures = attacked.errors(model) | validation_errors(model, data)
            rows.append({"seed": seed, "labels": name, "added": number * LABELS, **figures})
    return rows


def draw(rows: list[dict]) -> None:
    figure = Figure(figsize=(8.4, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = {"MAE eV": "mean absolute error, eV", "worst eV": "worst error, eV"}
    for ax, (key, title) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for name, color in (("active", "#c8553d"), ("random", "#1f6f8b")):
            own = [row for row in rows if row["labels"] == name]
            for seed in sorted({row["seed"] for row in own}):
                line = [(row["added"], row[key]) for row in own if row["seed"] == seed]
                ax.plot(*zip(*line, strict=True), color=color, lw=0.8, marker="o", ms=3, alpha=0.5)
            added = sorted({row["added"] for row in own})
            means = [
                np.exp(np.mean([np.log(row[key]) for row in own if row["added"] == n]))
                for n in added
            ]
            ax.plot(added, means, color=color, lw=2.2, label=name)
        ax.set_yscale("log")
        ax.set_xticks(added)
        ax.set_xlabel("labels added")
        ax.set_ylabel(title)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, lw=0.6, which="both")
    figure.axes[0].legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Software": None})


def main() -> None:
    rows: list[dict[str, object]] = []
    title = (
        f"Active and random selection, {LABELS} labels per round: errors in the energy of "
        f"{4 * ATTACKED} placements found by attacks on the first fit"
    )
    for seed in [int(word) for word in sys.argv[1:]] or [0, 1, 2]:
        with tempfile.TemporaryDirectory() as folder, phases() as report:
            rows += one_seed(seed, Path(folder), report)
        record("active_learning", title, rows)
        draw(rows)


if __name__ == "__main__":
    main()

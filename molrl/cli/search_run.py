"""What a search for isomers ends with: a ranking by GFN2-xTB, its table and files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from molrl.bags import Bag
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import CountedEnergy, load_energy
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.molecule_files import SUFFIXES, write_annotated, write_csv
from molrl.generators.search.config import SearchConfig
from molrl.generators.search.isomers import Constraints, FoundIsomer, batch_of
from molrl.generators.search.run import IsomerSearch
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import draw_grid
from molrl.report import Entry, Map, Section, Table, write_report
from molrl.runs.folder import RunFolder
from molrl.runs.progress import progress
from molrl.runs.ranks import Ranks
from molrl.runs.tables import in_columns
from molrl.runs.trainer import Closing

SCHEMA_VERSION = 1
N_LINES = 40  # of the table on the terminal; the CSV has all
N_PICTURES = 30
N_RANKED = 64  # molecules that are relaxed at the same time
_METHOD_HEADINGS = ("method", "isomers", "found first", "energy calls", "attempts", "time, s")
_HEADINGS = ("SMILES", "above best, eV", "strain, eV", "found by", "at energy call")


@dataclass(frozen=True)
class Ranking:
    """Isomers at minima of GFN2-xTB, the lowest energy first.

    Attributes:
        isomers: the same as they were found.
        smiles: identities at the minima of GFN2-xTB, each once.
        molecules: the minima.
        energy: ``(n,)`` float64, eV, total.
        strain: ``(n,)`` float64, eV, of the geometry as found, above the minimum.
        energy_calls: evaluations of GFN2-xTB.
        n_lost: isomers as found that are no molecules of their own at a minimum of GFN2-xTB.
    """

    isomers: list[FoundIsomer]
    smiles: list[str]
    molecules: MoleculeBatch
    energy: np.ndarray
    strain: np.ndarray
    energy_calls: int
    n_lost: int

    @property
    def above_best(self) -> np.ndarray:
        """``(n,)`` float64, eV, energies above the lowest."""
        above: np.ndarray = self.energy - self.energy[:1]
        return above

    def rows(self) -> list[dict[str, Any]]:
        """Return a line of the CSV for each isomer."""
        return [
            {
                "smiles": smiles,
                "energy_above_best_eV": round(float(above), 4),
                "strain_eV": round(float(strain), 4),
                "method": isomer.method,
                "energy_calls_when_found": isomer.energy_calls,
            }
            for smiles, above, strain, isomer in zip(
                self.smiles, self.above_best, self.strain, self.isomers, strict=True
            )
        ]


def rank(found: Sequence[FoundIsomer], charge: int, constraints: Constraints) -> Ranking:
    """Relax isomers with GFN2-xTB, and put them in the order of its energies.

    One whose connectivity changes counts as what it becomes, if that keeps the constraints.

    Args:
        found: the isomers.
        charge: of all, e.
        constraints: what they must contain.
    """
    model = CountedEnergy(load_energy("gfn2"))
    best: dict[str, tuple[float, float, int]] = {}
    parts = [MoleculeBatch.from_arrays([])]
    with progress(len(found), "rank by GFN2-xTB") as bar:
        for first in range(0, len(found), N_RANKED):
            part = found[first : first + N_RANKED]
            report = evaluate_molecules(batch_of(part).charged([charge] * len(part)), model)
            parts.append(report.relaxed)
            after = report.relaxed_chemistry
            for i in np.flatnonzero(after.valid & np.isfinite(report.relaxed_energy)).tolist():
                smiles, energy = after.smiles[i] or "", float(report.relaxed_energy[i])
                known = best.get(smiles, (np.inf, 0.0, 0))
                if energy < known[0] and constraints.allow(smiles):
                    best[smiles] = energy, float(report.strain[i]), first + i
            bar.update(first + len(part))
    order = sorted(best, key=lambda smiles: best[smiles])
    indices = [best[smiles][2] for smiles in order]
    return Ranking(
        isomers=[found[i] for i in indices],
        smiles=order,
        molecules=MoleculeBatch.cat(parts)[np.array(indices, np.int64)],
        energy=np.array([best[smiles][0] for smiles in order]),
        strain=np.array([best[smiles][1] for smiles in order]),
        energy_calls=model.evaluations,
        n_lost=len(found) - len(order),
    )


class SearchRun(IsomerSearch):
    """A search for isomers that ends with their ranking."""

    def summarise(self, folder: RunFolder) -> Closing:
        """Rank the isomers, and write ``isomers.*`` (extxyz, SDF, CSV, PNG) and ``report.html``.

        Args:
            folder: of the search.
        """
        config = self.config
        constraints = Constraints(config.contains, config.excludes, config.rings)
        began = perf_counter()
        ranking = rank(list(self.isomers.by_smiles.values()), config.charge, constraints)
        summary = {
            "schema_version": SCHEMA_VERSION,
            "bag": config.bag,
            "charge": config.charge,
            **_figures(ranking),
            **_known(ranking, config, constraints),
            "n_excluded": len(self.isomers.excluded),
            "energy_calls": self.energy_calls,
            "ranking_energy_calls": ranking.energy_calls,
            "seconds": self.seconds,
            "ranking_seconds": perf_counter() - began,
            "methods": {source.name: self._costs(source.name, ranking) for source in self.sources},
        }
        if ranking.smiles:
            _write(ranking, folder, config)
            _write_report(ranking, folder, summary)
        return Closing(summary, summary, tuple(_lines(ranking, folder, summary["methods"])))

    def _costs(self, name: str, ranking: Ranking) -> dict[str, Any]:
        (source,) = (each for each in self.sources if each.name == name)
        return {
            "n_isomers": sum(name in isomer.found for isomer in ranking.isomers),
            "n_first": sum(name == isomer.method for isomer in ranking.isomers),
            "energy_calls": source.energy_calls,
            "attempts": source.attempts,
            "seconds": source.seconds,
        }


@contextmanager
def build(config: SearchConfig, ranks: Ranks) -> Iterator[SearchRun]:
    """Make the search of a config; see :data:`molrl.cli.training.BUILDERS`."""
    yield SearchRun(config, ranks)


def _figures(ranking: Ranking) -> dict[str, Any]:
    found = bool(ranking.smiles)
    return {
        "n_isomers": len(ranking.smiles),
        "lowest_energy": float(ranking.energy[0]) if found else None,
        "lowest_smiles": ranking.smiles[0] if found else None,
        "median_strain": float(np.median(ranking.strain)) if found else None,
        "n_lost_in_ranking": ranking.n_lost,
    }


def _known(ranking: Ranking, config: SearchConfig, constraints: Constraints) -> dict[str, Any]:
    """Return how many of the shipped isomers are found, and whether the lowest of them is."""
    if config.charge:
        return {}  # the shipped molecules are neutral
    shipped = shipped_molecules().isomers(Bag(config.bag)).identities
    known = [smiles for smiles in shipped if constraints.allow(smiles)]
    if not known:
        return {}
    return {
        "n_known": len(known),
        "n_known_found": len({*known} & {*ranking.smiles}),
        "lowest_known_found": known[0] in ranking.smiles,
    }


def _write(ranking: Ranking, folder: RunFolder, config: SearchConfig) -> None:
    rows = ranking.rows()
    properties: dict[str, Sequence[Any] | np.ndarray] = {
        "smiles": ranking.smiles,
        "energy": np.round(ranking.energy, 4),
        **{key: [row[key] for row in rows] for key in rows[0] if key != "smiles"},
    }
    for suffix in SUFFIXES:
        write_annotated(folder.path / f"isomers{suffix}", ranking.molecules, properties)
    write_csv(folder.path / "isomers.csv", rows)
    captions = [
        f"{row['smiles']}\n{row['energy_above_best_eV']:+.2f} eV\n{row['method']}"
        for row in rows[:N_PICTURES]
    ]
    title = f"{config.bag}: {len(rows)} isomers, energy above the lowest (GFN2-xTB)"
    pictured = ranking.molecules[slice(len(captions))]
    draw_grid(pictured, folder.path / "isomers.png", captions, title=title)


def _write_report(ranking: Ranking, folder: RunFolder, summary: Mapping[str, Any]) -> None:
    """Write ``report.html``: what each method found, and the isomers as molecules that turn."""
    rows = [tuple(row.values()) for row in ranking.rows()]
    entries = [
        Entry(row[0], "", ranking.molecules[[i]], dict(zip(_HEADINGS[1:], row[1:], strict=True)))
        for i, row in enumerate(rows)
    ]
    _, above, _, method, call = _HEADINGS
    methods = [(name, *figures.values()) for name, figures in summary["methods"].items()]
    found = f"{len(rows)} isomers at minima of GFN2-xTB."
    if "n_known" in summary:
        found += (
            f" Of the {summary['n_known']} known isomers, {summary['n_known_found']} are found."
        )
    sections = [
        Section("Methods", found, Table(_METHOD_HEADINGS, methods)),
        Section("Isomers", "", Table(_HEADINGS, rows), None, entries, Map(call, above, method)),
    ]
    write_report(folder.path / "report.html", f"Isomers of {summary['bag']}", sections)


def _lines(
    ranking: Ranking, folder: RunFolder, methods: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield the table of isomers, what each method found, and where the files are."""
    rows = ranking.rows()
    cells = [tuple(str(value) for value in row.values()) for row in rows[:N_LINES]]
    yield from in_columns([_HEADINGS, *cells])
    if len(rows) > N_LINES:
        yield f"and {len(rows) - N_LINES} more"
    yield ""
    yield from in_columns(
        [_METHOD_HEADINGS]
        + [
            (name, *(f"{value:.0f}" for value in figures.values()))
            for name, figures in methods.items()
        ]
    )
    yield ""
    if rows:
        yield f"isomers: {folder.path / 'isomers.csv'}, .extxyz, .sdf and .png"
        yield f"report: {folder.path / 'report.html'}"
    else:
        yield (
            "no isomer of those asked for was found; give more energy_calls or minutes, or fewer "
            "constraints"
        )

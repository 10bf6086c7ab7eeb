"""The report of a comparison: its table and curves, and the molecules to turn under the mouse."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molrl.comparison.config import REAL, UnitKey
from molrl.comparison.figures import Results
from molrl.comparison.tables import (
    STAR,
    about,
    failures,
    meanings,
    rows_of_costs,
    rows_of_molecules,
    rows_of_tasks,
    title,
)
from molrl.comparison.units import Unit
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch
from molrl.report import Entry, Map, Picture, Section, Table, write_report

N_BEST = 6  # molecules of a method and a task
AGENTS = ("run", "covariant", "internal", "random")  # generators that place atom after atom
_ABOVE, _STRAIN, _CALL = "above the best, eV", "strain as made, eV", "at energy call"


def write_html(results: Results, summary: Mapping[str, Any], folder: Path) -> None:
    """Write ``report.html``.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
        folder: of the comparison, which holds ``curves.png`` and the molecules.
    """
    made, costs = rows_of_molecules(results, summary), rows_of_costs(results, summary)
    tasks = rows_of_tasks(results, summary)
    key = "\n\n".join(line.removeprefix("- ").replace("`", "") for line in meanings(results))
    sections = [
        Section("Methods", about(results)[0].replace("`", ""), _table(made)),
        Section("Costs", "", _table(costs)),
        Section("Curves", "", None, Picture(folder / "curves.png", _CURVES)),
        Section("Tasks", _tasks_text(results), _table(tasks)),
        *_building(results, folder),
        *(_of_task(results, task, folder) for task in results.tasks),
        Section("What the columns mean", key),
    ]
    if failed := list(failures(summary)):
        sections.insert(2, Section("Failures", "\n\n".join(failed)))
    write_report(folder / "report.html", title(results), sections)


def _tasks_text(results: Results) -> str:
    within = f"{results.config.within:g} eV of the lowest molecule known"
    return f"Distinct valid molecules of a run, on average; {STAR}: every run came within {within}."


_CURVES = (
    "Above: distinct valid molecules against energy evaluations and against time. Below: the share "
    "of runs that have come near the best molecule known; and the evaluations for one distinct "
    "valid molecule against how many are made, those of a training included. Bands are 95 % "
    "intervals over the runs: above by bootstrap, too narrow where there are fewer than about ten; "
    "below Wilson's of a share, wide where there are few. A curve ends with the budget, or where "
    "the last of its runs ended."
)


def _table(rows: Sequence[Sequence[str]]) -> Table:
    head, *body = rows
    return Table(head, [[name, *map(_value, cells)] for name, *cells in body])


def _value(cell: str) -> str | float | None:
    """Return a cell of a table as a number, if it is one; None for a dash."""
    if cell.endswith(STAR):
        return cell
    plain = cell.replace(",", "").strip("`")
    if plain == "-":
        return None
    try:
        return int(plain) if plain.isdecimal() else float(plain)
    except ValueError:
        return plain


def _of_task(results: Results, task: str, folder: Path) -> Section:
    """Return the best molecules of each method on a task, and a map of them."""
    entries = [
        entry
        for method in results.methods
        for entry in _best(results, results.of(method, task), folder)
    ]
    drawn = Map(_CALL, _ABOVE, "method") if entries else None
    text = (
        f"The {N_BEST} lowest distinct molecules of each method, and of the known ones. A point of "
        "the map opens its molecule."
    )
    if task not in results.of_one_formula:
        text = "The molecules have several formulas, so that their energies cannot be compared."
    elif not entries:
        text = "No method found a valid molecule."
    return Section(f"Molecules of {task}", text, None, None, entries, drawn)


def _best(results: Results, units: Sequence[Unit], folder: Path) -> Iterator[Entry]:
    """Yield the lowest distinct molecules of the runs of a method."""
    lowest: dict[str, tuple[float, Unit, int]] = {}
    for unit in units:
        for i, above in enumerate(results.above_best(unit)):
            smiles = unit.final.smiles[i]
            if smiles and above < lowest.get(smiles, (np.inf, unit, 0))[0]:
                lowest[smiles] = float(above), unit, i
    files: dict[UnitKey, MoleculeBatch] = {}
    for smiles, (above, unit, i) in sorted(lowest.items(), key=lambda each: each[1][0])[:N_BEST]:
        if unit.key not in files:  # it may hold thousands
            files[unit.key] = _molecules(results, unit, folder)
        yield Entry(smiles, "", files[unit.key][[i]], {
            "method": unit.method,
            _ABOVE: round(above, 3) + 0.0,
            _STRAIN: _strain(unit, i),
            _CALL: None if unit.method == REAL else unit.calls_when_found[i],
        })  # fmt: skip


def _building(results: Results, folder: Path) -> Iterator[Section]:
    """Yield the section of molecules that agents have placed atom by atom, if there are agents."""
    agents = [name for name, row in results.config.methods.items() if row.kind in AGENTS]
    entries = [entry for name in agents for entry in _built(results, name, folder)]
    if entries:
        text = "The best molecule of each agent, in the order in which it placed the atoms."
        yield Section("Placed atom by atom", text, None, None, entries)


def _built(results: Results, name: str, folder: Path) -> Iterator[Entry]:
    """Yield the best molecule of an agent, if it has a valid one, as it grew."""
    found = [
        (float(above), unit, i)
        for unit in results.of(name)
        for i, above in enumerate(results.above_best(unit))
        if np.isfinite(above)
    ]
    if not found:
        return
    above, unit, i = min(found, key=lambda each: each[0])
    (task,) = (each for each in results.config.tasks if str(each) == unit.task)
    grown = _prefixes(_read(folder, unit, "generated")[[i]], len(task.examples[0].fixed))
    frames = MoleculeBatch.cat([grown, _molecules(results, unit, folder)[[i]]])
    caption = f"{name}, {unit.task}" + "; the last frame is relaxed" * results.config.relax
    values = {_ABOVE: round(above, 3) + 0.0, _STRAIN: _strain(unit, i)}
    yield Entry(unit.final.smiles[i] or "", caption, frames, values)


def _prefixes(molecule: MoleculeBatch, n_fixed: int) -> MoleculeBatch:
    """Return a molecule after each of its atoms; agents keep them in the order of placement."""
    ((numbers, positions),) = molecule.arrays()
    return MoleculeBatch.from_arrays(
        (numbers[:n], positions[:n]) for n in range(max(1, n_fixed), len(numbers) + 1)
    )


def _molecules(results: Results, unit: Unit, folder: Path) -> MoleculeBatch:
    return _read(folder, unit, results.stages[-1])


def _read(folder: Path, unit: Unit, stage: str) -> MoleculeBatch:
    molecules = read_molecules(folder / unit.key.folder / f"{stage}.extxyz")
    return MoleculeBatch.from_arrays(molecules.arrays())


def _strain(unit: Unit, i: int) -> float | None:
    energy, relaxed = unit.generated.energy[i], unit.generated.relaxed_energy[i]
    return None if energy is None or relaxed is None else round(energy - relaxed, 3) + 0.0

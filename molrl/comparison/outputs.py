"""The files that a comparison ends with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from molrl.comparison.config import CompareConfig, slug
from molrl.comparison.curves import plot_curves
from molrl.comparison.figures import Results
from molrl.comparison.report import write_html
from molrl.comparison.tables import (
    as_markdown,
    failures,
    rows_of_costs,
    rows_of_molecules,
)
from molrl.comparison.units import Unit
from molrl.runs.atomic import write_text
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import STEPS, write_metrics
from molrl.runs.tables import in_columns


def write_outputs(results: Results, summary: Mapping[str, Any], folder: Path) -> None:
    """Write tables, curves (of several tasks those of each, too), the report and the metrics.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
        folder: of the comparison.
    """
    # anew, since a run that was begun again has a row of its first time in place of another's
    rows = [{STEPS: i, **figures_of_run(unit)} for i, unit in enumerate(results.units, start=1)]
    write_metrics(RunFolder(folder).metrics_file, rows)
    write_text(folder / "table.md", as_markdown(results, summary))
    plot_curves(results, folder / "curves.png")
    write_html(results, summary, folder)
    if len(results.tasks) > 1:
        for task in results.tasks:
            plot_curves(results, folder / "curves" / f"{slug(task)}.png", task)


def lines_of_folder(summary: Mapping[str, Any], folder: RunFolder) -> Iterator[str]:
    """Yield what a finished comparison has printed at its end.

    Args:
        summary: which the folder holds.
        folder: of the comparison.
    """
    config = folder.load_config(CompareConfig)
    units = [Unit.load(folder.path / key.folder) for key in config.units()]
    yield from lines_of(Results(config, units, {}), summary, folder.path)


def figures_of_run(unit: Unit) -> dict[str, float]:
    """Return the figures of a run in ``metrics.csv``.

    Args:
        unit: the run.
    """
    valid = sum(unit.final.valid)
    return {"energy_calls": unit.energy_calls, "valid": valid, "seconds": unit.seconds}


def lines_of(results: Results, summary: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield what is printed at the end: the tables, failures, and where the files are.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
        folder: of the comparison.
    """
    yield from in_columns(rows_of_molecules(results, summary))
    yield ""
    yield from in_columns(rows_of_costs(results, summary))
    yield ""
    for line in failures(summary):
        yield f"failed: {line}"
    if crashed := sum(unit.crashed for unit in results.units):
        yield f"runs that crashed: {crashed}; `molrl resume {folder}` begins them again"
    yield f"comparison: {folder / 'table.md'}, curves.png, report.html and units/"

"""``molrl evaluate``: the evaluation of the molecules in a file."""

import json
from argparse import Namespace
from typing import Any, NamedTuple

import numpy as np

from molrl.cli.output import MOLECULE_FILES, output_files
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.evaluation.acceptance import evaluable, failed_line, rejected_line
from molrl.evaluation.evaluator import EvaluationReport, evaluate_molecules
from molrl.evaluation.known import NearestKnown, nearest_known, read_known, read_structures
from molrl.evaluation.molecule_files import (
    check_format,
    formulas,
    label,
    write_annotated,
    write_csv,
)
from molrl.evaluation.outputs import molecule_properties
from molrl.evaluation.ranking import energy_above_best, rank_correlation
from molrl.evaluation.table import format_table
from molrl.files import read_named
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_text
from molrl.runs.progress import log_message, progress

_OF_GENERATORS = ("attempts", "return_fraction")  # a file does not say how it was made: None


def evaluate(arguments: Namespace) -> int:
    """Evaluate the molecules of a file, print the table, and write what is asked for.

    Molecules that the evaluator cannot take are listed on standard error, and have a line in the
    CSV; the others are evaluated.

    Args:
        arguments: of the command: ``file``, ``novel_against``, ``similar_to``, ``json``, ``csv``,
            ``output``, ``valid``, ``unique`` and ``force``.

    Returns:
        The exit code.

    Raises:
        InputError: if a file is corrupted, the evaluator can take none of its molecules, or an
            output exists or cannot be written; nothing is written then.
    """
    wanted = {"--json": (), "--csv": (), "-o": MOLECULE_FILES}
    to_json, to_csv, output = output_files(arguments, wanted)
    if (arguments.valid or arguments.unique) and not (to_csv or output):
        raise InputError("--valid and --unique select what is written; give --csv or -o as well")
    molecules, names = read_named(arguments.file)
    known = read_known(arguments.novel_against) if arguments.novel_against else None
    similar = read_structures(arguments.similar_to) if arguments.similar_to else None
    model = load_energy("gfn2")
    taken, indices, rejected = evaluable(molecules, model, where=arguments.file)
    if output:
        check_format(output, taken)
    if rejected:
        log_message(rejected_line(rejected))
    if {1, 6} & set(taken.numbers.tolist()) == {6}:
        log_message(f"{arguments.file} holds carbon and no hydrogen; hydrogens must be in the file")
    with progress(len(taken), "relaxed") as bar:
        report = evaluate_molecules(taken, model, report=lambda n, total: bar.update(n))
    if report.failures:
        log_message(failed_line(report.failures, indices))
    compared = _Compared(known, None if similar is None else nearest_known(report, similar))
    summary = {**_summary(report, compared), "n_not_evaluated": len(rejected)}
    if to_json:
        write_text(to_json, json.dumps(summary, indent=2) + "\n")
    chosen = _select(report, arguments)
    if (to_csv or output) and not chosen:
        log_message("no molecule is as asked for, so that none is written")
    properties = _properties(report, compared, label(indices, names), chosen)
    if output:
        write_annotated(output, report.molecules[chosen], properties)
    if to_csv:
        left = {} if arguments.valid or arguments.unique else rejected
        write_csv(to_csv, _rows(molecules, properties, left, names), properties)
    # last: whoever reads the table may close the pipe
    print(format_table({key: summary[key] for key in summary if key not in _OF_GENERATORS}))
    return 0


class _Compared(NamedTuple):
    """Known molecules that were asked for: their identities, and the nearest of each molecule."""

    known: frozenset[str] | None
    nearest: NearestKnown | None


def _summary(report: EvaluationReport, compared: _Compared) -> dict[str, Any]:
    """Return the figures of the report and of the comparison with known molecules and with PM6."""
    above = energy_above_best(report)
    finite = above[np.isfinite(above)]
    figures = report.summary()
    if compared.nearest is not None:
        near = compared.nearest.similarity[report.valid]
        figures["median_nearest_similarity"] = float(np.median(near)) if len(near) else None
    if compared.known is not None:
        novel = int(report.novel(compared.known)[report.distinct].sum())
        share = novel / len(report.distinct) if report.distinct else None
        figures |= {"n_novel": novel, "novel_fraction": share}
    return figures | {
        "median_above_best": float(np.median(finite)) if len(finite) else None,
        "pm6_spearman": _pm6_spearman(report),
        **dict.fromkeys(_OF_GENERATORS),
    }


def _pm6_spearman(report: EvaluationReport) -> float | None:
    """Return the rank correlation with PM6; None where it is not installed or nothing compares."""
    try:
        model = load_energy("pm6")
    except InputError:
        return None
    return rank_correlation(report, model)


def _select(report: EvaluationReport, arguments: Namespace) -> list[int]:
    """Select the molecules to write: of each identity the lowest in energy, if they are unique."""
    chosen = [i for i in range(len(report)) if report.valid[i] or not arguments.valid]
    if not arguments.unique:
        return chosen
    lowest: dict[str | None, int] = {}
    energy = np.nan_to_num(report.energy, nan=np.inf)
    for i in sorted(chosen, key=lambda i: energy[i]):
        lowest.setdefault(report.smiles[i], i)
    lowest.pop(None, None)  # without perceived bonds a molecule has no identity
    return sorted(lowest.values())


def _properties(
    report: EvaluationReport,
    compared: _Compared,
    labels: dict[str, np.ndarray],
    chosen: list[int],
) -> dict[str, np.ndarray]:
    """Return the properties of the chosen molecules; their labels are those in the file."""
    found = {name: np.array(values) for name, values in molecule_properties(report).items()}
    named = labels | {"formula": np.array(formulas(report.molecules))}
    found = named | found
    if compared.known is not None:
        found["novel"] = report.novel(compared.known)
    if compared.nearest is not None:
        found["nearest"] = np.array([smiles or "-" for smiles in compared.nearest.smiles])
        found["nearest_similarity"] = compared.nearest.similarity.round(4)
    return {name: values[chosen] for name, values in found.items()}


def _rows(
    molecules: MoleculeBatch,
    properties: dict[str, np.ndarray],
    rejected: dict[int, str],
    names: list[str],
) -> list[dict[str, object]]:
    """Return a line for each molecule, in the order of the file."""
    columns = zip(*(values.tolist() for values in properties.values()), strict=True)
    rows = [dict(zip(properties, row, strict=True)) for row in columns]
    of = formulas(molecules)
    rows += [
        {**dict.fromkeys(properties), "index": i, "formula": of[i], "reason": reason}
        | ({"name": names[i]} if "name" in properties else {})
        for i, reason in rejected.items()
    ]
    return sorted(rows, key=lambda row: row["index"])

"""Files and pictures of evaluated molecules."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from molrl.evaluation.evaluator import EvaluationReport
from molrl.evaluation.molecule_files import SUFFIXES, write_annotated
from molrl.evaluation.ranking import energy_above_best
from molrl.evaluation.reference import BestKnown
from molrl.plotting.molecules import draw_grid

N_PICTURES = 10


def write_molecules(report: EvaluationReport, folder: Path | str) -> None:
    """Write ``molecules.extxyz`` and ``molecules.sdf`` with the figures of the evaluation.

    Both hold the molecules as generated, in their order, each with its charge and multiplicity and
    :func:`molecule_properties`, those of the SDF with units in their names
    (:func:`molrl.evaluation.molecule_files.write_annotated`). Identical runs write identical files.

    Args:
        report: the evaluation of the molecules.
        folder: the folder to write to.
    """
    for suffix in SUFFIXES:
        path = Path(folder) / f"molecules{suffix}"
        write_annotated(path, report.molecules, molecule_properties(report))


def molecule_properties(report: EvaluationReport) -> dict[str, list[str] | np.ndarray]:
    """Return the figures of each molecule as generated, by name.

    They are its ``smiles`` (``-`` if it has none), whether it is ``valid``, the ``reason`` if it is
    not (``-`` if it is), ``energy`` and ``strain`` by the evaluator (eV), ``rmsd`` from the relaxed
    geometry (Å) and whether the relaxation ``converged``; then the ``inchikey`` before, and
    ``relaxed_smiles`` and ``relaxed_inchikey`` after the relaxation, what it made of the molecule
    (``relaxation``: same, changed, fragmented or mirrored), ``symmetric_rmsd`` (Å, the least of all
    numberings that the symmetry allows), ``failed_checks`` of the geometry, synthetic
    ``accessibility`` from 1 to 10, and ``above_best``, the relaxed energy above that of the best
    known isomer (eV). A missing figure is NaN, and a missing text ``-``.

    Args:
        report: the evaluation of the molecules.
    """
    made = report.description
    return {
        "smiles": [smiles or "-" for smiles in report.chemistry.isomeric_smiles],
        "valid": report.valid,
        "reason": [reason or "-" for reason in report.reasons],
        "energy": _rounded(report.energy),
        "strain": _rounded(report.strain),
        "rmsd": _rounded(report.rmsd),
        "converged": report.converged,
        "inchikey": _texts(made.inchikey),
        "relaxed_smiles": _texts(report.relaxed_chemistry.isomeric_smiles),
        "relaxed_inchikey": _texts(made.relaxed_inchikey),
        "relaxation": _texts(report.changes),
        "symmetric_rmsd": _rounded(made.rmsd),
        "failed_checks": _checks(report),
        "accessibility": np.round(made.accessibility, 2),
        "above_best": _rounded(energy_above_best(report)),
    }


def _texts(values: Sequence[str | None]) -> list[str]:
    return [value or "-" for value in values]


def _checks(report: EvaluationReport) -> list[str]:
    """Return the failed checks of each molecule; or why it could not be described."""
    made = report.description
    return [
        made.failures[i] if i in made.failures else ", ".join(failed or ()) or "-"
        for i, failed in enumerate(made.failed_checks)
    ]


def draw_best(report: EvaluationReport, path: Path | str, best: BestKnown | None = None) -> None:
    """Write a PNG of the gallery of :func:`best_of`.

    Args:
        report: the evaluation of the molecules.
        path: the PNG.
        best: as for :func:`best_of`.
    """
    gallery = best_of(report, best)
    draw_grid(report.molecules[gallery.indices], path, gallery.captions, title=gallery.title)


class Gallery(NamedTuple):
    """A selection of molecules, with captions.

    Attributes:
        indices: of the molecules, at most :data:`N_PICTURES`.
        captions: one for each.
        title: of the picture.
    """

    indices: list[int]
    captions: list[str]
    title: str


def best_of(report: EvaluationReport, best: BestKnown | None = None) -> Gallery:
    """Select the best valid molecules whose connectivity is preserved.

    Each distinct molecule comes first once, the lowest relaxed energy first, then the others by
    their energy as generated. A caption has the SMILES, the relaxed energy above that of the best
    known isomer (if there are isomers to compare), and the strain energy.

    Args:
        report: the evaluation of the molecules.
        best: the best known isomer, from :func:`molrl.evaluation.reference.best_known_energy`;
            the lowest of the sample if None.

    Returns:
        The selection.
    """
    indices = _select(report)
    relaxed, strain = report.relaxed_energy, report.strain
    zero, compared = _zero(report, indices, best)
    captions = []
    for i in indices:
        isomer = f"isomer {round(relaxed[i] - zero, 2) + 0.0:+.2f} eV\n" * bool(compared)
        name = _short(report.smiles[i] or "")
        captions.append(f"{name}\n{isomer}strain {strain[i]:.2f} eV")
    return Gallery(indices, captions, "\n".join(filter(None, [_counts(report), compared])))


def _counts(report: EvaluationReport) -> str:
    prefix = ""
    if report.same_composition:
        charge = int(report.molecules.charge[0])
        prefix = f"{report.molecules[0].bags()[0]}{f', charge {charge:+d}' if charge else ''}: "
    distinct = len(_valid_smiles(report))
    return f"{prefix}{len(report)} made, {report.valid.sum()} valid, {distinct} distinct"


def _zero(
    report: EvaluationReport, indices: list[int], best: BestKnown | None
) -> tuple[float, str]:
    """Return the energy that isomers are compared with, eV, and a line that names its molecule.

    The line is empty if there is nothing to compare.
    """
    if not report.same_composition or not indices:
        return 0.0, ""
    if best:
        zero, smiles, what = best.energy, best.smiles, "the best known"
    else:
        lowest = report.lowest()
        assert lowest is not None  # of the molecules of the same composition, one is usable
        zero, smiles = float(report.relaxed_energy[lowest]), report.smiles[lowest] or ""
        what = "the lowest of the sample"
    if not _valid_smiles(report) - {smiles}:
        return zero, ""
    return zero, f"isomers: energy above {_short(smiles)}, {what}"


def _valid_smiles(report: EvaluationReport) -> set[str | None]:
    return {report.smiles[i] for i in np.flatnonzero(report.valid)}


def _select(report: EvaluationReport) -> list[int]:
    usable = report.valid & report.connectivity_preserved & np.isfinite(report.energy)
    order = [i for i in np.argsort(report.energy, kind="stable").tolist() if usable[i]]
    lowest: dict[str | None, int] = {}
    for i in order:
        lowest.setdefault(report.smiles[i], i)
    distinct = sorted(lowest.values(), key=lambda i: report.relaxed_energy[i])
    return (distinct + [i for i in order if i not in distinct])[:N_PICTURES]


def _short(smiles: str, width: int = 24) -> str:
    return smiles if len(smiles) <= width else smiles[: width - 1] + "…"


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round to 1e-4 eV or Å; what is below is noise of the SCF."""
    return np.round(values, 4) + 0.0

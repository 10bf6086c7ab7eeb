"""Energies of isomers: above the best known one, and ranked by a second method."""

from collections import defaultdict

import numpy as np
from scipy.stats import spearmanr

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.evaluation.evaluator import EvaluationReport

_MIN_ISOMERS = 3  # for a rank correlation


def energy_above_best(report: EvaluationReport) -> np.ndarray:
    """Return the relaxed energy of each molecule above that of its best known isomer.

    Best is the lowest of the report's valid molecules of the same atoms and charge whose
    connectivity is preserved and, for neutral ones under GFN2-xTB, of the shipped isomers.

    Args:
        report: the evaluation of molecules.

    Returns:
        ``(n_molecules,)`` float64, eV; NaN for what is not usable in this sense.

    Example:
        >>> energy_above_best(report)  # doctest: +SKIP
        array([0.  , 0.43])
    """
    above = np.full(len(report), np.nan)
    for (atoms, charge), index in _isomers(report).items():
        best = float(report.relaxed_energy[index].min())
        if not charge and report.evaluator.startswith("gfn2 "):
            shipped = shipped_molecules().isomers(atoms)
            best = min([best, *shipped.energy[:1].tolist()])
        above[index] = report.relaxed_energy[index] - best
    return above


def rank_correlation(report: EvaluationReport, model: EnergyModel) -> float | None:
    """Return Spearman's correlation of the energies of isomers under a second energy model.

    Its energies are those of the geometries that the evaluator relaxed, one of each identity, the
    lowest. Of several formulas the mean is taken.

    Args:
        report: the evaluation of molecules.
        model: the second model, such as PM6.

    Returns:
        From -1 to 1; None where fewer than three isomers of a formula have both energies, or the
        model does not know them.

    Example:
        >>> rank_correlation(report, molrl.load_energy("pm6"))  # doctest: +SKIP
        0.91
    """
    found = []
    for index in _isomers(report).values():
        lowest: dict[str | None, int] = {}
        for i in sorted(index, key=lambda i: report.relaxed_energy[i]):
            lowest.setdefault(report.smiles[i], i)
        chosen = list(lowest.values())
        if len(chosen) < _MIN_ISOMERS:
            continue
        try:
            other = model.evaluate(report.relaxed[chosen]).energy.cpu().numpy()
        except InputError:  # an element, a charge or a size that it does not know
            continue
        known = np.isfinite(other)
        if known.sum() >= _MIN_ISOMERS:
            found.append(spearmanr(report.relaxed_energy[chosen][known], other[known]).statistic)
    return float(np.mean(found)) if found else None


def _isomers(report: EvaluationReport) -> dict[tuple[str, int], list[int]]:
    """Return the indices of the usable molecules by formula and charge."""
    usable = report.valid & report.connectivity_preserved & np.isfinite(report.relaxed_energy)
    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for i in np.flatnonzero(usable).tolist():
        formula = report.molecules[i].bags()[0].formula
        groups[formula, int(report.molecules.charge[i])].append(i)
    return groups

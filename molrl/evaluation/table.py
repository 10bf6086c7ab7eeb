"""Tables of figures for the terminal."""

from collections.abc import Iterator, Mapping

# key: label, unit and what the figure means, format of the figure
_ROWS: dict[str, tuple[str, str, str]] = {
    "task": ("task", "", "s"),
    "bag": ("formula", "", "s"),
    "charge": ("charge", "e", "d"),
    "policy": ("evaluated policy", "the best in the evaluations of the training, or the last", "s"),
    "policy_steps": ("steps of the policy", "environment steps that it was trained for", "d"),
    "temperature": ("sampling temperature", "1: as trained; below, more probable actions", "g"),
    "return_fraction": ("return fraction", "mean return over that of the best known isomer", ".3f"),
    "mean_return": ("mean return", "eV, failed episodes included", ".3f"),
    "reference_return": (
        "return of the best known isomer",
        "eV, the energy of its isolated atoms above that of the molecule",
        ".3f",
    ),
    "n_molecules": ("molecules", "", "d"),
    "n_not_evaluated": ("molecules not evaluated", "unknown to the evaluator, left out below", "d"),
    "n_valid": ("valid molecules", "connected, with a closed-shell Lewis structure", "d"),
    "valid_fraction": ("valid fraction", "% of molecules", "%"),
    "valid_fraction_per_attempt": ("valid per attempt", "% of attempts", "%"),
    "n_distinct": ("distinct molecules", "valid ones, by SMILES without stereochemistry", "d"),
    "n_isomers": ("isomers found", "as ranked, by SMILES without stereochemistry", "d"),
    "unique_fraction": ("distinct fraction", "% of valid molecules", "%"),
    "n_novel": ("novel molecules", "distinct, not among the known ones", "d"),
    "novel_fraction": ("novel fraction", "% of distinct molecules", "%"),
    "median_nearest_similarity": (
        "similarity to the nearest known",
        "median of valid molecules, from 0 to 1",
        ".3f",
    ),
    "diversity": ("diversity", "mean Tanimoto distance of distinct molecules, from 0 to 1", ".3f"),
    "median_strain": ("median strain energy", "eV, above the relaxed geometry", ".3f"),
    "median_rmsd": ("median RMSD", "Å, from the relaxed geometry", ".3f"),
    "identity_kept_fraction": (
        "connectivity preserved",
        "% of valid molecules, in relaxation",
        "%",
    ),
    "checks_passed_fraction": (
        "geometric checks passed",
        "% of valid molecules: bonds, angles, clashes, planarity",
        "%",
    ),
    "median_accessibility": ("synthetic accessibility", "median, from 1, easy, to 10", ".2f"),
    "lowest_energy": ("lowest relaxed energy", "eV, total, of a valid molecule", ".3f"),
    "lowest_smiles": ("molecule lowest in energy", "SMILES, without hydrogens", "s"),
    "n_unconverged": ("relaxations not converged", "", "d"),
    "median_above_best": (
        "median energy above the best",
        "eV, relaxed, of valid molecules above the best known isomer",
        ".3f",
    ),
    "pm6_spearman": ("rank correlation with PM6", "of the energies of isomers", ".3f"),
    "n_not_described": ("molecules not described", "names and checks failed or timed out", "d"),
    "n_failed": ("molecules without an energy", "", "d"),
    "n_known": ("known isomers", "in the set of molecules that ships", "d"),
    "n_known_found": ("known isomers found", "", "d"),
    "lowest_known_found": ("lowest known isomer found", "", "s"),
    "n_lost_in_ranking": (
        "isomers lost in the ranking",
        "became another one, or invalid, when relaxed by GFN2-xTB",
        "d",
    ),
    "n_excluded": ("isomers left out", "do not match the constraints", "d"),
    "attempts": ("attempts", "molecules begun, those broken off included", "d"),
    "energy_calls": ("energies evaluated", "of the reward, to make the molecules", "d"),
    "network_calls": ("network evaluations", "to make the molecules", "d"),
    "ranking_energy_calls": ("energies of the ranking", "of GFN2-xTB, counted apart", "d"),
    "training_energy_calls": ("energies of the training", "evaluated, of the reward", "d"),
    "methods_seconds": ("time of the methods", "s, without the evaluator", ".1f"),
    "seconds": ("time", "s, wall time", ".1f"),
    "reference_seconds": ("of it, search for isomers", "s, to find the best known isomer", ".1f"),
    "ranking_seconds": ("time of the ranking", "s, by GFN2-xTB, not in the time above", ".1f"),
    "evaluator": ("evaluator", "energy model and its hash", "s"),
}


def format_table(figures: Mapping[str, object]) -> str:
    """Return a table of figures: label, figure, unit and what it means, one per line.

    Args:
        figures: a summary. Figures of a known summary come first, in a fixed order, with labels,
            units and meanings; others follow under their own names. None is written as ``-``.

    Returns:
        The lines, without a line break at the end.

    Example:
        >>> print(format_table({"n_molecules": 100, "valid_fraction": 0.98}))
        molecules        100
        valid fraction  98.0  % of molecules
    """
    figures = {key: value for key, value in figures.items() if key != "schema_version"}
    known = [key for key in _ROWS if key in figures]
    rows = [(_ROWS[key][0], _written(figures[key], _ROWS[key][2]), _ROWS[key][1]) for key in known]
    rows += [
        (key.replace("_", " "), _written(value, "g" if isinstance(value, float) else "s"), "")
        for key, value in figures.items()
        if key not in _ROWS and isinstance(value, str | int | float | None)
    ]
    left = max((len(label) for label, _, _ in rows), default=0)
    of_width = rows[1:] if rows and rows[0][0] == "task" else rows  # tasks may be long
    right = max((len(text) for _, text, _ in of_width), default=0)
    return "\n".join(
        f"{label:<{left}}  {text:>{right}}  {unit}".rstrip() for label, text, unit in rows
    )


def meanings() -> Iterator[tuple[str, str]]:
    """Yield the label of each known figure, and its unit and what it means."""
    for label, text, _ in _ROWS.values():
        yield label, text


def _written(value: object, style: str) -> str:
    if value is None or value != value:  # None or NaN
        return "-"
    if style == "%" and isinstance(value, int | float):
        return f"{100 * value:.1f}"
    if style == "s" or isinstance(value, str):
        return str(value)
    return format(value, style)

"""Tables of figures for the terminal."""

from collections.abc import Mapping

# key: label, unit, format of the figure
_ROWS: dict[str, tuple[str, str, str]] = {
    "task": ("task", "", "s"),
    "return_fraction": ("return fraction", "of the best known isomer", ".3f"),
    "mean_return": ("mean return", "eV", ".3f"),
    "reference_return": ("return of the best known isomer", "eV", ".3f"),
    "n_molecules": ("molecules", "", "d"),
    "n_valid": ("valid molecules", "", "d"),
    "valid_fraction": ("valid", "% of molecules", "%"),
    "valid_fraction_per_attempt": ("valid", "% of attempts", "%"),
    "n_isomers": ("distinct isomers", "", "d"),
    "unique_fraction": ("distinct", "% of valid", "%"),
    "median_energy_above_relaxed": ("median strain energy", "eV", ".3f"),
    "median_rmsd": ("median RMSD from relaxed", "Å", ".3f"),
    "identity_kept_fraction": ("connectivity preserved", "% of valid", "%"),
    "lowest_energy": ("lowest relaxed energy", "eV", ".3f"),
    "lowest_smiles": ("lowest isomer", "", "s"),
    "n_unconverged": ("relaxations not converged", "", "d"),
    "n_failed": ("failed energies", "", "d"),
    "attempts": ("attempts", "", "d"),
    "energy_calls": ("energies evaluated", "", "d"),
    "network_calls": ("network evaluations", "", "d"),
    "seconds": ("time", "s", ".1f"),
    "judge": ("evaluator", "", "s"),
}


def format_table(figures: Mapping[str, object]) -> str:
    """Return a table of figures: label, figure and unit, one per line.

    Args:
        figures: a summary. Figures of a known summary come first, in a fixed order, with labels
            and units; others follow under their own names. None is written as ``-``.

    Returns:
        The lines, without a line break at the end.

    Example:
        >>> print(format_table({"n_molecules": 100, "valid_fraction": 0.98}))
        molecules   100
        valid      98.0  % of molecules
    """
    known = [key for key in _ROWS if key in figures]
    rows = [(_ROWS[key][0], _written(figures[key], _ROWS[key][2]), _ROWS[key][1]) for key in known]
    rows += [
        (key.replace("_", " "), _written(value, "g" if isinstance(value, float) else "s"), "")
        for key, value in figures.items()
        if key not in _ROWS and isinstance(value, str | int | float | None)
    ]
    left = max((len(label) for label, _, _ in rows), default=0)
    right = max((len(text) for _, text, _ in rows), default=0)
    return "\n".join(
        f"{label:<{left}}  {text:>{right}}  {unit}".rstrip() for label, text, unit in rows
    )


def _written(value: object, style: str) -> str:
    if value is None or value != value:  # None or NaN
        return "-"
    if style == "%" and isinstance(value, int | float):
        return f"{100 * value:.1f}"
    if style == "s" or isinstance(value, str):
        return str(value)
    return format(value, style)

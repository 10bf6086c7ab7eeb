"""The molecules of a file that energy models can evaluate, and why the others cannot be."""

from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

MAX_NAMED = 5  # molecules, in one line


def evaluable(
    molecules: MoleculeBatch, *models: EnergyModel, where: str = ""
) -> tuple[MoleculeBatch, list[int], dict[int, str]]:
    """Select the molecules that all models can evaluate.

    Args:
        molecules: at least one molecule.
        *models: the energy models.
        where: the file of the molecules, for the error.

    Returns:
        These molecules, the index of each among all, and by index why each other cannot be
        evaluated: an element, a charge or a multiplicity that a model does not know, too many
        atoms, a periodic cell, a coordinate that is NaN, or two atoms in one place.

    Raises:
        InputError: if there is no such molecule.

    Example:
        >>> from ase.build import molecule
        >>> batch = molrl.MoleculeBatch.from_ase([molecule("SiH4"), molecule("H2O")])
        >>> evaluable(batch, molrl.load_energy("mace"))[1]
        [1]
    """
    if all(_refusal(molecules, model) is None for model in models):
        return molecules, list(range(len(molecules))), {}
    rejected: dict[int, str] = {}
    for i in range(len(molecules)):
        reasons = (_refusal(molecules[i], model) for model in models)
        reason = next(filter(None, reasons), None)
        if reason:
            rejected[i] = reason.replace("molecule 0 ", f"molecule {i} ", 1)
    if len(rejected) == len(molecules):
        reason = (
            rejected[0]
            if len(molecules) == 1
            else f"none of the {len(molecules)} molecules can be evaluated: {_listed(rejected)}"
        )
        raise InputError(f"{where}: {reason}" if where else reason)
    kept = [i for i in range(len(molecules)) if i not in rejected]
    return molecules[kept], kept, rejected


def rejected_line(rejected: dict[int, str]) -> str:
    """Return how many molecules cannot be evaluated, which (from 0), and why, in one line."""
    return f"not evaluated: {len(rejected)} (by index from 0): {_listed(rejected)}"


def failed_line(failures: dict[int, str], indices: list[int]) -> str:
    """Return which molecules (by their ``indices`` in the file) have no energy, and why."""
    reasons = (f"{indices[i]} ({reason})" for i, reason in sorted(failures.items()))
    return f"no energy, by index from 0: {', '.join(reasons)}"


def _listed(rejected: dict[int, str]) -> str:
    reasons = list(rejected.values())
    more = [f"and {len(reasons) - MAX_NAMED} more"] if len(reasons) > MAX_NAMED else []
    return "; ".join([*reasons[:MAX_NAMED], *more])


def _refusal(molecules: MoleculeBatch, model: EnergyModel) -> str | None:
    """Return why a model cannot evaluate molecules, or None if it can evaluate all."""
    try:
        model.check_molecules(molecules)
    except InputError as error:
        return str(error)
    try:
        molecules.check(model.elements)
    except InputError as error:
        known = "known are" in str(error)
        return f"{error} (energy model {model.name!r})" if known else str(error)
    return None

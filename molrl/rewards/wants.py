"""What reward terms want of the one evaluation of a step besides the energy."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from molrl.energy import EnergyModel, EnergyOutput
from molrl.energy.output import Wanted
from molrl.energy.properties import is_of_atoms
from molrl.errors import InputError, did_you_mean
from molrl.molecules import MoleculeBatch

QUANTITIES = ("forces", "descriptors", "uncertainty")  # all others are ASE's properties


def combine_wants(names: Iterable[str]) -> Wanted:
    """Return the evaluation that computes all that is named.

    Args:
        names: ``"forces"``, ``"descriptors"``, ``"uncertainty"``, and properties of
            the energy model under ASE's names; a name may occur more than once.

    Example:
        >>> combine_wants(["dipole", "forces", "dipole"]).properties
        ('dipole',)
    """
    unique = dict.fromkeys(names)
    return Wanted(
        forces="forces" in unique,
        descriptors="descriptors" in unique,
        uncertainty="uncertainty" in unique,
        properties=tuple(name for name in unique if name not in QUANTITIES),
    )


def wanted_names(wanted: Wanted) -> tuple[str, ...]:
    """Return the names of all that an evaluation computes; the inverse of :func:`combine_wants`."""
    return (*(name for name in QUANTITIES if getattr(wanted, name)), *wanted.properties)


def check_wanted(wanted: Wanted, model: EnergyModel) -> None:
    """Check that a model computes all that is wanted.

    Args:
        wanted: what is wanted besides the energy.
        model: energy model.

    Raises:
        InputError: if something is unknown or the model does not compute it.
    """
    names = wanted_names(wanted)
    offered = _offered_names(model) if names else []
    for name in names:
        if name == "stress":
            raise InputError("stress cannot be wanted: a canvas has no cell")
        if name not in offered:
            hint = did_you_mean(name, offered) if offered else "it computes energies only"
            from molrl.energy.gfn2 import GFN2Energy  # only to say which model would do

            if name in GFN2Energy.implemented_properties:
                hint += "; energy=gfn2 offers it"
            raise InputError(f"energy model {model.name!r} offers no {name}; {hint}")


def split_output(
    output: EnergyOutput, names: Iterable[str], molecules: MoleculeBatch
) -> dict[str, list[NDArray[np.float64]]]:
    """Split the results of an evaluation into one array for each molecule.

    Args:
        output: results for ``molecules``.
        names: what was wanted; see :func:`combine_wants`.
        molecules: the batch.

    Returns:
        Each name to ``n_molecules`` arrays.
    """
    tensors = {name: getattr(output, name) for name in QUANTITIES} | output.properties
    return {name: split_property(name, tensors[name], molecules) for name in names}


def split_property(
    name: str, values: Tensor, molecules: MoleculeBatch
) -> list[NDArray[np.float64]]:
    """Split a property of a batch into one array for each molecule.

    Args:
        name: ``"descriptors"``, which are of atoms, or a name in ASE, which determines whether it
            is a property of molecules or of atoms; all others are properties of molecules.
        values: ``(n_molecules, ...)`` or ``(n_atoms_total, ...)``.
        molecules: the batch.

    Returns:
        ``n_molecules`` arrays.
    """
    array = values.cpu().double().numpy()
    if is_of_atoms(name) or name == "descriptors":
        return np.split(array, np.cumsum(molecules.n_atoms.cpu().numpy())[:-1])
    return list(array)


def _offered_names(model: EnergyModel) -> Sequence[str]:
    """Return the names of all that a model computes besides the energy."""
    declared = [name for name in model.implemented_properties if name not in ("energy", "stress")]
    descriptors = ["descriptors"] * model.offers_descriptors
    return [*declared, *descriptors, *["uncertainty"] * model.offers_uncertainty]

"""Energies of isolated atoms, and what labels are relative to them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.units import ENERGY_UNITS

_LOWEST, _HIGHEST = -20.0, 10.0  # eV/atom, of the median interaction energy of molecules
_LARGEST = 50.0  # eV/atom, of any molecule
_HYDROGEN, _HEAVY = (-0.8, -0.4), -20.0  # eV; H within, and C to F below, are in Hartree
_BULK = torch.tensor([0.1, 0.9], dtype=torch.float64)  # quantiles
_RANK = 1e-6  # singular values of the compositions that are less of the largest count as 0


@dataclass(frozen=True)
class IsolatedEnergies:
    """Energies of isolated atoms.

    Attributes:
        energies: atomic number to energy, eV; each element of the data and maybe others.
        source: where they come from, in words.
    """

    energies: Mapping[int, float]
    source: str

    def total(self, data: Dataset) -> Tensor:
        """Return ``(n_structures,)`` float64: the isolated atoms of each structure, eV."""
        return _total(data, self.energies)


def _total(data: Dataset, energies: Mapping[int, float]) -> Tensor:
    """Sum the energies of the isolated atoms; those of elements that are not there are 0."""
    table = torch.zeros(len(chemical_symbols), dtype=torch.float64)
    for number, energy in energies.items():
        table[number] = energy
    return data.molecules.sum_atoms(table[data.molecules.numbers])


def parse_atomic_energies(given: Mapping[str, float]) -> dict[int, float]:
    """Return energies of isolated atoms by atomic number.

    Args:
        given: symbol of the element to energy, eV, as in ``{"H": -13.6}``.

    Raises:
        InputError: if a key is not the symbol of an element.
    """
    for symbol in given:
        if atomic_numbers.get(symbol, 0) < 1:
            raise InputError(f"atomic_energies: {symbol!r} is not the symbol of an element")
    return {atomic_numbers[symbol]: float(energy) for symbol, energy in given.items()}


def isolated_energies(
    data: Dataset,
    given: Mapping[int, float] | None = None,
    start: EnergyModel | None = None,
) -> IsolatedEnergies:
    """Find the energy of the isolated atom of each element in the data.

    In this order: those that are given; those in the data, of isolated atoms in the files or of
    the energy model that labelled; those of that model; and what least squares over the
    compositions of the structures gives.

    Args:
        data: the structures.
        given: atomic number to energy, eV.
        start: the energy model that a fit starts from; least squares then leaves its interaction
            energies the smallest errors. None for interaction energies around 0.

    Returns:
        The energies, and words that say where they come from.

    Raises:
        InputError: if the energies cannot be energies of molecules in eV with these atoms.

    Example:
        >>> isolated = isolated_energies(data, {1: -13.6})  # doctest: +SKIP
        >>> isolated.source  # doctest: +SKIP
        'H: given; C, O: least squares over 12 compositions'
    """
    present = sorted(set(data.molecules.numbers.tolist()))
    found = dict(given or {})
    words = _words("given", [z for z in present if z in found])
    beside = _add(found, data.atomic_energies, present)
    computed = [z for z in beside if data.reference and z not in data.file_atoms]
    words += _words("isolated atoms in the data", [z for z in beside if z not in computed])
    words += _words(f"of {data.reference}", computed)
    if data.reference and not found.keys() >= set(present):
        atoms = load_energy(data.reference).atom_energies()
        words += _words(f"of {data.reference}", _add(found, atoms, present))
    missing = [z for z in present if z not in found]
    if missing:
        fitted, how = _least_squares(data, found, missing, start)
        found |= fitted
        words += _words(how, missing)
    out = IsolatedEnergies(found, "; ".join(words))
    _check(data, out)
    return out


def _add(found: dict[int, float], atoms: Mapping[int, float], present: list[int]) -> list[int]:
    """Add energies of elements that are not found yet; return which are of the data."""
    new = {z: float(energy) for z, energy in atoms.items() if z not in found}
    found |= new
    return [z for z in present if z in new]


def _words(source: str, elements: list[int]) -> list[str]:
    symbols = ", ".join(chemical_symbols[z] for z in elements)
    return [f"{symbols}: {source}"] if elements else []


def _least_squares(
    data: Dataset, known: Mapping[int, float], missing: list[int], start: EnergyModel | None
) -> tuple[dict[int, float], str]:
    """Energies of the missing elements that leave the least energy per atom, and how that was.

    Compositions that do not tell the elements apart, as a single one cannot, give the energies of
    least norm: right in sum for these compositions, and for no others.
    """
    data = data[_fitted_to(data)]
    molecules, numbers = data.molecules, data.molecules.numbers
    rest = data.energy - _total(data, known)
    if start is not None and set(numbers.tolist()) <= set(start.elements):
        interaction = start.evaluate(molecules).energy.cpu() - start.isolated_energy(molecules)
        rest = rest - interaction.nan_to_num()
    counts = torch.stack([molecules.sum_atoms((numbers == z).double()) for z in missing], dim=1)
    per_atom = 1 / molecules.n_atoms.double()
    solution, _, rank, _ = np.linalg.lstsq(
        (counts * per_atom[:, None]).numpy(), (rest * per_atom).numpy(), rcond=_RANK
    )
    n = len({tuple(row) for row in counts.tolist()})
    how = f"least squares over {n} composition{'s' if n > 1 else ''}"
    if rank < len(missing):
        how += ", which do not determine each element"
    return dict(zip(missing, solution.tolist(), strict=True)), how


def _fitted_to(data: Dataset) -> Tensor:
    """Which structures least squares are over: of the train split, and of low force if any are.

    Structures of other splits are among them if they hold an element that is in no other.
    """
    train = data.split == data.splits.index("train")
    atom_in_train = train[data.molecules.molecule]
    known = set(data.molecules.numbers[atom_in_train].tolist())
    new = torch.tensor([z not in known for z in data.molecules.numbers.tolist()])
    chosen = train | (data.molecules.sum_atoms(new.long()) > 0)
    low_force = chosen & data.low_force()
    return low_force if low_force.any() else chosen


def _check(data: Dataset, isolated: IsolatedEnergies) -> None:
    """Check that low-force structures have interaction energies that molecules can have."""
    low_force = torch.nonzero(data.low_force()).flatten()
    if not len(low_force):
        return
    n_atoms = data.molecules.n_atoms.double()
    per_atom = ((data.energy - isolated.total(data)) / n_atoms)[low_force]
    median = float(per_atom.median())
    if not _LOWEST < median < _HIGHEST:
        raise InputError(
            f"data: energies are {median:.4g} eV/atom above those of the isolated atoms "
            f"({isolated.source}), as the median; molecules have {_LOWEST:g} to {_HIGHEST:g}; "
            + _hint(data, isolated)
        )
    heavy = min(isolated.energies.get(z, 0.0) for z in (6, 7, 8, 9))
    if _HYDROGEN[0] < isolated.energies.get(1, 0.0) < _HYDROGEN[1] and heavy < _HEAVY:
        raise InputError(
            f"data: isolated atoms ({isolated.source}) have {isolated.energies[1]:.4g} eV (H) and "
            f"{heavy:.4g} eV (a heavier element); are all energies in Hartree? Give eV"
        )
    worst = int(per_atom.abs().argmax())
    if abs(float(per_atom[worst])) > _LARGEST:
        raise InputError(
            f"data: {data.describe(int(low_force[worst]))} has {float(per_atom[worst]):.4g} "
            f"eV/atom more than its isolated atoms; molecules have {-_LARGEST:g} to {_LARGEST:g}; "
            "is it another unit or level of theory? Leave it out"
        )


def _hint(data: Dataset, isolated: IsolatedEnergies) -> str:
    """The unit in which the energies would be right, or else what to look at."""
    atoms, n_atoms = isolated.total(data), data.molecules.n_atoms.double()

    def plausible(energy: Tensor, atoms: Tensor) -> bool:
        low, high = ((energy - atoms) / n_atoms).quantile(_BULK).tolist()
        return bool(low > _LOWEST and high < 0)

    for name, unit in ENERGY_UNITS.items():
        if plausible(data.energy * unit, atoms):
            return f"are the energies in {name}? Give eV"
        if plausible(data.energy, atoms * unit):
            return f"are the energies of isolated atoms in {name}? Give eV"
    return (
        "are they of another level of theory, or of another key (energy_key)? Give atomic_energies "
        "of the labels' level of theory"
    )

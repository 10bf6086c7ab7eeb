"""Energy difference of each placed atom, by which atoms are rejected and mostly rewarded."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from molrl.energy import EnergyModel
from molrl.energy.output import Wanted
from molrl.energy.uncertainty import REFERENCE_SCORE
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.rewards.wants import check_wanted, split_output, wanted_names

_ENERGY_ONLY = Wanted()
_RADON = 86


@dataclass(frozen=True)
class Placements:
    """Atoms that were just placed on n canvases.

    Attributes:
        molecules: n canvases, each with its new atom as the last.
        numbers: ``(n,)`` int64, atomic number of each new atom.
        energy: ``(n,)`` float64, eV, of each canvas before; 0 for an empty canvas.
    """

    molecules: MoleculeBatch
    numbers: NDArray[np.int64]
    energy: NDArray[np.float64]


@dataclass(frozen=True)
class RewardOutput:
    """Energy differences of n placements.

    Attributes:
        reward: ``(n,)`` float64, eV; NaN where the energy failed.
        energy: ``(n,)`` float64, eV, of each canvas with its new atom; NaN where it failed.
        properties: name of each quantity that is wanted to one array for each placement, as in
            :attr:`molrl.rewards.PlacedAtoms.properties`.
        failures: index of each placement whose energy failed, with the cause.
    """

    reward: NDArray[np.float64]
    energy: NDArray[np.float64]
    properties: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


class EnergyDifference:
    """Energy difference r = E(C) + E(e) - E(C + e) of a new atom e on a canvas C, in eV.

    Over an episode it adds up to the atomisation energy, whatever the order of placement
    (Simm et al. 2020, eq. 1). For the first atom it is exactly 0. First atoms are evaluated only if
    something is wanted besides the uncertainty; theirs is always that of an isolated atom.

    Args:
        model: energy model.
        elements: atomic numbers that can be placed.
        wanted: what is computed in the same evaluation besides the energy; see
            :func:`molrl.rewards.combine_wants`.

    Raises:
        InputError: if the model does not know an element, has no energy for its atom, or does not
            compute something that is wanted.

    Example:
        >>> model = molrl.load_energy("gfn2")  # doctest: +SKIP
        >>> difference = EnergyDifference(model, [1, 8], Wanted(forces=True))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: EnergyModel,
        elements: Iterable[int],
        wanted: Wanted = _ENERGY_ONLY,
    ) -> None:
        check_wanted(wanted, model)
        self.model = model
        self._wanted = wanted
        self._names = [name for name in wanted_names(wanted) if name != "uncertainty"]
        known = model.atom_energies()
        self._atoms = np.full(len(chemical_symbols), np.nan)
        for number in elements:
            if not np.isfinite(known.get(number, np.nan)):
                raise InputError(_without_atom(model, number))
            self._atoms[number] = known[number]

    def compute_reward(self, placements: Placements) -> RewardOutput:
        """Compute the energy differences of placements in one batched evaluation.

        Args:
            placements: n placements.
        """
        atoms = self._atoms[placements.numbers]
        energy = atoms.copy()
        uncertainty = np.full(len(atoms), REFERENCE_SCORE)
        properties: dict[str, list[NDArray[np.float64]]] = {}
        failures: dict[int, str] = {}
        bonded = placements.molecules.n_atoms.numpy() > 1
        rows = np.flatnonzero(bonded | bool(self._names))
        if len(rows):
            molecules = placements.molecules[rows]
            output = self.model.evaluate(molecules, **asdict(self._wanted))
            of_bonded = bonded[rows]
            energy[bonded] = output.energy.cpu().numpy()[of_bonded]
            if output.uncertainty is not None:
                uncertainty[bonded] = output.uncertainty.cpu().numpy()[of_bonded]
            properties = split_output(output, self._names, molecules)
            failures = {int(rows[i]): why for i, why in output.failures.items() if of_bonded[i]}
        if self._wanted.uncertainty:
            properties["uncertainty"] = list(uncertainty)
        reward = placements.energy + atoms - energy
        return RewardOutput(reward, energy, properties, failures)


def _without_atom(model: EnergyModel, number: int) -> str:
    """Return why an element cannot be placed: it is unknown, or its atom has no energy."""
    symbol, known = chemical_symbols[number], model.atom_energies()
    if number in known:
        atom = MoleculeBatch.from_arrays([(np.array([number]), np.zeros((1, 3)))])
        failures = model.evaluate(atom).failures
        cause = failures.get(0, "it is not a finite number")
        return f"energy model {model.name!r} has no energy of a single {symbol} atom: {cause}"
    return (
        f"energy model {model.name!r} does not know {symbol}; known are: "
        f"{' '.join(chemical_symbols[z] for z, e in known.items() if e == e)}"
        + ("; energy=gfn2 knows H to Rn" if model.name != "gfn2" and number <= _RADON else "")
    )

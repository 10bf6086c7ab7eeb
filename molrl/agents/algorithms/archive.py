"""Archive of the relaxed isomers that a training has found."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrl.chemistry.bonds import Validity, bonded_atoms, validity
from molrl.energy.interface import EnergyModel
from molrl.energy.relaxation import relax
from molrl.molecules import MoleculeBatch

MAX_STEPS = 60  # of the first relaxation
MAX_FORCE = 0.1  # eV/Å, of what is kept
_TOLERANCE = 0.05  # eV/Å, at which the first relaxation ends
_FINE_STEPS, _FINE_TOLERANCE = 200, 0.005  # of the second
_LOW = 4.0  # temperatures above the lowest isomer: a weight of e^-4
_CONFORMERS = 16  # kept of an isomer
_CHUNK = 256  # molecules of an evaluation


@dataclass(frozen=True)
class Isomer:
    """A relaxed molecule.

    Attributes:
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float32, Å.
        bonds: ``(n_bonds, 2)`` int64, indices of atoms.
        smiles: its identity.
        energy: eV, by which it is weighted.
        charge: e, that of its fixed atoms.
        spin: multiplicity; None: the lowest.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]
    bonds: NDArray[np.int64]
    smiles: str
    energy: float
    charge: int = 0
    spin: int | None = None

    @property
    def formula(self) -> tuple[int, ...]:
        """The atomic numbers, ascending."""
        return tuple(sorted(self.numbers.tolist()))


def batch_of(isomers: Sequence[Isomer]) -> MoleculeBatch:
    """Return molecules as a batch, with their charges and multiplicities."""
    batch = MoleculeBatch.from_arrays([(i.numbers, i.positions) for i in isomers])
    return batch.with_states([i.charge for i in isomers], [i.spin for i in isomers])


def within_reach(
    positions: NDArray[np.float64], bonds: NDArray[np.int64], lengths: tuple[float, float]
) -> bool:
    """Return whether a policy can place atoms at the distances of all bonds.

    Args:
        positions: ``(n, 3)`` Å.
        bonds: ``(n_bonds, 2)``, indices of atoms.
        lengths: Å, of the shortest and the longest displacement of the policy.
    """
    first, second = bonds.T
    length = np.linalg.norm(positions[first] - positions[second], axis=-1)
    return bool(((length > lengths[0]) & (length < lengths[1])).all())


@dataclass(frozen=True)
class Admission:
    """What an archive takes.

    Attributes:
        lengths: Å, of the shortest and the longest bond that a policy can place.
        max_uncertainty: of the energy model; None: no limit.
        per_update: largest number of molecules that are relaxed in an update.
        temperature: eV, of the weights of the isomers.
        n_fixed: number of fixed atoms, the first ones of every molecule, which stay.
    """

    lengths: tuple[float, float]
    max_uncertainty: float | None
    per_update: int
    temperature: float
    n_fixed: int = 0


class Archive:
    """Relaxed, valid molecules, some conformers of each isomer, sampled by Boltzmann weights.

    Args:
        model: the energy model, by which molecules are relaxed.
        admission: what is taken.

    Attributes:
        isomers: all that there are.
    """

    def __init__(self, model: EnergyModel, admission: Admission) -> None:
        self._model, self._admission = model, admission
        self._keep([])

    def n_identities(self) -> int:
        """Return the number of different molecules."""
        return len({isomer.smiles for isomer in self.isomers})

    def rated(self, isomers: list[Isomer]) -> list[Isomer]:
        """Return molecules with their energies, without those that the model gives none.

        Args:
            isomers: at minima, of whatever energy model.
        """
        rated = []
        for start in range(0, len(isomers), _CHUNK):
            chunk = isomers[start : start + _CHUNK]
            energies = self._model.evaluate(batch_of(chunk)).energy.tolist()
            rated += [
                replace(isomer, energy=energy)
                for isomer, energy in zip(chunk, energies, strict=True)
                if math.isfinite(energy)
            ]
        return rated

    def relaxed(self, molecules: MoleculeBatch) -> list[Isomer]:
        """Relax the molecules of which the archive has fewest, and return those worth keeping.

        Those of low energy, which will be drawn often, are relaxed further: floppy molecules move
        far under small forces.

        Args:
            molecules: complete ones, as they were built.
        """
        counts = self._counts(molecules)
        rows = np.argsort(counts, kind="stable")[: self._admission.per_update]
        rows = rows[counts[rows] < _CONFORMERS]
        if not len(rows):
            return []
        found = self._relax(molecules[rows], _TOLERANCE, MAX_STEPS)
        ground = _ground([*self.isomers, *found])
        reach = _LOW * self._admission.temperature
        low = [isomer.energy <= ground[isomer.formula] + reach for isomer in found]
        rough = batch_of([isomer for isomer, wanted in zip(found, low, strict=True) if wanted])
        rest = [isomer for isomer, wanted in zip(found, low, strict=True) if not wanted]
        return rest + self._relax(rough, _FINE_TOLERANCE, _FINE_STEPS)

    def _relax(self, molecules: MoleculeBatch, tolerance: float, steps: int) -> list[Isomer]:
        """Return what relaxes to molecules worth keeping."""
        n_fixed = self._admission.n_fixed
        rank = torch.arange(len(molecules.molecule)) - molecules.starts[molecules.molecule]
        held = rank < n_fixed if n_fixed else None
        result = relax(molecules, self._model, tolerance, steps, fixed=held)
        converged = (result.max_force <= MAX_FORCE).nonzero().flatten()
        return self._valid(result.molecules[converged], result.energy[converged])

    def _counts(self, molecules: MoleculeBatch) -> NDArray[np.int64]:
        """Return how many of the isomer of each molecule there are, ``(n,)``."""
        known = Counter(isomer.smiles for isomer in self.isomers)
        return np.array([known[s] if s else 0 for s in validity(molecules).smiles])

    def _valid(self, molecules: MoleculeBatch, energy: Tensor) -> list[Isomer]:
        """Return relaxed molecules that are valid and within the limit of the uncertainty."""
        if not len(molecules):
            return []
        found, bonds = validity(molecules), bonded_atoms(molecules)
        good = self._whole(found) & self._certain(molecules)
        made = []
        for i, (numbers, positions) in enumerate(molecules.arrays()):
            smiles, pairs = found.smiles[i], bonds[i]
            placed = pairs[(pairs >= self._admission.n_fixed).any(1)]
            reached = within_reach(positions, placed, self._admission.lengths)
            if good[i] and smiles and len(numbers) > 1 and reached:
                x = (positions - positions[0]).astype(np.float32)
                state = int(molecules.charge[i]), int(molecules.spin[i])
                made.append(Isomer(numbers, x, pairs, smiles, float(energy[i]), *state))
        return made

    def _whole(self, found: Validity) -> NDArray[np.bool_]:
        """Return which molecules are whole, by their validity."""
        whole: NDArray[np.bool_] = found.valid
        return whole

    def _certain(self, molecules: MoleculeBatch) -> NDArray[np.bool_]:
        limit = self._admission.max_uncertainty
        if limit is None:
            return np.ones(len(molecules), bool)
        uncertainty = self._model.evaluate(molecules, uncertainty=True).uncertainty
        assert uncertainty is not None  # as requested
        certain: NDArray[np.bool_] = uncertainty.cpu().numpy() <= limit
        return certain

    def add(self, found: list[Isomer]) -> None:
        """Add relaxed molecules; of an isomer those of the lowest energy are kept."""
        kept: Counter[str] = Counter()
        isomers = []
        for isomer in sorted([*self.isomers, *found], key=lambda each: each.energy):
            kept[isomer.smiles] += 1
            if kept[isomer.smiles] <= _CONFORMERS:
                isomers.append(isomer)
        self._keep(isomers)

    def _keep(self, isomers: list[Isomer]) -> None:
        # every optimiser step draws, so the weights are computed when the isomers change
        self.isomers = isomers
        self._probabilities = self._weights() if isomers else np.zeros(0)

    def draw(self, n: int, rng: np.random.Generator) -> list[Isomer]:
        """Draw molecules: the formula evenly, the isomer by its weight, the conformer evenly.

        The weight of an isomer is :math:`e^{-E/T}`, with its lowest energy.

        Args:
            n: how many.
            rng: generator of random numbers.
        """
        return [self.isomers[i] for i in rng.choice(len(self.isomers), n, p=self._probabilities)]

    def _weights(self) -> NDArray[np.float64]:
        lowest: dict[str, float] = {}
        ground = _ground(self.isomers)
        totals: defaultdict[tuple[int, ...], float] = defaultdict(float)
        conformers = Counter(isomer.smiles for isomer in self.isomers)
        for isomer in self.isomers:
            lowest[isomer.smiles] = min(isomer.energy, lowest.get(isomer.smiles, np.inf))
        weights = []
        for isomer in self.isomers:
            above = lowest[isomer.smiles] - ground[isomer.formula]
            weight = np.exp(-above / self._admission.temperature) / conformers[isomer.smiles]
            weights.append(weight)
            totals[isomer.formula] += weight
        each = np.array([w / totals[i.formula] for w, i in zip(weights, self.isomers, strict=True)])
        normed: NDArray[np.float64] = each / each.sum()
        return normed

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and plain data from which :meth:`restore` restores."""
        batch = batch_of(self.isomers)
        tensors = {
            "numbers": batch.numbers,
            "charge": batch.charge,
            "spin": batch.spin,
            "positions": batch.positions,
            "n_atoms": batch.n_atoms,
            "energy": torch.tensor([i.energy for i in self.isomers], dtype=torch.float64),
        }
        bonds = [isomer.bonds.tolist() for isomer in self.isomers]
        return tensors, {"smiles": [i.smiles for i in self.isomers], "bonds": bonds}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Restore from a snapshot."""
        n = len(tensors["n_atoms"])
        batch = MoleculeBatch(tensors["numbers"], tensors["positions"], tensors["n_atoms"])
        arrays = batch.arrays()
        isomers = [
            Isomer(
                arrays[i][0].astype(np.int64),
                arrays[i][1].astype(np.float32),
                np.array(state["bonds"][i], np.int64).reshape(-1, 2),
                state["smiles"][i],
                float(tensors["energy"][i]),
                *(int(tensors[name][i]) for name in ("charge", "spin") if name in tensors),
            )
            for i in range(n)
        ]
        self._keep(isomers)


def _ground(isomers: list[Isomer]) -> dict[tuple[int, ...], float]:
    """Return the lowest energy of each formula, eV."""
    ground: dict[tuple[int, ...], float] = {}
    for isomer in isomers:
        ground[isomer.formula] = min(isomer.energy, ground.get(isomer.formula, np.inf))
    return ground

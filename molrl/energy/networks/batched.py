"""Energy models that evaluate flat batches in chunks that fit the device."""

from abc import abstractmethod
from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor

from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.molecules import MoleculeBatch

OUT_OF_MEMORY = "batch halved, out of memory"
ATOMS_PER_CHUNK = {"cpu": 600, "cuda": 200_000}  # past this a CPU's cache no longer holds it


class ChunkOutput(NamedTuple):
    """One forward pass; what is not wanted is None.

    Attributes:
        energy: ``(n_molecules,)`` eV, less that of the isolated atoms.
        features: ``(n_atoms_total, n_features)``.
        forces: ``(n_atoms_total, 3)`` float64, eV/Å.
        stress: ``(n_molecules, 3, 3)`` float64, eV/Å³.
    """

    energy: Tensor
    features: Tensor
    forces: Tensor | None = None
    stress: Tensor | None = None


class BatchedEnergy(EnergyModel):
    """A network on flat batches; it gives interaction energies, the isolated atoms' are added.

    The sum is made in float64, so totals are good to the rounding of the interaction energy alone.
    Neighbours are listed once for the whole batch, when it is checked.

    Args:
        elements: the atomic numbers it knows, ascending.
        atomic_energies: ``(max(elements) + 1,)`` float64, eV, of each isolated atom by atomic
            number.
        cutoff: Å, of the neighbour pairs.
        device: where it computes.
    """

    def __init__(
        self,
        elements: tuple[int, ...],
        atomic_energies: Tensor,
        cutoff: float,
        device: str | torch.device,
    ) -> None:
        self.elements, self.cutoff = elements, cutoff
        self.device = torch.empty(0, device=device).device  # of a GPU, with its index
        self._chunk = ATOMS_PER_CHUNK[self.device.type]
        self._atomic_energies = atomic_energies.to(self.device)

    def _checked(self, molecules: MoleculeBatch) -> MoleculeBatch:
        return self._here(molecules).check(self.elements, self.cutoff)

    def _here(self, molecules: MoleculeBatch) -> MoleculeBatch:
        """The molecules on the model's device; the same, with its neighbours, if it is there."""
        return molecules if molecules.device == self.device else molecules.to(self.device)

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        molecules, faults = self._here(molecules), Counter[str]()
        parts = [
            part
            for chunk in chunks(molecules.n_atoms, self._chunk)
            for part in self._evaluate_within_memory(molecules.part(chunk), wanted, faults)
        ]
        energy, features, forces, stress = zip(*parts, strict=True)
        return EnergyOutput(
            energy=torch.cat(energy).double() + self.isolated_energy(molecules),
            forces=torch.cat(forces) if wanted.forces else None,
            stress=torch.cat(stress) if wanted.stress else None,
            descriptors=torch.cat(features) if wanted.descriptors else None,
            faults=faults,
        )

    def isolated_energy(self, molecules: MoleculeBatch) -> Tensor:
        """``(n_molecules,)`` float64, eV: the energies of the isolated atoms, summed."""
        table = self._atomic_energies.to(molecules.device)
        return molecules.sum_atoms(table[molecules.numbers])

    @abstractmethod
    def _evaluate_chunk(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        """Evaluate some molecules in one forward pass, maybe none, or none with an atom."""

    def _evaluate_within_memory(
        self, molecules: MoleculeBatch, wanted: Wanted, faults: Counter[str]
    ) -> list[ChunkOutput]:
        """A chunk, in halves if the device has no memory for the whole, and from then on.

        A molecule that is too large by itself has no energy. Each attempt is counted in ``faults``.
        """
        n = len(molecules)
        try:
            return [self._evaluate_chunk(molecules, wanted)]
        except torch.OutOfMemoryError:
            faults[OUT_OF_MEMORY] += 1
            if n == 1:
                return [self._nothing(molecules, wanted)]
        # Outside of the handler, which would hold on to the tensors of the attempt.
        torch.cuda.empty_cache()
        self._chunk = max(1, int(molecules.n_atoms.sum()) // 2)
        return [
            part
            for half in (slice(0, n // 2), slice(n // 2, n))
            for part in self._evaluate_within_memory(molecules.part(half), wanted, faults)
        ]

    def _nothing(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        """NaN in the shapes of :meth:`_evaluate_chunk`, for one molecule."""
        atom = MoleculeBatch(
            molecules.numbers[:1], molecules.positions[:1], torch.ones_like(molecules.n_atoms)
        )
        n_atoms = len(molecules.numbers)
        found = self._evaluate_chunk(atom, wanted)
        return ChunkOutput(
            energy=found.energy * torch.nan,
            features=found.features.expand(n_atoms, -1) * torch.nan,
            forces=None if found.forces is None else found.forces.expand(n_atoms, -1) * torch.nan,
            stress=None if found.stress is None else found.stress * torch.nan,
        )


def chunks(n_atoms: Tensor, budget: int) -> list[slice]:
    """Slices of consecutive molecules with at most ``budget`` atoms each (or one molecule)."""
    ends = n_atoms.cumsum(0).tolist()
    slices, start, base = [], 0, 0
    for i, end in enumerate(ends):
        if end - base > budget and i > start:
            slices.append(slice(start, i))
            start, base = i, ends[i - 1]
    return [*slices, slice(start, len(ends))]

"""What the networks have in common: chunks that fit the device, and atoms' energies in float64."""

from abc import abstractmethod
from collections import Counter

import torch
from torch import Tensor

from molrl.energy.interface import EnergyModel, EnergyOutput
from molrl.molecules import MoleculeBatch

OUT_OF_MEMORY = "batch halved, out of memory"
ATOMS_PER_CHUNK = {"cpu": 600, "cuda": 200_000}  # past this a CPU's cache no longer holds it


class NetworkEnergy(EnergyModel):
    """A network on flat batches; it gives interaction energies, the isolated atoms' are added.

    The sum is made in float64, so totals are good to the rounding of the interaction energy alone.

    Args:
        elements: the atomic numbers it knows, ascending.
        atomic_energies: ``(max(elements) + 1,)`` float64, eV, of each isolated atom by atomic
            number.
        device: where it computes.
    """

    def __init__(
        self, elements: tuple[int, ...], atomic_energies: Tensor, device: str | torch.device
    ) -> None:
        self.elements = elements
        self.device = torch.device(device)
        self._chunk = ATOMS_PER_CHUNK[self.device.type]
        self._atomic_energies = atomic_energies.to(self.device)

    def _evaluate(
        self, molecules: MoleculeBatch, *, forces: bool, descriptors: bool
    ) -> EnergyOutput:
        molecules, faults = molecules.to(self.device), Counter[str]()
        parts = [
            part
            for chunk in chunks(molecules.n_atoms, self._chunk)
            for part in self._evaluate_within_memory(molecules[chunk], forces, faults)
        ]
        isolated = molecules.sum_atoms(self._atomic_energies[molecules.numbers])
        return EnergyOutput(
            energy=torch.cat([energy for energy, _, _ in parts]).double() + isolated,
            forces=torch.cat([force for _, force, _ in parts]) if forces else None,
            descriptors=torch.cat([feats for _, _, feats in parts]) if descriptors else None,
            faults=faults,
        )

    @abstractmethod
    def _evaluate_chunk(
        self, molecules: MoleculeBatch, forces: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One forward pass.

        Returns:
            Interaction energies ``(n_molecules,)`` eV, forces ``(n_atoms_total, 3)`` float64 eV/Å
            (of no atoms where not asked), descriptors ``(n_atoms_total, n_features)``.
        """

    def _evaluate_within_memory(
        self, molecules: MoleculeBatch, forces: bool, faults: Counter[str]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """A chunk, in halves if the device has no memory for the whole, and from then on.

        A molecule that is too large by itself has no energy. Each attempt is counted in ``faults``.
        """
        n = len(molecules)
        try:
            return [self._evaluate_chunk(molecules, forces)]
        except torch.OutOfMemoryError:
            faults[OUT_OF_MEMORY] += 1
            if n == 1:
                return [self._nothing(molecules)]
        # Outside of the handler, which would hold on to the tensors of the attempt.
        torch.cuda.empty_cache()
        self._chunk = max(1, int(molecules.n_atoms.sum()) // 2)
        halves = (molecules[: n // 2], molecules[n // 2 :])
        return [
            part for half in halves for part in self._evaluate_within_memory(half, forces, faults)
        ]

    def _nothing(self, molecules: MoleculeBatch) -> tuple[Tensor, Tensor, Tensor]:
        """NaN in the shapes of :meth:`_evaluate_chunk`, for one molecule."""
        atom = MoleculeBatch(
            molecules.numbers[:1], molecules.positions[:1], torch.ones_like(molecules.n_atoms)
        )
        n_atoms = len(molecules.numbers)
        energy, force, features = self._evaluate_chunk(atom, True)
        force, features = force.expand(n_atoms, -1), features.expand(n_atoms, -1)
        return energy * torch.nan, force * torch.nan, features * torch.nan


def chunks(n_atoms: Tensor, budget: int) -> list[slice]:
    """Slices of consecutive molecules with at most ``budget`` atoms each (or one molecule)."""
    ends = n_atoms.cumsum(0).tolist()
    slices, start, base = [], 0, 0
    for i, end in enumerate(ends):
        if end - base > budget and i > start:
            slices.append(slice(start, i))
            start, base = i, ends[i - 1]
    return [*slices, slice(start, len(ends))]

"""The base class of energy models that evaluate batches on a device, in chunks that fit it."""

from abc import abstractmethod
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput, Wanted
from molrl.molecules import MoleculeBatch

OUT_OF_MEMORY = "batch halved, out of memory"
# Å from the origin. A float32 coordinate is exact to 4e-6 Å below, and to 4e-3 Å at 1e5 Å. Nearer
# molecules are left where they are: moved, their energies would differ in the last bits.
FAR = 100.0
# Larger chunks are no faster on a CPU, and smaller ones are slower by the operators' overhead.
ATOMS_PER_CHUNK = {"cpu": 1300, "cuda": 200_000}


class ChunkOutput(NamedTuple):
    """The result of one forward pass; quantities that are not wanted are None.

    Attributes:
        energy: ``(n_molecules,)`` floating, eV, interaction energy: total energy minus the
            energies of the isolated atoms.
        features: ``(n_atoms_total, n_features)`` floating, invariant features.
        forces: ``(n_atoms_total, 3)`` float64, eV/Å.
        stress: ``(n_molecules, 3, 3)`` float64, eV/Å³.

    Example:
        >>> ChunkOutput(energy=torch.zeros(1), features=torch.zeros(3, 8)).forces is None
        True
    """

    energy: Tensor
    features: Tensor
    forces: Tensor | None = None
    stress: Tensor | None = None


class BatchedEnergy(EnergyModel):
    """An energy model that adds interaction energies of a network to energies of isolated atoms.

    The sum is computed in float64, so that total energies have the absolute accuracy of the
    interaction energies. Neighbours are listed once for the whole batch, when it is checked.
    A subclass defines :meth:`_evaluate_chunk`.

    Args:
        elements: the atomic numbers it knows, ascending.
        atomic_energies: ``(max(elements) + 1,)`` float64, eV, energy of each isolated atom by
            atomic number.
        cutoff: Å, of the neighbour pairs.
        device: the device it computes on.

    Example:
        >>> class IdealGasEnergy(BatchedEnergy):
        ...     name = hash = "ideal-gas"
        ...
        ...     def _evaluate_chunk(self, molecules, wanted):
        ...         zeros = torch.zeros_like(molecules.positions, dtype=torch.float64)
        ...         return ChunkOutput(torch.zeros(len(molecules)), zeros, forces=zeros)
        >>> table = torch.tensor([0.0, -13.6], dtype=torch.float64)
        >>> model = IdealGasEnergy((1,), table, cutoff=1.0, device="cpu")
        >>> model.evaluate(MoleculeBatch(torch.tensor([1, 1]), torch.eye(2, 3), torch.tensor([2])))
        ... # doctest: +ELLIPSIS
        EnergyOutput(energy=tensor([-27.2000], dtype=torch.float64), ...)
    """

    offers_descriptors = True

    def __init__(
        self,
        elements: tuple[int, ...],
        atomic_energies: Tensor,
        cutoff: float,
        device: str | torch.device,
    ) -> None:
        self.elements, self.cutoff = elements, cutoff
        self.device = torch.empty(0, device=device).device  # "cuda" as "cuda:0", to compare
        self._chunk = ATOMS_PER_CHUNK[self.device.type]
        self._atomic_energies = atomic_energies.to(self.device)

    def _checked(self, molecules: MoleculeBatch) -> MoleculeBatch:
        self.check_molecules(molecules)
        return _centre_far(self._on_device(molecules)).check(self.elements, self.cutoff)

    def _on_device(self, molecules: MoleculeBatch) -> MoleculeBatch:
        """Return the molecules on the model's device: a copy only if they are on another."""
        # A copy would lose the neighbour lists that the batch has cached.
        return molecules if molecules.device == self.device else molecules.to(self.device)

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        molecules, faults = self._on_device(molecules), Counter[str]()
        parts = [
            part
            for chunk in chunks(molecules.n_atoms, self._chunk)
            for part in self._evaluate_within_memory(molecules.part(chunk), wanted, faults)
        ]
        energy, features, forces, stress = zip(*parts, strict=True)
        return EnergyOutput(
            energy=torch.cat(energy).double() + self._atoms_energy(molecules),
            forces=torch.cat(forces) if wanted.forces else None,
            stress=torch.cat(stress) if wanted.stress else None,
            descriptors=torch.cat(features) if wanted.descriptors else None,
            faults=faults,
        )

    def _atoms_energy(self, molecules: MoleculeBatch) -> Tensor:
        """Sum the tabulated energies of the atoms: what the network's energy is relative to."""
        return molecules.sum_atoms(self._atomic_energies[molecules.numbers])

    @abstractmethod
    def _evaluate_chunk(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        """Evaluate molecules in one forward pass.

        Args:
            molecules: on the model's device; there may be none, or none with atoms.
            wanted: what to compute besides energy and features.
        """

    def _evaluate_within_memory(
        self, molecules: MoleculeBatch, wanted: Wanted, faults: Counter[str]
    ) -> list[ChunkOutput]:
        """Evaluate a chunk, in halves if it exceeds the memory of the device.

        Later evaluations use smaller chunks. A molecule that alone exceeds the memory gets NaN.
        Each attempt that fails is counted in ``faults``.
        """
        n = len(molecules)
        try:
            return [self._evaluate_chunk(molecules, wanted)]
        except torch.OutOfMemoryError:
            faults[OUT_OF_MEMORY] += 1
            if n == 1:
                return [self._failed(molecules, wanted)]
        # Not in the handler: its traceback keeps the tensors of the failed attempt alive.
        torch.cuda.empty_cache()
        self._chunk = max(1, int(molecules.n_atoms.sum()) // 2)
        return [
            part
            for half in (slice(0, n // 2), slice(n // 2, n))
            for part in self._evaluate_within_memory(molecules.part(half), wanted, faults)
        ]

    def _failed(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        """Return NaN for one molecule, in the shapes of :meth:`_evaluate_chunk`."""
        # The width of the features is known to the network alone: evaluate one atom to see it.
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


def _centre_far(molecules: MoleculeBatch) -> MoleculeBatch:
    """Move molecules that have an atom beyond :data:`FAR` to the origin, in double precision.

    Periodic structures stay where they are.
    """
    reach = molecules.positions.detach().abs().amax(-1)
    far = molecules.sum_atoms((reach > FAR).double()) > 0
    far &= ~molecules.pbc.any(-1)
    if not far.any():
        return molecules
    positions = molecules.positions.double()
    middle = molecules.sum_atoms(positions) / molecules.n_atoms.clamp(min=1)[:, None]
    middle = middle.where(far[:, None], 0.0)
    return replace(molecules, positions=positions - middle[molecules.molecule])


def chunks(n_atoms: Tensor, budget: int) -> list[slice]:
    """Split a batch into chunks of consecutive molecules.

    Args:
        n_atoms: ``(n_molecules,)`` int64.
        budget: the most atoms of a chunk; a larger molecule is a chunk by itself.

    Returns:
        Slices of molecules that cover the batch, in order; at least one, maybe empty.

    Example:
        >>> chunks(torch.tensor([3, 4, 9, 2]), budget=8)
        [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    ends = n_atoms.cumsum(0).tolist()
    slices, start, base = [], 0, 0
    for i, end in enumerate(ends):
        if end - base > budget and i > start:
            slices.append(slice(start, i))
            start, base = i, ends[i - 1]
    return [*slices, slice(start, len(ends))]

"""MACE energies of many molecules in one forward pass."""

from pathlib import Path

import torch
from torch import Tensor

from molrl.energy.graph import Batcher
from molrl.energy.interface import EnergyModel, EnergyOutput
from molrl.energy.mace_network import Mace, MaceConfig, load_parameters
from molrl.molecules import MoleculeBatch
from molrl.runs.config import parse_config
from molrl.runs.weights import load_weights

SHIPPED = Path(__file__).with_name("shipped") / "mace.json"
OUT_OF_MEMORY = "batch halved, out of memory"
ATOMS_PER_CHUNK = {"cpu": 600, "cuda": 200_000}  # past this a CPU's cache no longer holds it


class MaceEnergy(EnergyModel):
    """A MACE fitted with ``molrl energy fit``, in float32 on interaction energies.

    The energies of the isolated atoms are added in float64, so totals are good to float32
    rounding of the interaction energy alone.

    Args:
        weights: the JSON file of a pair of files that ``molrl energy fit``
            wrote; the shipped model if None.
        device: where to compute.

    Attributes:
        config: the network's shape.
        network: the module, frozen.

    Raises:
        InputError: if the files are missing, damaged or of another kind.
    """

    name = "mace"

    def __init__(self, weights: str | Path | None = None, device: str = "cpu") -> None:
        path = Path(weights or SHIPPED)
        tensors, header = load_weights(path, kind="mace")
        self.config = parse_config(header.get("config", {}), MaceConfig, where=str(path))
        self.elements = self.config.elements
        self.device = torch.device(device)
        self._hash = header["header_sha256"][:12]
        network = Mace(self.config)
        load_parameters(network, tensors, str(path))
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._batcher = Batcher(self.elements, self.config.cutoff)
        self._chunk = ATOMS_PER_CHUNK[self.device.type]
        self._atomic_energies = self.config.energy_table().to(self.device)

    @property
    def hash(self) -> str:
        """The first 12 digits of the SHA-256 of the header, which holds that of the weights."""
        return self._hash

    def _evaluate(
        self, molecules: MoleculeBatch, *, forces: bool, descriptors: bool
    ) -> EnergyOutput:
        molecules = molecules.to(self.device)
        parts = [
            part
            for chunk in _chunks(molecules.n_atoms, self._chunk)
            for part in self._evaluate_within_memory(molecules[chunk], forces)
        ]
        isolated = molecules.sum_atoms(self._atomic_energies[molecules.numbers])
        return EnergyOutput(
            energy=torch.cat([energy for energy, _, _ in parts]).double() + isolated,
            forces=torch.cat([force for _, force, _ in parts]) if forces else None,
            descriptors=torch.cat([feats for _, _, feats in parts]) if descriptors else None,
        )

    def _evaluate_within_memory(
        self, molecules: MoleculeBatch, forces: bool
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """A chunk, in halves if the device has no memory for the whole, and from then on.

        A molecule that is too large by itself has no energy.
        """
        n = len(molecules)
        try:
            return [self._evaluate_chunk(molecules, forces)]
        except torch.OutOfMemoryError:
            self.faults[OUT_OF_MEMORY] += 1
            if n == 1:
                return [self._nothing(molecules)]
        # Outside of the handler, which would hold on to the tensors of the attempt.
        torch.cuda.empty_cache()
        self._chunk = max(1, int(molecules.n_atoms.sum()) // 2)
        halves = (molecules[: n // 2], molecules[n // 2 :])
        return [part for half in halves for part in self._evaluate_within_memory(half, forces)]

    def _nothing(self, molecules: MoleculeBatch) -> tuple[Tensor, Tensor, Tensor]:
        """NaN in the shapes of :meth:`_evaluate_chunk`, for one molecule."""
        atom = MoleculeBatch(
            molecules.numbers[:1], molecules.positions[:1], torch.ones_like(molecules.n_atoms)
        )
        n_atoms = len(molecules.numbers)
        energy, force, features = self._evaluate_chunk(atom, True)
        force, features = force.expand(n_atoms, -1), features.expand(n_atoms, -1)
        return energy * torch.nan, force * torch.nan, features * torch.nan

    def _evaluate_chunk(
        self, molecules: MoleculeBatch, forces: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not len(molecules.numbers):  # mace-torch cannot reshape nothing
            nothing = torch.zeros(len(molecules), device=self.device)
            return nothing, nothing.new_zeros(0, 3, dtype=torch.float64), nothing.new_zeros(0)
        graph = self._batcher(molecules, torch.float32)
        with torch.set_grad_enabled(forces):
            graph.positions.requires_grad_(forces)
            energy, features = self.network(graph)
            force = graph.positions.new_zeros(0, 3)
            if forces:
                (gradient,) = torch.autograd.grad(energy.sum(), graph.positions)
                force = -gradient.double()
        return energy.detach(), force, features.detach()


def _chunks(n_atoms: Tensor, budget: int) -> list[slice]:
    """Slices of consecutive molecules with at most ``budget`` atoms each (or one molecule)."""
    ends = n_atoms.cumsum(0).tolist()
    slices, start, base = [], 0, 0
    for i, end in enumerate(ends):
        if end - base > budget and i > start:
            slices.append(slice(start, i))
            start, base = i, ends[i - 1]
    return [*slices, slice(start, len(ends))]

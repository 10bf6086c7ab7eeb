"""MACE energies of many molecules in one forward pass."""

import os
from pathlib import Path

import torch
from torch import Tensor

from molrl.energy.batched_network import NetworkEnergy
from molrl.energy.graph import Batcher
from molrl.energy.mace_network import Mace, MaceConfig, load_parameters
from molrl.molecules import MoleculeBatch
from molrl.runs.config import parse_config
from molrl.runs.weights import load_weights, read_json

SHIPPED = Path(__file__).with_name("shipped") / "mace.json"
MODULE = "mace-module"  # the kind of weights that are any network of mace-torch, converted


def load_mace(path: str = "", device: str = "cpu", trust: bool = False) -> NetworkEnergy:
    """The shipped MACE, or one from a file.

    Args:
        path: nothing for the shipped one; else as for
            :func:`molrl.energy.mace_files.load_module`, or what ``molrl energy fit`` wrote.
        device: where to compute.
        trust: whether a pickle may be loaded. It can run any code.

    Raises:
        InputError: if there is no such file, it is damaged or of another kind, or it is a pickle
            that is not trusted.
    """
    file, head = split_head(path)
    if not path or (
        file.endswith(".json") and not head and read_json(Path(file)).get("kind") != MODULE
    ):
        return MaceEnergy(file or None, device)
    from molrl.energy.mace_files import load_module  # much to import, for others' networks only

    return load_module(path, device, trust)


def split_head(path: str) -> tuple[str, str | None]:
    """A path, and what stands behind its last @ unless there is such a file."""
    file, at, head = path.rpartition("@")
    return (file, head) if at and not os.path.exists(path) else (path, None)


class MaceEnergy(NetworkEnergy):
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
        super().__init__(self.config.elements, self.config.energy_table(), device)
        self._hash = header["header_sha256"][:12]
        network = Mace(self.config)
        load_parameters(network, tensors, str(path))
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._batcher = Batcher(self.elements, self.config.cutoff)

    @property
    def hash(self) -> str:
        """The first 12 digits of the SHA-256 of the header, which holds that of the weights."""
        return self._hash

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

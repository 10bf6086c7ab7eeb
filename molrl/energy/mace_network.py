"""A MACE from mace-torch's own modules, and the flat batches it is evaluated on."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.neighbors import neighbor_pairs
from molrl.runs.config import Config
from molrl.safe_e3nn import contained, o3

with contained():
    from mace.modules import ScaleShiftMACE, interaction_classes


class MaceConfig(Config):
    """The shape of a MACE (Batatia et al., NeurIPS 2022).

    Attributes:
        elements: atomic numbers it knows, ascending.
        atomic_energies: energy of each isolated atom, eV, in the order of ``elements``.
        channels: features of each degree up to ``hidden_l``.
        hidden_l: highest degree of the messages' hidden features.
        max_ell: highest degree of the spherical harmonics.
        correlation: body order of the product basis, less one.
        layers: message-passing layers.
        cutoff: Å.
        n_bessel: radial basis functions.
        envelope: power of the polynomial cutoff.
        radial_mlp: hidden sizes of the radial network.
        readout: hidden size of the last readout.
        avg_neighbors: normalises the sums over neighbours.
        scale: eV, multiplies the learned part of the energy.
    """

    elements: tuple[int, ...] = (1, 6, 7, 8)
    atomic_energies: tuple[float, ...] = ()
    channels: int = Field(32, ge=1)
    hidden_l: int = Field(0, ge=0, le=3)
    max_ell: int = Field(2, ge=1, le=4)
    correlation: int = Field(3, ge=1, le=4)
    layers: int = Field(2, ge=2, le=4)
    cutoff: float = Field(5.0, gt=0)
    n_bessel: int = Field(8, ge=1)
    envelope: int = Field(5, ge=2)
    radial_mlp: tuple[int, ...] = (64, 64, 64)
    readout: int = Field(16, ge=1)
    avg_neighbors: float = Field(8.0, gt=0)
    scale: float = Field(1.0, gt=0)

    def energy_table(self) -> Tensor:
        """Energy of each isolated atom by atomic number, float64, eV; 0 for elements not known."""
        table = torch.zeros(max(self.elements) + 1, dtype=torch.float64)
        table[list(self.elements)] = torch.tensor(self.atomic_energies, dtype=torch.float64)
        return table


def load_parameters(network: torch.nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Put weights into a network that was built for them.

    Raises:
        InputError: if they are of another network; ``where`` is named.
    """
    wanted = {name: parameter.shape for name, parameter in network.named_parameters()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise InputError(f"weights {where} do not fit the network: {name} differs")
    network.load_state_dict(tensors, strict=False)


def build_mace(config: MaceConfig) -> ScaleShiftMACE:
    """The network of a config, randomly initialised, float32.

    The first layer has no self-connection and the shift is 0, so that an isolated atom has
    exactly its own energy.
    """
    irreps = " + ".join(
        f"{config.channels}x{degree}{'eo'[degree % 2]}" for degree in range(config.hidden_l + 1)
    )
    with contained():
        return ScaleShiftMACE(
            r_max=config.cutoff,
            num_bessel=config.n_bessel,
            num_polynomial_cutoff=config.envelope,
            max_ell=config.max_ell,
            interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
            interaction_cls_first=interaction_classes["RealAgnosticInteractionBlock"],
            num_interactions=config.layers,
            num_elements=len(config.elements),
            hidden_irreps=o3.Irreps(irreps),
            MLP_irreps=o3.Irreps(f"{config.readout}x0e"),
            atomic_energies=list(config.atomic_energies),
            avg_num_neighbors=config.avg_neighbors,
            atomic_numbers=list(config.elements),
            correlation=config.correlation,
            gate=torch.nn.functional.silu,
            radial_MLP=list(config.radial_mlp),
            atomic_inter_scale=config.scale,
            atomic_inter_shift=0.0,
        )


class Batcher:
    """Turns a :class:`MoleculeBatch` into the flat dictionary a MACE is called with.

    Tensors only, on the batch's device. It gives what ``mace.data.AtomicData`` and its collation
    give for molecules without a cell.

    Args:
        elements: the network's atomic numbers, in its order.
        cutoff: Å.
    """

    def __init__(self, elements: tuple[int, ...], cutoff: float) -> None:
        self.cutoff = cutoff
        self._elements = torch.tensor(elements)

    def __call__(self, molecules: MoleculeBatch, dtype: torch.dtype) -> dict[str, Tensor]:
        """The dictionary; ``positions`` are a copy of type ``dtype`` that may take a gradient."""
        device = molecules.device
        positions = molecules.positions.detach().to(dtype, copy=True)
        edges = neighbor_pairs(positions, molecules.n_atoms, self.cutoff)
        elements = self._elements.to(device)
        shifts = torch.zeros(edges.shape[1], 3, dtype=dtype, device=device)
        n_molecules = len(molecules)
        return {
            "positions": positions,
            "node_attrs": (molecules.numbers[:, None] == elements).to(dtype),
            "edge_index": edges,
            "shifts": shifts,
            "unit_shifts": shifts,
            "cell": torch.zeros(3 * n_molecules, 3, dtype=dtype, device=device),
            "batch": molecules.molecule,
            "ptr": torch.cat([molecules.starts.new_zeros(1), molecules.n_atoms.cumsum(0)]),
            "head": torch.zeros(n_molecules, dtype=torch.int64, device=device),
        }


def interaction(
    network: torch.nn.Module, data: dict[str, Tensor], training: bool = False
) -> dict[str, Any]:
    """One forward pass, energies only: ``interaction_energy (n_molecules,)``, ``node_feats``.

    The interaction energy is the total energy less that of the isolated atoms, eV: small enough
    for float32.
    """
    return network(data, training=training, compute_force=False)

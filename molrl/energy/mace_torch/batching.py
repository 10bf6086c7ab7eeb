"""The input format of mace-torch's networks, and random networks of the settings of a MACE."""

from collections.abc import Sequence

import torch
from torch import Tensor

from molrl.energy.networks.mace.config import MaceConfig
from molrl.molecules import MoleculeBatch
from molrl.neighbors import Neighbors, both_ways
from molrl.safe_e3nn import contained, o3

with contained():
    from mace.modules import ScaleShiftMACE, interaction_classes


def to_mace_torch(
    molecules: MoleculeBatch, neighbors: Neighbors, elements: Sequence[int], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Build the flat dictionary that a network of mace-torch is called with.

    It equals a collated ``mace.data.AtomicData``, but is built by tensor operations on the batch's
    device.

    Args:
        molecules: the molecules or crystals.
        neighbors: their pairs within the network's cutoff.
        elements: the network's atomic numbers, in its order.
        dtype: floating type.

    Returns:
        The tensors by mace-torch's names; ``positions`` are a copy that may require a gradient.

    Example:
        >>> from ase.build import molecule
        >>> water = MoleculeBatch.from_ase(molecule("H2O"))
        >>> data = to_mace_torch(water, water.neighbors(5.0), (1, 8), torch.float32)
        >>> data["edge_index"].shape
        torch.Size([2, 6])
    """
    device, n_molecules = molecules.device, len(molecules)
    known = torch.tensor(elements, device=device)
    edges = both_ways(neighbors.pairs)
    units = torch.zeros(edges.shape[1], 3, dtype=dtype, device=device)
    shifts = units
    if neighbors.images is not None:
        units = torch.cat([neighbors.images, -neighbors.images]).to(dtype)
        one_way = neighbors.shifts(molecules.cell)
        assert one_way is not None  # because there are images
        shifts = torch.cat([one_way, -one_way]).to(dtype)
    return {
        "positions": molecules.positions.detach().to(dtype, copy=True),
        "node_attrs": (molecules.numbers[:, None] == known).to(dtype),
        "edge_index": edges,
        "shifts": shifts,
        "unit_shifts": units,
        "cell": molecules.cell.to(dtype).view(3 * n_molecules, 3),
        "batch": molecules.molecule,
        "ptr": torch.cat([molecules.starts.new_zeros(1), molecules.n_atoms.cumsum(0)]),
        "head": torch.zeros(n_molecules, dtype=torch.int64, device=device),
    }


def build_mace_torch(
    config: MaceConfig,
    atomic_energies: Sequence[float] = (),
    hidden: str | None = None,
    max_ell: int = 2,
) -> ScaleShiftMACE:
    """Build a randomly initialised network of mace-torch, without a pair repulsion.

    Args:
        config: the settings.
        atomic_energies: energies of the isolated atoms, eV; 0 unless given.
        hidden: irreps of the hidden features; ``config.channels`` scalars, if None.
        max_ell: highest degree of the spherical harmonics.
    """
    with contained():
        return ScaleShiftMACE(
            r_max=config.cutoff,
            num_bessel=config.n_bessel,
            num_polynomial_cutoff=config.envelope,
            max_ell=max_ell,
            interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
            interaction_cls_first=interaction_classes["RealAgnosticInteractionBlock"],
            num_interactions=config.layers,
            num_elements=len(config.elements),
            hidden_irreps=o3.Irreps(hidden or f"{config.channels}x0e"),
            MLP_irreps=o3.Irreps(f"{config.readout}x0e"),
            atomic_energies=list(atomic_energies) or [0.0] * len(config.elements),
            avg_num_neighbors=config.avg_neighbors,
            atomic_numbers=list(config.elements),
            correlation=3,
            gate=torch.nn.functional.silu,
            radial_MLP=list(config.radial_mlp),
            atomic_inter_scale=config.scale,
            atomic_inter_shift=0.0,
        )

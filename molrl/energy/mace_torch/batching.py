"""The input format of mace-torch's networks, and the conversion of a network to :class:`Mace`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.mace.products import invariants
from molrl.molecules import MoleculeBatch
from molrl.neighbors import Neighbors, both_ways
from molrl.safe_e3nn import contained, o3

with contained():
    from mace.modules import ScaleShiftMACE, interaction_classes

_N_PROBES = 200  # random features at which invariants are compared


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


def from_mace_torch(network: ScaleShiftMACE, config: MaceConfig) -> Mace:
    """Convert a network of mace-torch to a :class:`Mace` with the same energies.

    Args:
        network: as built by :func:`build_mace_torch` with scalar features and ``max_ell=2``.
        config: its settings.
    """
    theirs = {name: tensor.detach() for name, tensor in network.named_parameters()}
    n, c = len(config.elements), config.channels
    weights = {"embedding": theirs["node_embedding.linear.weight"].view(n, c)}
    for k in range(config.layers):
        block, layer = f"interactions.{k}", f"layers.{k}"
        skip = theirs[f"{block}.skip_tp.weight"]
        contraction = network.products[k].symmetric_contractions.contractions[0]
        weights |= {
            f"{layer}.up": theirs[f"{block}.linear_up.weight"].view(c, c),
            f"{layer}.linear": theirs[f"{block}.linear.weight"].view(3, c, c),
            f"{layer}.skip": skip.view(-1, c, n, c).permute(2, 0, 1, 3).squeeze(1),
            f"{layer}.product": _product_weights(contraction),
            f"{layer}.mix": theirs[f"products.{k}.linear.weight"].view(c, c),
        }
        for i in range(len(config.radial_mlp) + 1):
            weights[f"{layer}.radial.{i}"] = theirs[f"{block}.conv_tp_weights.layer{i}.weight"]
    last = config.layers - 1
    for k in range(last):
        weights[f"readouts.{k}"] = theirs[f"readouts.{k}.linear.weight"].view(c, 1)
    weights["readout_in"] = theirs[f"readouts.{last}.linear_1.weight"].view(c, config.readout)
    weights["readout_out"] = theirs[f"readouts.{last}.linear_2.weight"].view(config.readout, 1)
    ours = Mace(config)
    ours.load_state_dict({name: tensor.contiguous() for name, tensor in weights.items()})
    return ours


def _product_weights(contraction: Any) -> Tensor:  # noqa: ANN401 - a class made by TorchScript
    """Return the weights ``(n_elements, 9, channels)`` of our invariants.

    mace-torch has more invariants of degree 3, because it does not use that the three factors are
    the same features. Each of them is a linear combination of ours, whose coefficients are fitted
    at random features.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_N_PROBES, 9, dtype=torch.float64, generator=generator)
    ours = invariants(x[:, :1, None], x[:, 1:4, None], x[:, 4:, None]).squeeze(-1)
    theirs = [
        torch.einsum("ik,bi->bk", contraction.U_matrix_1.double(), x),
        torch.einsum("ijk,bi,bj->bk", contraction.U_matrix_2.double(), x, x),
        torch.einsum("hijk,bh,bi,bj->bk", contraction.U_matrix_3.double(), x, x, x),
    ]
    weights = [contraction.weights[1], contraction.weights[0], contraction.weights_max]
    parts = []
    for mine, values, weight in zip(
        torch.split(ours, [1, 3, 5], dim=1), theirs, weights, strict=True
    ):
        coefficients = torch.linalg.lstsq(mine, values).solution
        parts.append(torch.einsum("nk,ekc->enc", coefficients, weight.detach().double()))
    return torch.cat(parts, dim=1).float()

"""The network of a denoiser: a fully connected MACE on continuous elements, with two heads.

Every atom sees every other. A layer makes messages with l = 0, 1 and 2 as in MACE (Batatia et al.
2022), and their products of degree 1, 2 and 3. Other than in the MACE of the energy models, a
message depends on both of its atoms, which may have any mixture of elements, and on how their
vectors point at each other. Sums over neighbours are products of padded matrices, and the largest
tensors hold one row of hidden features for each pair of atoms.
"""

import torch
from torch import Tensor, nn

from molrl.energy.networks.mace.linear import SILU, scaled
from molrl.energy.networks.mace.products import N_INVARIANTS, harmonics, invariants
from molrl.generators.diffusion.config import TrunkConfig

_SOFT = 1e-4  # Å², added to squared distances, which are differentiated at 0
_DECAY = 3.0  # Å, where messages have half of their weight
_NEAR = 2.0  # Å, where half of the radial basis functions are nearer


class Trunk(nn.Module):
    """The layers that both heads stand on.

    Args:
        config: the settings.
        n_inputs: number of invariant inputs of an atom.

    Example:
        >>> trunk = Trunk(TrunkConfig(channels=8, hidden=16), n_inputs=3)
        >>> mask = torch.ones(1, 4, dtype=torch.bool)
        >>> scalars, vectors = trunk(torch.randn(1, 4, 3), torch.zeros(1, 4, 3), mask)
        >>> scalars.shape, vectors.shape
        (torch.Size([1, 4, 8]), torch.Size([1, 4, 3, 16]))
    """

    def __init__(self, config: TrunkConfig, n_inputs: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(n_inputs, config.channels)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, inputs: Tensor, positions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of atoms.

        Args:
            inputs: ``(n_molecules, n_slots, n_inputs)``, invariant.
            positions: ``(n_molecules, n_slots, 3)``.
            mask: ``(n_molecules, n_slots)`` bool, where there is an atom.

        Returns:
            Invariants ``(n_molecules, n_slots, channels)``, and vectors
            ``(n_molecules, n_slots, 3, vectors)``, which turn with the positions.
        """
        basis, units, harmonics = self._geometry(positions, mask)
        scalars = self.embedding(inputs)
        vectors = scalars.new_zeros(*mask.shape, 3, self.config.vectors)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, basis, units, harmonics)
        return scalars, vectors

    def _geometry(self, positions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return radial basis, unit vectors and weighted harmonics of each pair of atoms."""
        away = positions[:, None] - positions[:, :, None]  # from the receiver i to the sender j
        squared = away.square().sum(-1, keepdim=True) + _SOFT
        lengths = squared.sqrt()
        n_basis = self.config.n_basis
        centres = torch.arange(n_basis, dtype=positions.dtype, device=positions.device) + 0.5
        basis = torch.exp(-0.5 * (n_basis * lengths / (lengths + _NEAR) - centres).square())
        units = away / lengths
        pairs = mask[:, None] & mask[:, :, None]
        pairs = pairs & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        weight = pairs.unsqueeze(-1) / (1 + squared / _DECAY**2)
        weighted = weight * torch.cat([torch.ones_like(lengths), *harmonics(units)], dim=-1)
        return basis, units, weighted.transpose(2, 3)


class Layer(nn.Module):
    """A layer: messages between all atoms, their products, and an update of scalars and vectors.

    Args:
        config: the settings.
    """

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        channels, hidden, vectors = config.channels, config.hidden, config.vectors
        self.config = config
        self.normal = nn.LayerNorm(channels)
        self.ends = nn.Linear(channels, 2 * hidden)
        self.radial = nn.Parameter(torch.randn(config.n_basis, hidden))
        self.pointing = nn.Parameter(torch.randn(2 * vectors, hidden))
        self.message = nn.Parameter(torch.randn(3, hidden, channels))
        self.own = nn.Parameter(torch.randn(vectors, channels))
        n_products = sum(N_INVARIANTS)
        self.update = nn.Sequential(nn.Linear((1 + n_products) * channels, 2 * channels), nn.SiLU())
        self.to_scalars = nn.Linear(2 * channels, channels)
        self.to_gates = nn.Linear(2 * channels, vectors)
        self.to_vectors = nn.Parameter(torch.randn(channels, vectors))

    def forward(
        self, scalars: Tensor, vectors: Tensor, basis: Tensor, units: Tensor, harmonics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return scalars and vectors after the layer.

        Args:
            scalars: ``(n_molecules, n_slots, channels)``.
            vectors: ``(n_molecules, n_slots, 3, vectors)``.
            basis: ``(n_molecules, n_slots, n_slots, n_basis)``.
            units: ``(n_molecules, n_slots, n_slots, 3)``, from an atom to another.
            harmonics: ``(n_molecules, n_slots, 9, n_slots)``, 0 where there is no pair.
        """
        seen = self.normal(scalars)
        ahead = normalised(vectors)
        pairs = nn.functional.silu(self._pairs(seen, ahead, basis, units))
        # (normalised after the sums, which are far smaller than the pairs)
        gathered = harmonics @ pairs * (SILU / self.config.avg_neighbors**0.5)
        m0, m1, m2 = gathered.split((1, 3, 5), dim=2)
        message = scaled(self.message)
        m1 = m1 @ message[1] + ahead @ scaled(self.own)
        products = invariants(
            (m0 @ message[0]).flatten(0, 1), m1.flatten(0, 1), (m2 @ message[2]).flatten(0, 1)
        )
        # Products of degree 3 of far too near atoms, as in noise, would drown all others.
        products = products * (1 + products * products).sqrt().rsqrt()
        products = products.reshape(*seen.shape[:2], -1)
        update = self.update(torch.cat([seen, products], dim=-1))
        gates = self.to_gates(update).unsqueeze(2)
        return scalars + self.to_scalars(update), vectors + gates * (m1 @ scaled(self.to_vectors))

    def _pairs(self, seen: Tensor, vectors: Tensor, basis: Tensor, units: Tensor) -> Tensor:
        """Return ``(n_molecules, n_slots, n_slots, hidden)`` of receiver and sender, by length."""
        receiver, sender = self.ends(seen).chunk(2, dim=-1)
        pointing = units @ vectors  # of the receiver's vectors along the way to the sender
        both = torch.cat([basis, pointing, -pointing.transpose(1, 2)], dim=-1)
        # (those of the sender, along the same way, are the transposed ones with the other sign)
        weights = torch.cat([scaled(self.radial) * 2, scaled(self.pointing)])
        ends = receiver.unsqueeze(2) + sender.unsqueeze(1)
        pairs = torch.addmm(ends.flatten(0, 2), both.flatten(0, 2), weights)
        return pairs.view_as(ends)


class Denoiser(nn.Module):
    """The trunk with a head of energies or of vectors.

    Args:
        config: the settings.
        n_inputs: number of invariant inputs of an atom; the first ``n_elements`` are its features.
        n_elements: number of elements.

    Attributes:
        config: as given.
    """

    def __init__(self, config: TrunkConfig, n_inputs: int, n_elements: int) -> None:
        super().__init__()
        self.config, self._n_elements = config, n_elements
        self.trunk = Trunk(config, n_inputs)
        if config.head == "energy":
            read = nn.Linear(config.channels + config.vectors, config.channels)
            self.readout = nn.Sequential(read, nn.SiLU(), _zero_linear(config.channels, 1))
        else:
            self.gates = _zero_linear(config.channels, config.vectors)
            self.features = _zero_linear(config.channels, n_elements)

    def energy(self, inputs: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Return ``(n_molecules,)`` energies, of a network with a head of energies.

        Args:
            inputs: ``(n_molecules, n_slots, n_inputs)``.
            positions: ``(n_molecules, n_slots, 3)``.
            mask: ``(n_molecules, n_slots)`` bool.
        """
        scalars, vectors = self.trunk(inputs, positions, mask)
        lengths = normalised(vectors).square().sum(2)
        energies = self.readout(torch.cat([scalars, lengths], dim=-1)).squeeze(-1)
        total: Tensor = (energies * mask).sum(-1)
        return total

    def forward(self, inputs: Tensor, positions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what positions and features are pulled by.

        Args:
            inputs: as for :meth:`energy`.
            positions: likewise.
            mask: likewise.

        Returns:
            ``(n_molecules, n_slots, 3)`` and ``(n_molecules, n_slots, n_elements)``: of a head of
            energies its negative gradients; 0 in padding.
        """
        if self.config.head == "energy":
            return self._gradients(inputs, positions, mask)
        scalars, vectors = self.trunk(inputs, positions, mask)
        atoms = mask.unsqueeze(-1)
        pull = (self.gates(scalars).unsqueeze(2) * normalised(vectors)).sum(-1)
        return pull * atoms, self.features(scalars) * atoms

    def _gradients(self, inputs: Tensor, positions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        learning = torch.is_grad_enabled()
        with torch.enable_grad():
            if not positions.requires_grad:
                positions = positions.detach().requires_grad_()
            features = inputs[..., : self._n_elements].detach().requires_grad_()
            whole = torch.cat([features, inputs[..., self._n_elements :]], dim=-1)
            energy = self.energy(whole, positions, mask).sum()
            by_position, by_feature = torch.autograd.grad(
                energy, (positions, features), create_graph=learning
            )
        return -by_position, -by_feature


def normalised(vectors: Tensor) -> Tensor:
    """Shorten the vectors ``(..., 3, n)`` of each atom so that they are not long on average."""
    mean = vectors.square().sum(-2, keepdim=True).mean(-1, keepdim=True)
    return vectors * (1 + mean).rsqrt()


def _zero_linear(n_in: int, n_out: int) -> nn.Linear:
    """Return a linear map that is 0 at first, so that an untrained network pulls at nothing."""
    linear = nn.Linear(n_in, n_out)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear

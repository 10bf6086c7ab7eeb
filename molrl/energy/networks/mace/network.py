"""MACE with scalar features and spherical harmonics up to l = 2, written as matrix products.

Batatia et al., NeurIPS 2022. It computes the same function as mace-torch's ``ScaleShiftMACE`` with
``hidden_irreps="Cx0e"``, ``max_ell=2`` and ``correlation=3``, as a test checks, with a tenth of the
kernels and of the memory traffic: radial functions are evaluated once per pair, sums over
neighbours are matrix products, and the symmetric contraction to a scalar is written out, because
for l up to 2 there are only one, three and five invariants of degree 1, 2 and 3.
"""

import torch
from torch import Tensor, nn

from molrl.energy.networks.interface import Network, Prediction
from molrl.energy.networks.mace.config import MaceConfig
from molrl.energy.networks.mace.graph import MaceGraph, sort_by_element
from molrl.energy.networks.mace.layer import AtomFeatures, Layer
from molrl.energy.networks.mace.linear import by_element, mlp, scaled
from molrl.energy.networks.mace.products import bessel, slot_harmonics
from molrl.energy.networks.mace.widening import widen
from molrl.energy.networks.terms import bonded, covalent_radius
from molrl.molecules import MoleculeBatch

__all__ = ["Mace", "MaceConfig"]


class Mace(Network):
    """A MACE that predicts interaction energies, randomly initialised in float32.

    The first layer has no self-connection and no constant is added, so the interaction energy of an
    isolated atom is exactly 0. Parameters are drawn from a standard normal distribution and
    divided by the square root of their fan-in where they are used, as in e3nn.

    Args:
        config: the settings.

    Example:
        >>> from ase.build import molecule
        >>> network = Mace(MaceConfig(elements=(1, 8), channels=8))
        >>> graph = network.graph(MoleculeBatch.from_ase(molecule("H2O")), torch.float32)
        >>> network(graph).features.shape
        torch.Size([3, 16])
    """

    Config = MaceConfig
    config: MaceConfig

    def __init__(self, config: MaceConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.embedding = nn.Parameter(torch.randn(len(config.elements), channels))
        self.layers = nn.ModuleList(
            Layer(config, first=index == 0) for index in range(config.layers)
        )
        self.readouts = nn.ParameterList(torch.randn(channels, 1) for _ in range(config.layers - 1))
        self.readout_in = nn.Parameter(torch.randn(channels, config.readout))
        self.readout_out = nn.Parameter(torch.randn(config.readout, 1))
        self.predicts_charges = config.charges
        if config.charges:  # no charge at first, so that a network without charges can go on
            self.charge_readout = nn.Parameter(torch.zeros(config.layers * channels, 1))

    def graph(self, molecules: MoleculeBatch, dtype: torch.dtype) -> MaceGraph:
        """Build the graph, sorted by element and padded; see :meth:`Network.graph`."""
        return sort_by_element(super().graph(molecules, dtype), len(self.config.elements))

    def forward(self, graph: MaceGraph) -> Prediction:  # type: ignore[override]  # graph makes it
        """Predict energies and features.

        Args:
            graph: from :meth:`graph`.

        Returns:
            Interaction energies, of molecules and of atoms; partial charges, if it has them; and
            the features of each atom after each layer, concatenated:
            ``(n_atoms, layers * channels)``.
        """
        config = self.config
        vectors = graph.vectors()
        lengths = vectors.norm(dim=-1, keepdim=True)
        basis = bessel(lengths, config.cutoff, config.n_bessel, config.envelope)
        harmonics = slot_harmonics(vectors / lengths, graph)
        # 1 / sqrt(E) is e3nn's normalisation of a product with a one-hot vector.
        scalars = by_element(self.embedding, graph.counts) / len(config.elements) ** 0.5
        nothing = scalars.new_zeros(len(scalars), 0, config.channels)
        features = AtomFeatures(scalars, nothing, nothing)
        outputs, site = [], scalars.new_zeros(len(scalars), 1)
        for layer, readout in zip(self.layers, [*self.readouts, None], strict=True):
            features = layer(features, basis, harmonics, graph)
            outputs.append(features.scalars)
            site = site + self._read(features.scalars, readout)
        of_atoms = torch.cat(outputs, dim=-1)[graph.row]
        site_energy = config.scale * site.squeeze(-1)[graph.row]
        energy = vectors.new_zeros(graph.n_molecules).index_add(0, graph.molecule, site_energy)
        charges = self._charges(of_atoms, lengths, graph) if config.charges else None
        return Prediction(energy, of_atoms, site_energy=site_energy, charges=charges)

    def _charges(self, features: Tensor, lengths: Tensor, graph: MaceGraph) -> Tensor:
        """Let charge flow along bonds: 0 in sum over every molecule, and over far parts of it."""
        potential = (features @ scaled(self.charge_readout)).squeeze(-1)
        radius = covalent_radius(self.config.elements, graph)
        first, second = graph.pairs
        share = bonded(lengths.squeeze(-1), radius[first] + radius[second])
        flow = share * (potential[first] - potential[second])
        charges = torch.zeros_like(potential).index_add(0, second, flow)
        return charges.index_add(0, first, -flow)

    def for_inference(self) -> Network:
        """Return a frozen network that computes the same faster; see :class:`FoldedMace`."""
        from molrl.energy.networks.mace.folded import FoldedMace

        return FoldedMace(self)

    def final_features(self, features: Tensor) -> Tensor:
        """Return the features after the last layer.

        Args:
            features: ``(n_atoms, layers * channels)``, from :meth:`forward`.

        Returns:
            ``(n_atoms, channels)``.
        """
        return features[:, -self.config.channels :]

    @torch.no_grad()
    def start_from(self, other: Network) -> None:
        """Copy the weights of a MACE that may have fewer channels, no vectors and no charges.

        The energies stay those of the other.

        Args:
            other: the MACE to copy from; with fewer channels see
                :func:`molrl.energy.networks.mace.widening.widen`.

        Raises:
            InputError: if the two differ in other settings.
        """
        may_differ: list[str] = []
        if isinstance(other, Mace):
            ours, theirs = self.config, other.config
            more = {"channels": ours.channels > theirs.channels}
            more["vector_channels"] = ours.vector_channels > theirs.vector_channels == 0
            more["charges"] = ours.charges > theirs.charges
            may_differ += [name for name, is_more in more.items() if is_more]
        self.check_same(other, tuple(may_differ))
        assert isinstance(other, Mace)
        widen(dict(self.named_parameters()), dict(other.named_parameters()), other.config.channels)

    def matrices(self) -> tuple[str, ...]:
        """Return the names of the parameters that map features to features."""
        return tuple(
            name
            for name, _ in self.named_parameters()
            if name.startswith("layers.") and not name.endswith(".product")
        )

    def _read(self, features: Tensor, readout: Tensor | None) -> Tensor:
        """Read the energies of atoms from a layer: linearly, or in the last by an MLP."""
        if readout is not None:
            return features @ scaled(readout)
        return mlp(features, [self.readout_in, self.readout_out])

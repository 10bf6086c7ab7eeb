"""A custom network, defined outside the package: fitted from the command line, and used."""

from typing import Literal

import numpy as np
import pytest
import torch
from ase.build import molecule
from torch import nn

from molrl.cli.main import main
from molrl.energy import load_energy
from molrl.energy.networks import NETWORKS, Network, NetworkConfig, Prediction
from molrl.energy.relaxation import relax
from molrl.fitting.accuracy import errors_of
from molrl.fitting.config import FitConfig
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.fit import Fit
from molrl.molecules import MoleculeBatch
from molrl.runs.trainer import restore_latest, train_saving


class DirectConfig(NetworkConfig):
    """The settings of a network of pairs that predicts forces directly."""

    architecture: Literal["direct-pairs"] = "direct-pairs"
    width: int = 16


def mlp(n_in, width, n_out):
    return nn.Sequential(nn.Linear(n_in, width), nn.SiLU(), nn.Linear(width, n_out))


class DirectPairs(Network):
    """A network that predicts energies and direct forces from distances and elements."""

    Config = DirectConfig
    conservative = False

    def __init__(self, config):
        super().__init__(config)
        width, kinds = config.width, len(config.elements)
        self.embedding = nn.Embedding(kinds, width)
        self.message = mlp(2 * width + 8, width, width)
        self.energy = mlp(width, width, 1)
        self.force = mlp(width + 8, width, 1)

    def forward(self, graph):
        vectors = graph.vectors()
        lengths = vectors.norm(dim=-1, keepdim=True)
        inside = (1 - (lengths / self.config.cutoff) ** 2) ** 2
        centers = torch.linspace(0.5, 3.0, 8).to(lengths)
        radial = inside * torch.exp(-4 * (lengths - centers) ** 2)
        ends = self.embedding(graph.element)[graph.pairs]
        both = ends.sum(0)
        sent = inside * self.message(torch.cat([both, both, radial], -1))
        features = sent.new_zeros(len(graph.positions), sent.shape[1])
        features = features.index_add(0, graph.pairs[0], sent).index_add(0, graph.pairs[1], sent)
        alone = self.energy(torch.zeros_like(features))
        energy = features.new_zeros(graph.n_molecules)
        energy = energy.index_add(0, graph.molecule, (self.energy(features) - alone).squeeze(-1))
        push = radial.mean(-1, keepdim=True) * self.force(torch.cat([sent, radial], -1))
        push = push * vectors / lengths
        forces = torch.zeros_like(graph.positions)
        forces = forces.index_add(0, graph.pairs[0], -push).index_add(0, graph.pairs[1], push)
        return Prediction(energy, features, forces)


@pytest.fixture(scope="module", autouse=True)
def registered():
    NETWORKS.register("direct-pairs", DirectPairs)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights that ``molrl energy fit`` wrote, from distorted water molecules."""
    folder = tmp_path_factory.mktemp("custom")
    rng = np.random.default_rng(0)
    water = molecule("H2O")
    arrays = [(water.numbers, water.positions + rng.normal(0, 0.08, (3, 3))) for _ in range(160)]
    molecules = MoleculeBatch.from_arrays(arrays, dtype=torch.float32)
    found = load_energy("gfn2").evaluate(molecules, forces=True)
    split = torch.tensor([0] * 130 + [1] * 15 + [2] * 15)
    zeros = torch.zeros(160, dtype=torch.int64)
    Dataset(
        molecules=molecules,
        kinds=("distorted",),
        identities=("O",),
        energy=found.energy,
        forces=found.forces.float(),
        kind=zeros,
        split=split,
        identity=zeros,
    ).save(folder / "water.npz")
    (folder / "fit.yaml").write_text(
        f"""
run_dir: {folder}/run
data: [{folder}/water.npz]
reference: gfn2
network: {{architecture: direct-pairs, elements: [1, 8], width: 24}}
steps: 1600
batch_size: 16
learning_rate: 0.01
warmup: 20
ema: 0.99
checkpoint_every: 400
"""
    )
    assert main(["energy", "fit", str(folder / "fit.yaml")]) == 0
    return folder / "run" / "direct-pairs.json"


def test_fit_of_a_custom_network_with_direct_forces_lowers_its_errors(weights):
    rows = np.genfromtxt(weights.parent / "metrics.csv", delimiter=",", names=True)
    model = load_energy(f"direct-pairs:{weights}")
    assert not model.conservative
    assert rows["valid_energy_mae"][-1] < 0.5 * rows["valid_energy_mae"][0]
    assert rows["valid_energy_mae"][-1] < 0.05  # eV/atom; the structures spread by 0.13
    card = (weights.parent / "card.md").read_text()
    assert f"direct-pairs {model.hash}" in card


def test_network_energy_of_a_custom_network_has_direct_forces_and_uncertainty(weights):
    model = load_energy(f"direct-pairs:{weights}")
    atoms = molecule("H2O")
    reference = load_energy("gfn2").evaluate(atoms, forces=True)
    found = model.evaluate(atoms, forces=True, uncertainty=True)
    assert float(found.energy) == pytest.approx(float(reference.energy), abs=0.3)
    assert found.uncertainty is not None
    torch.testing.assert_close(found.forces.sum(0), torch.zeros(3).double(), atol=1e-4, rtol=0)


def test_relax_converges_with_forces_that_are_not_conservative(weights):
    model = load_energy(f"direct-pairs:{weights}")
    water = molecule("H2O")
    water.positions[1] += [0.0, 0.1, 0.05]
    result = relax(water, model, force_tolerance=0.05)
    assert result.converged.all()
    assert float(result.max_force[0]) <= 0.05


class NormedConfig(DirectConfig):
    """The settings of a network with buffers."""

    architecture: Literal["normed-pairs"] = "normed-pairs"


class NormedPairs(DirectPairs):
    """The network, with its messages normalised by running averages."""

    Config = NormedConfig

    def __init__(self, config):
        super().__init__(config)
        self.message.append(nn.BatchNorm1d(config.width))


@pytest.mark.bitwise
def test_fit_resumes_with_the_buffers_of_its_network(weights, tmp_path):
    NETWORKS.register("normed-pairs", NormedPairs)
    data = Dataset.load(weights.parents[1] / "water.npz")
    config = FitConfig(
        data=(), run_dir=str(tmp_path), network=NormedConfig(), steps=4, batch_size=8
    )
    atoms = load_energy("gfn2").atom_energies()
    begun = Fit(config, data, atoms, "cpu")
    train_saving(begun, tmp_path)
    buffers = {name: value.clone() for name, value in begun.network.named_buffers()}
    assert buffers["message.3.num_batches_tracked"] == 4
    errors = begun.errors(begun.valid_set)
    assert begun.network.training
    resumed = Fit(config, data, atoms, "cpu")
    restore_latest(resumed, tmp_path, print)
    for name, value in resumed.network.named_buffers():
        assert torch.equal(value, buffers[name]), name
    assert resumed.errors(resumed.valid_set) == errors
    model = load_energy(f"normed-pairs:{resumed.weights}")
    written = errors_of(model, data[data.split == 1])
    assert errors["valid_energy_mae"] == pytest.approx(
        float(written.energy_per_atom.abs().mean()), rel=1e-4
    )


def test_fit_refuses_terms_that_direct_forces_would_lack(weights, tmp_path, capsys):
    text = (weights.parent.parent / "fit.yaml").read_text().replace("/run\n", "/other\n")
    (tmp_path / "fit.yaml").write_text(text)
    assert main(["energy", "fit", str(tmp_path / "fit.yaml"), "dispersion=true"]) == 2
    assert "dispersion: forces of networks of architecture direct-pairs" in capsys.readouterr().err

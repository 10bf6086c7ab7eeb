import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from molrl.energy.networks.energy import SHIPPED
from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.potential import load_potential
from molrl.molecules import MoleculeBatch

NAMES = ["CH3OH", "H2O", "HCN", "CH3CONH2", "C6H6", "CH3SH"]


@pytest.fixture(scope="module")
def mace():
    """The network of a shipped model with vectors and charges, all with weights."""
    shipped = load_potential(SHIPPED["mace-small"])[0].network
    more = {"vector_channels": 3, "charges": True}
    torch.manual_seed(0)
    network = Mace(shipped.config.model_copy(update=more))
    network.start_from(shipped)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".to_" in name or "charge" in name:
                parameter.normal_(std=0.1)
    return network.requires_grad_(False)


def molecules(kind):
    """Molecules as they are, rattled or crowded; a single atom; far atoms; an empty canvas."""
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.positions += rng.normal(0, 0.2 if kind == "rattled" else 0.02, (len(image), 3))
        image.positions *= 0.8 if kind == "crowded" else 1
    odd = [
        (np.array([7]), np.zeros((1, 3))),
        (np.array([6, 8]), np.array([[0.0, 0, 0], [0, 0, 9]])),
        (np.array([], int), np.zeros((0, 3))),
    ]
    return MoleculeBatch.cat([MoleculeBatch.from_ase(images), MoleculeBatch.from_arrays(odd)])


def run(network, batch, dtype):
    graph = network.graph(batch, dtype)
    graph.positions.requires_grad_()
    found = network(graph)
    (gradient,) = torch.autograd.grad(found.energy.sum(), graph.positions)
    return found, -gradient


@pytest.mark.parametrize("kind", ["relaxed", "rattled", "crowded"])
def test_folded_mace_in_float32_computes_what_the_network_does(mace, kind):
    batch = molecules(kind)
    found, forces = run(mace.for_inference(), batch, torch.float32)
    wanted, exact_forces = run(copy.deepcopy(mace).double(), batch, torch.float64)
    per_atom = (found.energy - wanted.energy).abs() / batch.n_atoms.clamp(min=1)
    assert per_atom.max() < 1e-5
    torch.testing.assert_close(forces.double(), exact_forces, atol=1e-4, rtol=1e-5)
    for name in ("charges", "features", "site_energy"):
        ours, theirs = getattr(found, name).double(), getattr(wanted, name)
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("layers", [2, 3])
def test_folded_mace_in_float64_has_the_error_of_the_table_alone(layers):
    torch.manual_seed(layers)
    config = MaceConfig(elements=(1, 6, 7, 8, 16), channels=6, layers=layers, radial_mlp=(16, 8))
    network = Mace(config).double().requires_grad_(False)
    found, forces = run(network.for_inference(), molecules("relaxed"), torch.float64)
    wanted, exact_forces = run(network, molecules("relaxed"), torch.float64)
    torch.testing.assert_close(found.energy, wanted.energy, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(forces, exact_forces, atol=1e-4, rtol=1e-4)


def test_folded_mace_agrees_in_crystals_and_under_strain():
    torch.manual_seed(0)
    network = Mace(MaceConfig(elements=(6, 14), channels=6, radial_mlp=(16,)))
    network = network.double().requires_grad_(False)
    crystal = MoleculeBatch.from_ase([bulk("Si"), bulk("C", "diamond", a=3.6).repeat(2)])
    strain = 0.01 * torch.ones(2, 3, 3, dtype=torch.float64)
    found, wanted = (
        n(n.graph(crystal, torch.float64).strained(strain)).energy
        for n in (network, network.for_inference())
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_folded_mace_is_constant_below_the_first_knot(mace):
    folded = mace.for_inference()
    close = MoleculeBatch.from_arrays([(np.array([1, 6]), np.array([[0.0, 0, 0], [0, 0, 0.09]]))])
    closer = replace(close, positions=close.positions * 0.7)
    energies = [folded(folded.graph(x, torch.float32)).energy for x in (close, closer)]
    torch.testing.assert_close(*energies)

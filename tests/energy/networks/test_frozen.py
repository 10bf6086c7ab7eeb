from dataclasses import replace

import pytest
import torch
from ase.build import bulk, molecule

from molrl.energy.networks.config import parse_network
from molrl.energy.networks.frozen import FrozenPotential
from molrl.energy.networks.interface import build_network
from molrl.energy.networks.potential import Potential
from molrl.energy.networks.repulsion import repulsion_parameters
from molrl.energy.networks.terms import bond_limits, dispersion_parameters
from molrl.molecules import MoleculeBatch

ELEMENTS = (1, 6, 8, 16)
TERMS = {
    "repulsion": repulsion_parameters(ELEMENTS),
    "bond_limits": bond_limits(ELEMENTS),
    "dispersion": dispersion_parameters(ELEMENTS),
}


def potential(terms, charges=True):
    """A potential with some physical energies, and charges that are not 0."""
    config = {"elements": ELEMENTS, "channels": 8, "charges": charges, "radial_mlp": (8, 8)}
    network = build_network(parse_network(config), seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "charge" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    return Potential(network.requires_grad_(False), (0.0,) * 4, **{k: TERMS[k] for k in terms})


def run(model, molecules, dtype):
    graph = model.graph(molecules, dtype)
    graph.positions.requires_grad_()
    found = model(graph)
    (gradient,) = torch.autograd.grad(found.energy.sum(), graph.positions)
    return found.energy.double(), gradient.double()


@pytest.mark.parametrize("scale", [0.7, 1.0, 3.0])
@pytest.mark.parametrize(
    "terms", [(), ("repulsion",), ("bond_limits",), ("dispersion",), tuple(TERMS)]
)
@pytest.mark.parametrize("charges", [True, False])
def test_frozen_potential_computes_what_the_potential_does(terms, charges, scale):
    names = ["CH3OH", "C6H6", "CH3SH", "H2O"]
    batch = MoleculeBatch.from_ase([molecule(name) for name in names])
    batch = replace(batch, positions=scale * batch.positions)
    model = potential(terms, charges)
    frozen = FrozenPotential.of(model)
    exact = replace(model, network=model.network.double())
    for found, wanted in zip(
        run(frozen, batch, torch.float32), run(exact, batch, torch.float64), strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


def test_frozen_potential_repels_beyond_the_cutoff_as_the_potential_does():
    elements = (3,)
    config = {"elements": elements, "channels": 8, "cutoff": 3.0, "radial_mlp": (8, 8)}
    network = build_network(parse_network(config), seed=0).requires_grad_(False)
    terms = {"repulsion": repulsion_parameters(elements)}
    terms["dispersion"] = dispersion_parameters(elements)
    model = Potential(network, (0.0,), **terms)
    frozen = FrozenPotential.of(model)
    exact = replace(model, network=model.network.double())
    energies = []
    for distance in (2.999, 3.001):
        pair = MoleculeBatch.from_arrays([([3, 3], [[0, 0, 0], [0, 0, distance]])])
        found, _ = run(frozen, pair, torch.float32)
        wanted, _ = run(exact, pair, torch.float64)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        energies.append(float(wanted))
    assert energies[0] == pytest.approx(energies[1], abs=1e-3)


def test_frozen_potential_agrees_in_crystals_whose_pairs_are_images():
    crystal = MoleculeBatch.from_ase(bulk("C", "diamond", a=3.6))
    model = potential(tuple(TERMS))
    frozen = FrozenPotential.of(model)
    exact = replace(model, network=model.network.double())
    (found, _), (wanted, _) = (
        run(frozen, crystal, torch.float32),
        run(exact, crystal, torch.float64),
    )
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-5)

"""What a MACE has beyond that of mace-torch: vectors of neighbours, saturation, its start."""

import pytest
import torch
from ase import Atoms
from ase.build import molecule
from scipy.spatial.transform import Rotation

from molrl.energy.networks.config import parse_network
from molrl.energy.networks.interface import build_network
from molrl.energy.networks.terms import saturate
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

PLAIN = {"elements": (1, 6, 7, 8), "channels": 8, "radial_mlp": (16,)}


def network_with(seed=0, **settings):
    """A network whose messages of vectors are not 0."""
    network = build_network(parse_network({**PLAIN, **settings}), seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".to_" in name:
                parameter.normal_(generator=generator)
    return network


def energies(network, images):
    batch = MoleculeBatch.from_ase(images)
    return network(network.graph(batch, torch.float64)).energy.detach()


@pytest.mark.parametrize("layers", [2, 3])
def test_mace_with_vectors_is_invariant(layers):
    network = network_with(vector_channels=4, layers=layers)
    image = molecule("CH3CONH2")
    turned = image.copy()
    turned.positions = image.positions @ Rotation.random(rng=0).as_matrix().T + [1.0, -2.0, 0.5]
    mixed = image[[3, 0, 8, 1, 5, 2, 7, 4, 6]]
    found = energies(network, [image, turned, mixed])
    torch.testing.assert_close(found, found[:1].expand(3), rtol=1e-9, atol=1e-9)


def test_mace_mirror_images_have_the_same_energy():
    network = network_with(vector_channels=4)
    image = molecule("H2O2")
    mirrored = image.copy()
    mirrored.positions[:, 0] *= -1
    found = energies(network, [image, mirrored])
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_mace_with_vectors_sees_a_neighbour_turn_about_a_bond():
    """With a cutoff below the distance of the ends, only vectors tell the dihedral angle."""
    flat = Atoms("OCCO", [[-0.5, 1.1, 0], [0, 0, 0], [1.5, 0, 0], [2.0, 1.1, 0]])
    turned = flat.copy()
    turned.set_dihedral(0, 1, 2, 3, 90, indices=[3])
    # The ends see each other in neither, nor do they see the far atom of the bond.
    short = {"cutoff": 2.2}
    plain = energies(network_with(**short), [flat, turned])
    seeing = energies(network_with(vector_channels=4, **short), [flat, turned])
    assert float((plain[0] - plain[1]).abs()) < 1e-9
    assert float((seeing[0] - seeing[1]).abs()) > 1e-6


def test_start_from_a_plain_network_keeps_its_energies():
    plain = build_network(parse_network(PLAIN), seed=1).double()
    more = parse_network({**PLAIN, "vector_channels": 4, "charges": True})
    wider = build_network(more, seed=2).double()
    wider.start_from(plain)
    images = [molecule("CH3CONH2"), molecule("H2O")]
    torch.testing.assert_close(energies(wider, images), energies(plain, images))


def test_start_from_refuses_to_lose_vectors():
    plain = build_network(parse_network(PLAIN), seed=1)
    with pytest.raises(InputError, match="vector_channels"):
        plain.start_from(build_network(parse_network({**PLAIN, "vector_channels": 4}), seed=2))


def test_saturate_leaves_real_energies_and_bounds_the_others():
    energy = torch.linspace(-100, 10, 100_001, dtype=torch.float64, requires_grad=True)
    lowest = torch.full_like(energy, -10.0)
    found = saturate(energy, lowest)
    (slope,) = torch.autograd.grad(found.sum(), energy)
    real = energy >= -10
    assert torch.equal(found[real], energy[real])
    assert found.min() >= -12.5
    assert float(slope.min()) >= 0
    assert float((slope[1:] - slope[:-1]).abs().max()) < 1e-3

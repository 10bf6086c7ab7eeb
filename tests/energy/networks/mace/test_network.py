import warnings

import numpy as np
import pytest
import torch
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from molrl.energy.mace_torch.batching import build_mace_torch
from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.mace.products import invariants
from molrl.energy.networks.potential import Potential
from molrl.energy.networks.repulsion import repulsion_parameters
from molrl.molecules import MoleculeBatch

NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "CH3CONH2", "C6H6", "CO2", "CH3CH2OH", "CH3SH"]
ELEMENTS = (1, 6, 7, 8, 16)
ENERGIES = (-10.0, -49.0, -71.0, -103.0, -85.0)
N_PROBES = 200  # random features at which invariants are compared


@pytest.fixture(scope="module")
def batch():
    """Distorted molecules, a single atom, two atoms far apart, and an empty canvas."""
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.positions += rng.normal(0, 0.05, image.positions.shape)
    far = (np.array([6, 8]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]]))
    odd = [(np.array([7]), np.zeros((1, 3))), far, (np.array([], dtype=int), np.zeros((0, 3)))]
    return MoleculeBatch.cat([MoleculeBatch.from_ase(images), MoleculeBatch.from_arrays(odd)])


def run(potential, molecules):
    """Return energies, forces and features in float64."""
    graph = potential.network.graph(molecules, torch.float64)
    graph.positions.requires_grad_()
    energy, features = potential(graph)[:2]
    (gradient,) = torch.autograd.grad(energy.sum(), graph.positions)
    return energy.detach(), -gradient, features.detach()


def converted(network, config):
    """Return a MACE with the energies of a network of mace-torch, from ``build_mace_torch``."""
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
            f"{layer}.product": product_weights(contraction),
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


def product_weights(contraction):
    """Return the weights ``(n_elements, 9, channels)`` of our invariants.

    mace-torch has more invariants of degree 3, because it does not use that the three factors are
    the same features. Each of them is a linear combination of ours, whose coefficients are fitted
    at random features.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N_PROBES, 9, dtype=torch.float64, generator=generator)
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


@pytest.mark.parametrize("layers", [2, 3])
def test_mace_computes_the_same_as_mace_torch(batch, layers):
    from mace.calculators import MACECalculator

    torch.manual_seed(layers)
    config = MaceConfig(elements=ELEMENTS, channels=6, layers=layers, radial_mlp=(16, 8))
    theirs = build_mace_torch(config, ENERGIES).double()
    ours = Potential(converted(theirs, config).double(), ENERGIES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = MACECalculator(models=[theirs], device="cpu", default_dtype="float64")
    energy, forces, features = run(ours, batch)
    isolated = batch.sum_atoms(ours.energy_table()[batch.numbers])
    for i, atoms in enumerate(batch.to_ase()):
        if len(atoms) < 3:  # without neighbours, which mace-torch's list does not take
            assert float(energy[i]) == 0
            continue
        atoms.calc = calculator
        here = batch.molecule == i
        assert float(energy[i] + isolated[i]) == pytest.approx(
            atoms.get_potential_energy(), abs=1e-5
        )
        np.testing.assert_allclose(forces[here].numpy(), atoms.get_forces(), atol=1e-5)
        descriptors = calculator.get_descriptors(atoms, invariants_only=True)
        np.testing.assert_allclose(features[here].numpy(), descriptors, atol=1e-5)


@pytest.fixture(scope="module")
def potential():
    torch.manual_seed(0)
    network = Mace(MaceConfig(elements=ELEMENTS, channels=8)).double()
    return Potential(network, ENERGIES, repulsion_parameters(ELEMENTS))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mace_is_equivariant_under_rotation_and_reflection(potential, batch, seed):
    rng = np.random.default_rng(seed)
    turn = torch.from_numpy(np.linalg.qr(rng.normal(size=(3, 3)))[0])
    turned = MoleculeBatch(
        batch.numbers,
        batch.positions @ turn.T + torch.from_numpy(rng.normal(size=3)),
        batch.n_atoms,
    )
    before, after = run(potential, batch), run(potential, turned)
    torch.testing.assert_close(after[0], before[0], atol=1e-8, rtol=0)
    torch.testing.assert_close(after[1], before[1] @ turn.T, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(after[2], before[2], atol=1e-8, rtol=1e-8)


def test_mace_is_equivariant_under_permutation(potential, batch):
    atoms = batch.to_ase()[5]
    order = np.random.default_rng(1).permutation(len(atoms))
    straight = run(potential, MoleculeBatch.from_ase([atoms]))
    shuffled = run(potential, MoleculeBatch.from_ase([atoms[order]]))
    torch.testing.assert_close(shuffled[0], straight[0])
    torch.testing.assert_close(shuffled[1], straight[1][order])
    torch.testing.assert_close(shuffled[2], straight[2][order])


def test_mace_is_the_same_alone_and_in_a_batch(potential, batch):
    energy, forces, features = run(potential, batch)
    for i in range(len(batch) - 1):
        alone = run(potential, batch[i])
        here = batch.molecule == i
        torch.testing.assert_close(alone[0][0], energy[i], atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(alone[1], forces[here], atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(alone[2], features[here], atol=1e-10, rtol=1e-10)


def test_mace_forces_are_the_negative_gradient(potential, batch):
    few = batch[:3]
    _, forces, _ = run(potential, few)
    rng = np.random.default_rng(2)
    along = torch.from_numpy(rng.normal(size=few.positions.shape))
    step = 1e-5

    def moved(by):
        molecules = MoleculeBatch(few.numbers, few.positions + by * along, few.n_atoms)
        return run(potential, molecules)[0]

    slope = (moved(step) - moved(-step)) / (2 * step)
    torch.testing.assert_close(
        slope, -few.sum_atoms((forces * along).sum(-1)), rtol=1e-6, atol=1e-6
    )


def test_mace_energy_is_zero_without_neighbors(potential, batch):
    energy, forces, _ = run(potential, batch)
    n = len(NAMES)
    assert energy[n] == 0  # a single atom
    assert energy[n + 2] == 0  # an empty canvas
    assert (forces[batch.molecule == n + 1] == 0).all()

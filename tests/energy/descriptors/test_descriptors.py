import numpy as np
import pytest
import torch
from ase.build import molecule
from torch.utils.flop_counter import FlopCounterMode

from molrl.energy import load_energy
from molrl.energy.descriptors import load_descriptors
from molrl.energy.descriptors.mace_torch import MaceTorchDescriptors
from molrl.energy.descriptors.network import NetworkDescriptors
from molrl.energy.mace_torch.batching import build_mace_torch
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.energy.networks.mace.network import MaceConfig
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

NAMES = ("CH3CH2OH", "C6H6", "CH3NO2", "H2O")


@pytest.fixture(scope="module")
def molecules():
    return MoleculeBatch.from_ase([molecule(name) for name in NAMES])


@pytest.fixture(scope="module")
def descriptors():
    return load_descriptors("mace-small", "cpu")


def rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return torch.from_numpy(q * np.sign(np.linalg.det(q)))


def exact(core=0.0):
    network = load_energy("mace-small", "cpu").potential.network
    return NetworkDescriptors(network, core=core, dtype=torch.float64)


def test_descriptors_equal_the_first_layer_of_the_whole_network(molecules, descriptors):
    network = load_energy("mace-small", "cpu").potential.network
    whole = network(network.graph(molecules, torch.float32)).features[:, :64]
    assert torch.allclose(descriptors(molecules), whole, atol=2e-5)


def test_descriptors_in_float64_equal_the_first_layer_in_float64(molecules):
    import copy

    network = copy.deepcopy(load_energy("mace-small", "cpu").potential.network).double()
    whole = network(network.graph(molecules, torch.float64)).features[:, :64]
    assert torch.allclose(exact()(molecules), whole, atol=1e-6)


def test_descriptors_are_invariant_and_follow_permutations(molecules, descriptors):
    turned = molecules.positions @ rotation(0).T + 3.0
    moved = MoleculeBatch(molecules.numbers, turned, molecules.n_atoms)
    found = descriptors(molecules)
    assert torch.allclose(descriptors(moved), found, atol=2e-5)
    first = molecules[0]
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    mixed = MoleculeBatch(first.numbers[order], first.positions[order], first.n_atoms)
    assert torch.allclose(descriptors(mixed), descriptors(first)[order], atol=2e-5)


def test_descriptors_gradient_equals_finite_differences(molecules):
    compute, one = exact(), molecules[0]
    x = one.positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(compute(one, x).square().sum(), x)
    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        step = torch.zeros_like(one.positions)
        step[atom, axis] = 1e-5
        ends = [compute(one, one.positions + s).square().sum() for s in (step, -step)]
        slope = float(ends[0] - ends[1]) / 2e-5
        assert slope == pytest.approx(float(gradient[atom, axis]), rel=1e-4, abs=1e-5)


def test_descriptors_are_flat_in_a_clash():
    def at(length, core):
        pair = MoleculeBatch(
            torch.tensor([6, 6]), torch.tensor([[0.0, 0, 0], [0, 0, length]]), torch.tensor([2])
        )
        return exact(core)(pair)

    assert torch.allclose(at(0.3, 0.75), at(0.7, 0.75))
    assert not torch.allclose(at(0.3, 0.0), at(0.7, 0.0))


def test_descriptors_cost_less_than_an_energy(molecules, descriptors):
    def products(call):
        with FlopCounterMode(display=False) as counter:
            call(MoleculeBatch(molecules.numbers, molecules.positions, molecules.n_atoms))
        return counter.get_total_flops()

    energy = load_energy("mace-small", "cpu").ignoring_charge().evaluate
    assert 0 < products(descriptors) < 0.8 * products(energy)


def test_descriptors_of_mace_torch_equal_its_first_layer(molecules):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_mace_torch(MaceConfig(elements=(1, 6, 7, 8), channels=4), (0.0,) * 4)
    model = MaceModuleEnergy(network, "random", digest="")
    compute = MaceTorchDescriptors(model)
    whole = model.evaluate(molecules, descriptors=True).descriptors
    assert torch.allclose(compute(molecules), whole[:, :4], atol=1e-6)
    x = molecules.positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(compute(molecules, x).sum(), x)
    assert gradient.abs().max() > 0
    assert len(model.network.interactions) == 2  # the model itself is unchanged


def test_load_descriptors_refuses_a_model_without_a_network():
    with pytest.raises(InputError, match="has no descriptors"):
        load_descriptors("gfn2")

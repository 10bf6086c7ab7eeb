import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy.descriptors import load_descriptors, without_duplicates
from molrl.energy.descriptors.tensor_reduced import TensorReducedDescriptors
from molrl.molecules import MoleculeBatch


def exact():
    return TensorReducedDescriptors(dtype=torch.float64)


def turned(batch, seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    x = batch.positions @ torch.from_numpy(q) + 2.0
    return MoleculeBatch(batch.numbers, x, batch.n_atoms)


@pytest.fixture(scope="module")
def molecules():
    return MoleculeBatch.from_ase([molecule(n) for n in ("CH3CH2OH", "C6H6", "CH3OCH3", "CH3SH")])


def test_tensor_reduced_is_invariant_and_follows_permutations(molecules):
    found = exact()(molecules)
    assert torch.allclose(exact()(turned(molecules)), found, atol=1e-6)
    one = molecules[0]
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    mixed = MoleculeBatch(one.numbers[order], one.positions[order], one.n_atoms)
    assert torch.allclose(exact()(mixed), exact()(one)[order], atol=1e-6)


def test_tensor_reduced_tells_elements_apart_in_as_many_numbers(molecules):
    swapped = MoleculeBatch(molecules.numbers + 1, molecules.positions, molecules.n_atoms)
    first, second = exact()(molecules), exact()(swapped)
    assert first.shape == second.shape
    assert float((first - second).abs().amax(-1).min()) > 0.01


def test_tensor_reduced_gradient_equals_finite_differences(molecules):
    one, compute = molecules[0], exact()
    x = one.positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(compute(one, x).square().sum(), x)
    step = torch.zeros_like(one.positions)
    step[2, 1] = 1e-5
    ends = [float(compute(one, one.positions + s).square().sum()) for s in (step, -step)]
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(gradient[2, 1]), rel=1e-4)


@pytest.mark.parametrize("name", ["mace-small", "tensor-reduced"])
def test_without_duplicates_drops_turned_and_mixed_molecules_only(molecules, name):
    known = molecules[:3]
    noise = 0.005 * torch.randn(
        len(known.numbers), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    again = turned(MoleculeBatch(known.numbers, known.positions + noise, known.n_atoms))
    far = MoleculeBatch(known.numbers, 1.1 * known.positions, known.n_atoms)
    every = MoleculeBatch.cat([known, again, far])
    left = without_duplicates(every, load_descriptors(name, "cpu"))
    assert left.tolist() == [0, 1, 2, 6, 7, 8]

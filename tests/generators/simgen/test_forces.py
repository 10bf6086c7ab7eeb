from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from molrl.bags import Bag
from molrl.energy import load_energy
from molrl.energy.descriptors import SimilarityKernel
from molrl.energy.descriptors.network import NetworkDescriptors
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.forces import Forces
from molrl.generators.simgen.integrator import heun_step, noise_scale
from molrl.generators.simgen.priors import Prior, choose_prior, strength
from molrl.generators.simgen.reference import reference_skeletons
from molrl.generators.simgen.settling import settle
from molrl.generators.simgen.skeletons import Skeletons
from molrl.tasks.interface import Instance

PLAIN = SimgenConfig(max_force=1e9, prior_strength=0)


@pytest.fixture(scope="module")
def descriptors():
    network = load_energy("mace-small", "cpu").potential.network
    return NetworkDescriptors(network, dtype=torch.float64)


@pytest.fixture(scope="module")
def kernel(descriptors):
    reference = reference_skeletons([Bag("C4H8O")], 20).to(dtype=torch.float64)
    return SimilarityKernel(descriptors(reference)).balanced(1.0, 120.0)


def ball(n=1, config=PLAIN):
    return Prior(config, torch.eye(3).double(), torch.zeros(n, 0, 3).double())


def draw_skeletons(seed=0, n=2, scale=1.0):
    x = torch.randn(5 * n, 3, generator=torch.Generator().manual_seed(seed)).double()
    return Skeletons(torch.tensor([6, 6, 8, 6, 6] * n), scale * x, torch.tensor([5] * n))


def rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return torch.from_numpy(q * np.sign(np.linalg.det(q)))


def test_force_equals_finite_differences(descriptors, kernel):
    forces, one = Forces(descriptors, kernel, ball(), PLAIN), draw_skeletons(n=1)
    found = forces(one, 0.3)

    def value(x):
        at = replace(one, positions=x)
        r = torch.pdist(x)
        return float(forces.log_similarities(at, 0.3).sum() - (torch.exp(-8 * r) / 3).sum())

    for atom, axis in ((0, 0), (2, 1), (4, 2)):
        step = torch.zeros_like(one.positions)
        step[atom, axis] = 1e-5
        slope = (value(one.positions + step) - value(one.positions - step)) / 2e-5
        assert slope == pytest.approx(float(found[atom, axis]), rel=1e-3, abs=1e-4)


def test_force_turns_with_the_atoms_and_follows_their_order(descriptors, kernel):
    config = SimgenConfig()
    forces, one = Forces(descriptors, kernel, ball(config=config), config), draw_skeletons(n=1)
    turn, found = rotation(1), forces(one, 0.3)
    turned = forces(replace(one, positions=one.positions @ turn.T), 0.3)
    assert torch.allclose(turned, found @ turn.T, atol=1e-5)
    order = torch.tensor([3, 1, 4, 0, 2])
    mixed = replace(one, numbers=one.numbers[order], positions=one.positions[order])
    assert torch.allclose(forces(mixed, 0.3), found[order], atol=1e-5)


def test_force_of_a_molecule_does_not_depend_on_the_batch(descriptors, kernel):
    forces, two = Forces(descriptors, kernel, ball(2), PLAIN), draw_skeletons(n=2)
    alone = torch.cat([forces(two[i], 0.3) for i in range(2)])
    assert torch.allclose(forces(two, 0.3), alone, atol=1e-8)


def test_settle_removes_noise_and_moves_no_fixed_atom(descriptors, kernel):
    known = reference_skeletons([Bag("C4H8O")], 4).to(dtype=torch.float64)
    noise = torch.randn(known.positions.shape, generator=torch.Generator().manual_seed(0)).double()
    fixed = torch.zeros(len(known.numbers), dtype=torch.bool)
    fixed[0] = True
    noise[fixed] = 0
    noisy = replace(known, positions=known.positions + 0.04 * noise, fixed=fixed)
    forces = Forces(descriptors, kernel, ball(4), PLAIN)
    settled = settle(noisy, forces, PLAIN)
    before, after = (
        float(kernel.squared_distance(descriptors(batch)).mean()) for batch in (noisy, settled)
    )
    assert after < 0.2 * before
    assert torch.equal(settled.positions[0], known.positions[0])
    assert forces.evaluations > 8
    assert settle(noisy, forces, SimgenConfig(settle_steps=0)) is noisy


def test_force_is_cut_finite_in_a_clash_and_0_on_fixed_atoms(descriptors, kernel):
    config = SimgenConfig(prior_strength=0, repulsion=0)
    two = draw_skeletons(scale=0.05)
    two = replace(two, fixed=torch.tensor([True, False, False, False, False] * 2))
    found = Forces(descriptors, kernel, ball(2), config)(two, 0.01)
    assert bool(torch.isfinite(found).all())
    assert float(found.norm(dim=-1).max()) <= config.max_force + 1e-9
    assert not found[two.fixed].any()
    assert found[~two.fixed].any()


def test_kernel_keeps_no_matrix_of_atoms_and_references_for_the_backward_pass(kernel):
    sizes = []
    x = torch.randn(300, 64, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: (sizes.append(t.numel()), t)[1], lambda t: t
    ):
        kernel.log_similarity(x, 50.0)
    assert max(sizes) <= x.numel()


def test_strength_is_the_published_one():
    assert float(strength(torch.tensor([9]))[0]) == pytest.approx(0.45 / 0.5349**2, rel=1e-4)


def test_prior_pulls_to_the_origin_or_the_points():
    config = SimgenConfig(prior_strength=1, prior_fade=1e6)
    one = draw_skeletons(n=1)
    scale = float(strength(torch.tensor([5]))[0])
    assert torch.allclose(ball(1, config).force(one, 1.0), -scale * one.positions, atol=1e-6)
    point = torch.tensor([[[1.0, 2.0, 3.0]]]).double()
    cloud = Prior(config, torch.eye(3).double(), point)
    assert torch.allclose(cloud.force(one, 1.0), scale * (point[0] - one.positions), atol=1e-6)
    assert float(cloud.force(one, 0.0).abs().max()) == 0


def test_choose_prior_has_a_covariance_of_determinant_1():
    given = {"kind": "gaussian", "widths": [1, 1, 4]}
    prior = choose_prior(given, [Instance(Bag("CH4"))], SimgenConfig())
    assert float(torch.linalg.det(prior.inverse)) == pytest.approx(1.0, abs=1e-5)
    assert float(prior.inverse[0, 0] / prior.inverse[2, 2]) == pytest.approx(16.0, rel=1e-5)


def test_noise_scale_without_churn_is_the_least_noise():
    assert noise_scale(0.5, SimgenConfig(churn=1.0)) == (0.5, 0.01)
    raised, scale = noise_scale(0.5, SimgenConfig())
    assert raised == pytest.approx(0.65)
    assert scale == pytest.approx(0.5 * (0.65**2 - 0.5**2) ** 0.5)
    assert noise_scale(0.001, SimgenConfig())[0] == 0.001


def test_heun_step_is_that_of_a_linear_force_and_is_finite_without_churn():
    config = SimgenConfig(churn=1.0, min_noise=0.0)
    one = draw_skeletons(n=1)
    noise = torch.ones_like(one.positions)
    moved = heun_step(one, lambda at, sigma: -at.positions, noise, (0.5, 0.3), config)
    h = 0.2
    assert torch.allclose(moved.positions, one.positions * (1 - h + h * h / 2))


def test_heun_step_leaves_fixed_atoms():
    one = replace(draw_skeletons(n=1), fixed=torch.tensor([True, False, False, False, True]))
    noise = torch.ones_like(one.positions)
    still = heun_step(one, lambda at, s: torch.zeros_like(at.positions), noise, (1.0, 0.9), PLAIN)
    moved = (still.positions - one.positions).abs().sum(-1) > 0
    assert torch.equal(moved, ~one.fixed)


def test_sharpness_and_times_are_the_published_ones():
    config = SimgenConfig()
    at = [round(config.sharpness_at(t)) for t in (10.0, 1.0, 0.1, 0.01, 0.001, 0.0)]
    assert at == [1, 53, 82, 99, 108, 120]
    sigmas = config.sigmas()
    assert (len(sigmas), sigmas[0], round(sigmas[24], 6)) == (50, 1.0, 0.05)
    assert sigmas[-1] == pytest.approx(0.001)
    assert all(a > b for a, b in pairwise(sigmas))
    assert config.temperature_at(0.0) == pytest.approx(0.3)

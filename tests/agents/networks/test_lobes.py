import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from molrl.agents.networks.bonds import free_log_weights
from molrl.agents.networks.lobes import DirectionDensity, Lobes
from molrl.agents.networks.sphere import SphericalDensity

AXIS = torch.nn.functional.normalize(torch.tensor([0.3, 0.5, -0.2], dtype=torch.float64), dim=0)
SHAPES = [(0.0, 1.5), (0.0, 2000.0), (1.9, 30.0), (2.5, 2000.0), (0.0005, 1.5)]


def lobe(n, angle, kappa):
    return Lobes(
        torch.zeros(n, 1, dtype=torch.float64),
        AXIS.expand(n, 1, 3),
        torch.full((n, 1), angle, dtype=torch.float64),
        torch.full((n, 1), kappa, dtype=torch.float64),
    )


@pytest.mark.parametrize(("angle", "kappa"), SHAPES)
def test_lobes_integrate_to_one(angle, kappa, product_grid):
    points, weights = product_grid()
    log_p = lobe(len(points), angle, kappa).log_prob(points)[:, 0]
    assert float((weights * log_p.exp()).sum()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("angle", "kappa"), [(0.0, 2000.0), (1.9, 200.0), (2.5, 2000.0)])
def test_lobe_entropy_is_that_of_its_samples_where_it_is_sharp(angle, kappa):
    lobes = lobe(20_000, angle, kappa)
    noise = torch.rand(20_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = lobes.sample(torch.zeros(20_000, dtype=torch.long), noise)
    assert (drawn.norm(dim=-1) - 1).abs().max() < 1e-6
    mean = -float(lobes.log_prob(drawn).mean())
    assert mean == pytest.approx(float(lobes.entropy()[0, 0]), abs=0.03)


def mixture(n):
    """Return n times a smooth density of degree 1 with a lobe, a cone and no lobe."""
    coefficients = torch.tensor([0.0, 1.0, -2.0, 0.5], dtype=torch.float64).expand(n, -1)
    lobes = Lobes(
        torch.tensor([1.0, 0.5, -torch.inf], dtype=torch.float64).expand(n, -1),
        torch.stack([AXIS, -AXIS, AXIS]).expand(n, -1, -1),
        torch.tensor([0.0, 1.2, 0.0], dtype=torch.float64).expand(n, -1),
        torch.tensor([80.0, 40.0, 1.0], dtype=torch.float64).expand(n, -1),
    )
    return DirectionDensity(
        SphericalDensity(coefficients), torch.zeros(n, dtype=torch.float64), lobes
    )


def test_direction_density_integrates_to_one(product_grid):
    points, weights = product_grid(64)
    p = mixture(len(points)).log_prob(points).exp()
    assert float((weights * p).sum()) == pytest.approx(1, abs=1e-3)


def test_density_of_the_lobes_alone_is_the_mixture_without_the_smooth_density(product_grid):
    points, weights = product_grid(64)
    density = mixture(len(points))
    whole, alone = density.log_probs(points)
    assert float((weights * alone.exp()).sum()) == pytest.approx(1, abs=1e-3)
    smooth = density.log_weights[:, 0] + density.smooth.log_prob(points)
    lobes = (1 - density.log_weights[:, 0].exp()).log() + alone
    torch.testing.assert_close(torch.logaddexp(smooth, lobes), whole)


def test_density_of_no_lobes_is_zero_and_has_a_finite_gradient():
    density, directions = mixture(4), AXIS.expand(4, 3)
    logits = torch.full((4, 3), -torch.inf, dtype=torch.float64)
    coefficients = density.smooth.coefficients.clone().requires_grad_()
    none = DirectionDensity(
        SphericalDensity(coefficients),
        torch.zeros(4).double(),
        replace(density.lobes, logits=logits),
    )
    whole, alone = none.log_probs(directions)
    torch.testing.assert_close(whole, none.smooth.log_prob(directions))
    assert (alone == 0).all()
    torch.autograd.backward((whole + alone).sum())
    assert coefficients.grad.isfinite().all()


def test_lobes_far_from_a_direction_learn_it_by_themselves_only():
    """One sharp lobe 30 degrees from the direction, beside a smooth density that holds it."""
    turned = torch.tensor([30.0], dtype=torch.float64).deg2rad().requires_grad_()
    across = torch.nn.functional.normalize(torch.linalg.cross(AXIS, AXIS.roll(1)), dim=0)
    center = turned.cos() * AXIS + turned.sin() * across
    lobes = replace(lobe(1, 0.0, 2000.0), centers=center[None, None])
    smooth = SphericalDensity(torch.zeros(1, 4, dtype=torch.float64))
    whole, alone = DirectionDensity(smooth, torch.zeros(1).double(), lobes).log_probs(AXIS[None])
    (of_whole,) = torch.autograd.grad(whole.sum(), turned, retain_graph=True)
    (of_alone,) = torch.autograd.grad(alone.sum(), turned)
    assert abs(float(of_whole)) < 1e-30
    assert float(of_alone) == pytest.approx(-2000 * math.sin(math.radians(30)), rel=1e-3)


def test_direction_samples_follow_the_density(product_grid):
    """The mean of the density over its samples is the integral of its square."""
    n, (points, weights) = 20_000, product_grid(64)
    noise = torch.rand(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    density = mixture(1000)
    drawn = torch.cat([density.log_prob(density.sample(x)).exp() for x in noise.split(1000)])
    square = float((weights * mixture(len(points)).log_prob(points).exp().square()).sum())
    assert float(drawn.mean()) == pytest.approx(square, abs=5 * float(drawn.std()) / np.sqrt(n))


def test_direction_mode_is_the_highest_point(product_grid):
    points, _ = product_grid(96)
    highest = points[mixture(len(points)).log_prob(points).argmax()]
    assert float(mixture(1).mode()[0] @ highest) > 0.999


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tempered_directions_have_the_density_to_the_power_1_over_t(temperature, product_grid):
    points, weights = product_grid(96)
    density = mixture(len(points))
    density.log_weights = torch.log_softmax(
        density.log_weights + torch.tensor([-torch.inf, 0, 0, 0]), 1
    )
    power = (density.log_prob(points) / temperature).exp()
    power = power / (weights * power).sum()
    tempered = density.tempered(temperature).log_prob(points).exp()
    assert float((weights * (tempered - power).abs()).sum()) < 0.1


def test_lobes_lose_their_weight_where_a_bond_of_the_focal_atom_lies():
    angles = torch.tensor([0.0, 15.0, 27.0, 40.0, 90.0]).deg2rad()
    centers = torch.stack([angles.sin(), torch.zeros(5), angles.cos()], -1)[None]
    bonds = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    whole, half, none = (
        free_log_weights(centers, torch.tensor([[strength, 0.0]]), bonds)[0]
        for strength in (1.0, 0.5, 0.0)
    )
    assert (whole[:2] < -9).all()  # a factor of 1e-4
    assert -9 < whole[2] < -0.1
    assert (whole[3:] == 0).all()
    assert half[:2].exp() == pytest.approx(0.5)
    assert (none == 0).all()

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from molrl.agents.networks.encoder import degree_index
from molrl.agents.networks.sphere import (
    SphericalDensity,
    cap_sharpness,
    harmonics,
    inverse_cdf,
    lebedev,
    rotate,
)
from molrl.safe_e3nn import o3

SHARPNESS = 20.0
DEGREE = 4


def densities(sharpness=SHARPNESS, degree=DEGREE):
    """Return random and extreme densities: zonal functions of single degrees and sums."""
    generator = torch.Generator().manual_seed(1)
    n = 20
    axes = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
    zonal = harmonics(axes.double(), degree)
    degrees = degree_index(degree)
    shapes = [(degrees == l).double() for l in range(1, degree + 1)]  # noqa: E741 - l is the degree
    shapes += [(2 * degrees + 1) * (degrees > 0), (degrees > 0).double()]
    parts = [sign * zonal * shape for shape in shapes for sign in (1, -1)]
    parts.append(torch.randn(n, len(degrees), generator=generator, dtype=torch.float64))
    return cap_sharpness(1e4 * torch.cat(parts), sharpness)


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_harmonics_are_those_of_e3nn(degree):
    generator = torch.Generator().manual_seed(5)
    vectors = 3 * torch.randn(4, 6, 3, generator=generator, dtype=torch.float64)
    degrees = list(range(degree + 1))
    expected = o3.spherical_harmonics(degrees, vectors, normalize=True, normalization="norm")
    assert torch.allclose(harmonics(vectors, degree), expected, atol=1e-12)
    assert harmonics(vectors[:0], degree).shape == (0, 6, (degree + 1) ** 2)


def test_rotated_functions_are_those_of_the_wigner_matrices():
    generator = torch.Generator().manual_seed(6)
    coefficients = torch.randn(9, 36, generator=generator, dtype=torch.float64)
    angles = 3 * torch.randn(3, 9, generator=generator, dtype=torch.float64)
    matrices = o3.Irreps.spherical_harmonics(5).D_from_angles(*angles)
    expected = torch.einsum("nij,nj->ni", matrices, coefficients)
    assert torch.allclose(rotate(coefficients, *angles), expected, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 4, 5])
@pytest.mark.parametrize("sharpness", [0.01, 5.0, SHARPNESS])
def test_spherical_density_integrates_to_one(sharpness, degree, product_grid):
    points, weights = product_grid()
    coefficients = densities(sharpness, degree)
    density = SphericalDensity(coefficients)
    f = coefficients @ harmonics(points, degree).T
    mass = ((f - density.log_z[:, None]).exp() * weights).sum(-1)
    assert (mass - 1).abs().max() < 1e-3


def test_cap_sharpness_is_reached_and_not_exceeded(product_grid):
    points, _ = product_grid(64)
    f = densities() @ harmonics(points, DEGREE).T
    assert f.abs().max() <= SHARPNESS * (1 + 1e-6)
    assert f.abs().max() > 0.99 * SHARPNESS


def test_cap_sharpness_keeps_small_coefficients():
    generator = torch.Generator().manual_seed(3)
    weak = 1e-3 * torch.randn(5, 25, generator=generator, dtype=torch.float64)
    assert torch.allclose(cap_sharpness(weak, SHARPNESS), weak, rtol=1e-4)


@pytest.mark.parametrize("which", [0, 60, -1])
def test_spherical_samples_follow_the_density(which, product_grid):
    coefficients = densities(6.0)[which].float()
    n = 40_000
    generator = torch.Generator().manual_seed(2)
    density = SphericalDensity(coefficients[None])
    noise = torch.rand(n, 4, generator=generator).split(1000)  # in the cache
    samples = torch.cat([density.sample(part) for part in noise]).double()
    assert torch.allclose(samples.norm(dim=-1), torch.ones(n, dtype=torch.float64), atol=1e-5)

    points, weights = product_grid(96)
    mass = SphericalDensity(coefficients[None].double()).log_prob(points)
    expected = np.zeros(12 * 12)
    np.add.at(expected, bins(points), (mass.exp() * weights).numpy())
    observed = np.bincount(bins(samples), minlength=144)
    common = expected * n > 5
    counts = np.append(observed[common], observed[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum()) * n
    keep = wanted > 0
    assert chisquare(counts[keep], wanted[keep] * counts.sum() / wanted[keep].sum()).pvalue > 1e-3


def bins(points, n=12):
    """Return cells of equal area in z and longitude, rotated off the symmetry axes of the grids."""
    turned = points @ o3.angles_to_matrix(*torch.tensor([0.3, 0.7, 1.1]).double()).T
    z = ((turned[:, 2] + 1) / 2 * n).clamp(0, n - 1e-9).long()
    longitude = torch.atan2(turned[:, 1], turned[:, 0]) / (2 * math.pi) + 0.5
    return (z * n + (longitude * n).clamp(0, n - 1e-9).long()).numpy()


def test_spherical_entropy_is_the_mean_of_minus_log_prob(product_grid):
    density = SphericalDensity(densities(8.0))
    points, weights = product_grid()
    f = density.coefficients @ harmonics(points, DEGREE).T - density.log_z[:, None]
    assert torch.allclose(density.entropy(), -(f.exp() * f * weights).sum(-1), atol=1e-3)
    assert density.entropy().max() <= 1e-6


def test_spherical_density_rotates_with_its_coefficients(turn):
    coefficients = densities()
    rotation = turn(0, torch.float64)
    irreps = o3.Irreps.spherical_harmonics(DEGREE)
    turned = coefficients @ irreps.D_from_matrix(rotation).T
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(len(coefficients), 3, generator=generator, dtype=torch.float64)
    points = torch.nn.functional.normalize(points, dim=-1)
    before = SphericalDensity(coefficients).log_prob(points)
    after = SphericalDensity(turned).log_prob(points @ rotation.T)
    assert torch.allclose(before, after, atol=1e-4)


def test_spherical_mode_has_the_highest_density(product_grid):
    density = SphericalDensity(densities(8.0))
    mode = density.mode()
    points, _ = product_grid(24)
    f = density.coefficients @ harmonics(points, DEGREE).T - density.log_z[:, None]
    assert (density.log_prob(mode) > f.max(-1).values - 0.1).all()


def test_inverse_cdf_draws_no_index_of_probability_zero():
    p = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).expand(4, -1)
    drawn = inverse_cdf(p, torch.tensor([0.0, 0.4999, 0.5, 1.0]))
    assert drawn.tolist() == [1, 1, 3, 3]


def test_lebedev_integrates_harmonics():
    points, weights = lebedev(17)
    assert torch.allclose(
        (harmonics(points, 8) * weights[:, None]).sum(0)[1:].abs().max(),
        torch.tensor(0.0, dtype=torch.float64),
        atol=1e-12,
    )

"""Samplers on targets whose denoiser is known."""

import re

import numpy as np
import pytest
import torch

import molrl
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.generators.diffusion.cloud import Cloud
from molrl.generators.diffusion.config import SamplingConfig
from molrl.generators.diffusion.guidance import EnergyGuide, ShapeGuide
from molrl.generators.diffusion.sampling import Draws, euler, heun, relax
from molrl.generators.diffusion.steering import Steering

N, ATOMS, WIDTH = 600, 4, 0.7


def noise(width, seed=0):
    """Centred noise of N molecules of which all elements are known, and its source."""
    mask = torch.ones(N, ATOMS, dtype=torch.bool)
    zeros = torch.zeros(N, ATOMS, 3, dtype=torch.float64)
    cloud = Cloud(zeros, zeros[..., :1], mask, torch.zeros_like(mask), mask)
    draws = Draws([np.random.default_rng([seed, i]) for i in range(N)], [ATOMS] * N, zeros)
    return draws.add(cloud, torch.full((N,), width)), draws


def gaussian(cloud, sigma):
    """The exact denoiser of centred normal data."""
    share = WIDTH**2 / (WIDTH**2 + sigma.double() ** 2)
    return cloud.at(cloud.positions * share[:, None, None])


@pytest.mark.parametrize(("evaluations", "churn"), [(59, 0.0), (199, 0.3)])
def test_heun_reaches_the_moments_of_a_gaussian(evaluations, churn):
    config = SamplingConfig(evaluations=evaluations, largest=8.0, smallest=0.01, churn=churn)
    noisy, draws = noise((8.0**2 + WIDTH**2) ** 0.5)
    *_, last = heun(noisy, gaussian, config, draws)
    x = last.noisy.positions
    assert float(x.mean(0).abs().max()) < 4 * WIDTH / N**0.5
    # One of ATOMS degrees of freedom is the centre.
    expected = WIDTH**2 * (1 - 1 / ATOMS)
    assert float(x.square().mean()) == pytest.approx(expected, rel=0.05)
    covariance = (x[:, 0, 0] * x[:, 1, 0]).mean()
    assert float(covariance) == pytest.approx(-(WIDTH**2) / ATOMS, abs=0.05)
    assert float(x.pow(4).mean() / x.square().mean() ** 2) == pytest.approx(3.0, rel=0.1)
    assert last.evaluations == evaluations


def test_euler_reaches_the_variance_of_a_gaussian():
    config = SamplingConfig(evaluations=600, largest=8.0, smallest=0.01, churn=0.05)
    noisy, draws = noise((8.0**2 + WIDTH**2) ** 0.5)
    *_, last = euler(noisy, gaussian, config, draws)
    variance = WIDTH**2 * (1 - 1 / ATOMS)
    assert float(last.noisy.positions.square().mean()) == pytest.approx(variance, rel=0.08)
    assert last.evaluations == 600


@pytest.mark.parametrize("solver", [heun, euler])
def test_less_noise_in_churn_narrows_the_distribution(solver):
    variances = []
    for scale in (1.0, 0.8):
        config = SamplingConfig(evaluations=60, largest=8.0, churn=0.4, churn_noise=scale)
        noisy, draws = noise((8.0**2 + WIDTH**2) ** 0.5)
        *_, last = solver(noisy, gaussian, config, draws)
        variances.append(float(last.noisy.positions.square().mean()))
    assert variances[1] < 0.9 * variances[0]


def test_heun_is_more_accurate_with_more_evaluations():
    errors = []
    for evaluations in (5, 9, 41):
        config = SamplingConfig(evaluations=evaluations, largest=8.0, churn=0)
        noisy, draws = noise((8.0**2 + WIDTH**2) ** 0.5)
        *_, last = heun(noisy, gaussian, config, draws)
        exact = noisy.positions * WIDTH / (8.0**2 + WIDTH**2) ** 0.5
        errors.append(float((last.noisy.positions - exact).square().mean().sqrt()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize(("evaluations", "churn"), [(6, 0.0), (32, 0.5)])
def test_relaxation_ends_at_the_equilibrium(evaluations, churn):
    noisy, draws = noise(4.0)
    equilibrium, _ = noise(1.0, seed=1)
    config = SamplingConfig(evaluations=evaluations, largest=4.0, churn=churn)

    def denoise(cloud, sigma):
        return cloud.at(equilibrium.positions)

    frames = list(relax(noisy, denoise, config, draws))
    assert len(frames) == frames[-1].evaluations == evaluations
    assert torch.allclose(frames[-1].noisy.positions, equilibrium.positions, atol=1e-9)
    levels = [float(frame.sigma.mean()) for frame in frames]
    assert levels == sorted(levels, reverse=True)
    before_last = frames[-2].noisy.positions - equilibrium.positions
    assert float(before_last.square().mean().sqrt()) < 0.1


@pytest.mark.parametrize(
    ("generator", "keys", "sampler"),
    [
        ("diffusion", {}, "heun"),
        ("diffusion", {"solver": "euler", "churn": 0.8}, "euler"),
        ("pseudo-force", {"churn": 0.8}, "pseudo-force"),
    ],
)
def test_sampler_is_that_of_the_solver(generator, keys, sampler):
    assert SamplingConfig(**keys).sampler(generator) == sampler


@pytest.mark.parametrize(
    ("generator", "keys", "said"),
    [
        (
            "diffusion",
            {"churn": 0.5},
            "churn of heun is at most 0.414, not 0.5; give sampling.churn=0.41",
        ),
        ("diffusion", {"solver": "euler", "churn": 3}, "churn of euler is at most 2, not 3"),
        ("pseudo-force", {"churn": 1.1}, "churn of pseudo-force is at most 1, not 1.1"),
        ("pseudo-force", {"solver": "heun"}, "solver: pseudo-force has its own; leave it out"),
    ],
)
def test_sampling_that_a_denoiser_cannot_do_is_refused(generator, keys, said):
    with pytest.raises(InputError, match=re.escape(said)):
        molrl.load_generator(generator, sampling={"solver": None, **keys})


def test_levels_fall_from_the_largest_to_zero():
    levels = SamplingConfig(evaluations=19, largest=5.0, smallest=0.1).heun_levels()
    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 11
    assert (levels[0], levels[-2], levels[-1]) == (pytest.approx(5.0), pytest.approx(0.1), 0.0)


def test_draws_of_a_molecule_do_not_depend_on_the_others():
    def draw(indices, n_atoms):
        streams = [np.random.default_rng([7, i]) for i in indices]
        return Draws(streams, n_atoms, torch.zeros(0)).normal(3)

    assert torch.equal(draw([0, 1], [5, 3])[1, :3], draw([1], [3])[0])
    assert not draw([0, 1], [5, 3])[1, 3:].any()


def test_energy_guide_lowers_the_energy():
    clean = Cloud.of_molecules(shipped_molecules().molecules[[30, 60]], (1, 6, 7, 8, 9, 16))
    shaken = clean.at(clean.positions * 1.1)
    model = load_energy("mace-small", "cpu")
    guide = EnergyGuide(model, 0.02, (1, 6, 7, 8, 9, 16))
    moved = shaken.at(shaken.positions + guide.displace(shaken, torch.full((2,), 0.5)))
    before, after = (
        model.evaluate(each.to_molecules((1, 6, 7, 8, 9, 16))).energy for each in (shaken, moved)
    )
    assert bool((after < before - 0.01).all())
    assert guide.model.evaluations == 2
    assert not guide.displace(shaken, torch.full((2,), 2.0)).any()


def test_energy_guide_passes_over_atoms_in_one_place():
    clean = Cloud.of_molecules(shipped_molecules().molecules[[30, 60]], (1, 6, 7, 8, 9, 16))
    positions = clean.positions.clone()
    positions[0, 1] = positions[0, 0]
    guide = EnergyGuide(load_energy("mace-small", "cpu"), 0.02, (1, 6, 7, 8, 9, 16))
    moves = guide.displace(clean.at(positions * 1.1), torch.full((2,), 0.5))
    assert not moves[0].any()
    assert moves[1].any()


def test_shape_guide_draws_atoms_to_points_and_to_those_left_over():
    cloud = Cloud.of_molecules(shipped_molecules().molecules[[30]], (1, 6, 7, 8, 9, 16))
    points = torch.tensor([[[6.0, 0, 0], [9.0, 0, 0]]])
    guide, sigma = ShapeGuide(points, (1, 6, 7, 8, 9, 16)), torch.ones(1)
    heavy = cloud.features.argmax(-1)[0] > 0
    before, hydrogens = torch.cdist(points, cloud.positions), cloud.positions[:, ~heavy]
    for _ in range(8):
        cloud = cloud.at(cloud.positions + 0.5 * guide.displace(cloud, sigma))
    after = torch.cdist(points, cloud.positions[:, heavy])
    assert torch.equal(cloud.positions[:, ~heavy], hydrogens)
    assert bool((before.min(-1).values > 2).all())
    assert bool((after.min(-1).values < 0.6).all())


@pytest.mark.parametrize("sampler", [heun, euler, relax])
def test_steering_weights_a_gaussian_by_the_exponential_of_the_reward(sampler):
    particles, strength = 8, 1.5
    noisy, draws = noise((8.0**2 + WIDTH**2) ** 0.5)
    streams = [np.random.default_rng([3, i]) for i in range(N // particles)]

    def score(cloud, shape):
        return strength * cloud.positions[:, 0, 0].numpy()

    steering = Steering(score, gaussian, None, streams, particles)
    evaluations, churn = (200, 0.1) if sampler is euler else (30, 0.4)
    config = SamplingConfig(evaluations=evaluations, largest=8.0, churn=churn)
    *_, last = sampler(noisy, gaussian, config, draws, steering)
    first = last.noisy.positions[::particles, 0, 0]
    assert steering.evaluations == 4
    if sampler is not relax:  # which ends at the equilibrium of a field, not in a distribution
        variance = WIDTH**2 * (1 - 1 / ATOMS)
        assert float(first.mean()) == pytest.approx(strength * variance, abs=0.15)
    assert float(first.mean()) > 0.05


def test_steering_goes_on_with_what_has_a_reward():
    noisy, _ = noise(1.0)
    bad = torch.arange(N) % 4 > 0

    def score(cloud, shape):
        return np.where(bad.numpy(), -1e6, 0.0)

    streams = [np.random.default_rng([3, i]) for i in range(N // 4)]
    chosen = Steering(score, gaussian, None, streams, 4)(noisy, 0.0)
    assert torch.equal(chosen, torch.arange(0, N, 4).repeat_interleave(4))


@pytest.mark.parametrize(
    "given", [{"largest": 0.5, "smallest": 1.0}, {"churn_from": 3.0, "churn_to": 2.0}]
)
def test_levels_that_rise_are_refused(given):
    with pytest.raises(InputError, match="must be at most"):
        SamplingConfig(**given)

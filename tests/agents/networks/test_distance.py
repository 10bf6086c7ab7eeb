import math

import pytest
import torch
from scipy.stats import kstest

from molrl.agents.networks.distance import DistanceDensity

WINDOW = (0.7, 2.0)


def density(width, n=1):
    return DistanceDensity(
        torch.log_softmax(torch.tensor([[0.3, -0.2, 1.0]]), -1).expand(n, -1),
        torch.tensor([[0.71, 1.1, 1.98]]).expand(n, -1),
        torch.full((n, 3), width),
        WINDOW,
    )


def grid(n=200_001):
    return torch.linspace(*WINDOW, n)


@pytest.mark.parametrize("width", [0.02, 0.1, 0.5])
def test_distance_density_integrates_to_one_in_the_window(width):
    at = grid()
    p = density(width, len(at)).log_prob(at).exp()
    assert float(torch.trapezoid(p.double(), at.double())) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("width", [0.02, 0.1, 0.5])
def test_distance_samples_follow_the_density(width):
    noise = torch.rand(5000, 2, generator=torch.Generator().manual_seed(0))
    samples = density(width, 5000).sample(noise)
    assert samples.min() >= WINDOW[0]
    assert samples.max() <= WINDOW[1]
    at = grid()
    p = density(width, len(at)).log_prob(at).exp().double()
    cdf = torch.cumulative_trapezoid(p, at.double())
    index = torch.searchsorted(at[1:].double(), samples.double()).clamp(max=len(cdf) - 1)
    assert kstest(cdf[index].numpy(), "uniform").pvalue > 1e-3


def test_distance_entropy_is_the_mean_of_minus_log_prob():
    at = grid()
    log_p = density(0.1, len(at)).log_prob(at).double()
    direct = -torch.trapezoid(log_p.exp() * log_p, at.double()) - math.log(WINDOW[1] - WINDOW[0])
    assert float(density(0.1).entropy()) == pytest.approx(float(direct), abs=2e-3)


def test_distance_mode_is_the_highest_peak():
    at = grid()
    highest = at[density(0.05, len(at)).log_prob(at).argmax()]
    assert float(density(0.05).mode()) == pytest.approx(float(highest), abs=0.03)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tempered_distances_have_the_density_to_the_power_1_over_t(temperature):
    separate = DistanceDensity(
        torch.log_softmax(torch.tensor([[0.3, -0.2, 1.0]]), -1),
        torch.tensor([[1.0, 1.3, 1.7]]),
        torch.tensor([[0.01, 0.03, 0.02]]),
        WINDOW,
    )
    at = grid()
    power = separate.log_prob(at) / temperature
    power = power.exp() / torch.trapezoid(power.exp().double(), at.double())
    difference = separate.tempered(temperature).log_prob(at).exp() - power
    assert difference.abs().max() < 0.01 * power.max()

import math

import pytest
import torch

from molrl.agents.config import InternalConfig
from molrl.agents.interface import Inputs
from molrl.agents.networks.distance import DistanceDensity
from molrl.agents.networks.internal import InternalDensity, InternalNetwork, find_frames
from molrl.molecules import MoleculeBatch

BENT = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [1.1, 0.0, -0.5]]
LINEAR = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.0, 0.0, -1.3]]
ALONE = [[0.0, 0.0, 0.0]]


def batch(positions, n=1):
    return MoleculeBatch(
        numbers=torch.full((n * len(positions),), 6),
        positions=torch.tensor(positions).repeat(n, 1),
        n_atoms=torch.full((n,), len(positions)),
    )


def density(positions, n):
    frames = find_frames(batch(positions, n), torch.zeros(n, dtype=torch.long))
    mixture = DistanceDensity(
        torch.log_softmax(torch.tensor([[0.3, -0.2]]), -1).expand(n, -1),
        torch.tensor([[1.9, 0.4]]).expand(n, -1),
        torch.tensor([[0.1, 0.4]]).expand(n, -1),
        (0.0, math.pi),
    )
    return InternalDensity(frames, mixture, mixture, lambda x: 1.5 * x[:, 1] + x[:, 0])


@pytest.mark.parametrize("positions", [BENT, LINEAR, ALONE])
def test_internal_density_integrates_to_one(positions, product_grid):
    points, weights = product_grid(96)
    log_p = density(positions, len(points)).log_prob(points.float())
    assert float((weights * log_p.exp()).sum()) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("positions", [BENT, LINEAR, ALONE])
def test_internal_samples_follow_the_density(positions, product_grid):
    """The mean of the inverse density over its samples is the area of the sphere, 1."""
    n = 20_000
    drawn = density(positions, n)
    noise = torch.rand(n, 5, generator=torch.Generator().manual_seed(0))
    inverse = (-drawn.log_prob(drawn.sample(noise))).exp()
    # the inverse has a heavy tail: where the density is low there are few samples
    points, weights = product_grid(96)
    likely = density(positions, len(points)).log_prob(points.float()) > -3
    area = float(weights[likely].sum())
    assert float(inverse[inverse < math.exp(3)].sum() / n) == pytest.approx(area, abs=0.05)


@pytest.mark.parametrize("positions", [LINEAR, ALONE])
def test_internal_network_is_finite_on_collinear_atoms(positions):
    network = InternalNetwork(InternalConfig(width=8, channels=4), Inputs(n_elements=2))
    n = 5
    numbers = torch.tensor([[6] * len(positions) + [0]]).repeat(n, 1)
    observation = {
        "numbers": numbers,
        "positions": torch.tensor([*positions, [0.0, 0.0, 0.0]]).repeat(n, 1, 1),
        "bag": torch.ones(n, 2),
        "focus_mask": numbers > 0,
        "element_mask": torch.ones(n, 2),
    }
    noise = torch.rand(n, network.n_noise, generator=torch.Generator().manual_seed(0))
    made = network.act(observation, noise)
    found = network.evaluate_actions(observation, made.actions)
    torch.autograd.backward((found.log_prob + found.entropy).sum())
    assert made.actions.isfinite().all()
    assert found.log_prob.isfinite().all()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    # along the axis itself, where the angle has no azimuth
    made.actions[:, 2:] = torch.tensor([0.0, 0.0, -1.1])
    assert network.evaluate_actions(observation, made.actions).log_prob.isfinite().all()

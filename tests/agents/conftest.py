import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from molrl.agents.config import PolicyConfig
from molrl.agents.interface import Inputs
from molrl.agents.networks.covariant import CovariantNetwork

ELEMENTS = (1, 6, 7, 8)


def make_canvas(n_atoms, n_slots=9, batch=16, seed=0):
    """Return observations of random canvases with well-separated atoms."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.zeros(batch, n_slots, dtype=torch.int64)
    choice = torch.randint(len(ELEMENTS), (batch, n_atoms), generator=generator)
    numbers[:, :n_atoms] = torch.tensor(ELEMENTS)[choice]
    positions = torch.zeros(batch, n_slots, 3)
    steps = torch.randn(batch, n_atoms, 3, generator=generator)
    walk = (1.2 * torch.nn.functional.normalize(steps, dim=-1)).cumsum(1)
    positions[:, :n_atoms] = walk - walk[:, :1] if n_atoms else walk
    bag = torch.randint(0, 4, (batch, len(ELEMENTS)), generator=generator)
    bag[:, 1] += 1
    focus_mask = numbers > 0
    focus_mask[:, 0] = True
    return {
        "numbers": numbers,
        "positions": positions,
        "bag": bag,
        "focus_mask": focus_mask,
        "element_mask": bag > 0,
    }


@pytest.fixture
def canvas():
    return make_canvas


def random_turn(seed, dtype=torch.float32):
    """Return a uniformly random rotation matrix ``(3, 3)``."""
    quaternion = np.random.default_rng(seed).normal(size=4)
    return torch.from_numpy(Rotation.from_quat(quaternion).as_matrix()).to(dtype)


@pytest.fixture(scope="session")
def turn():
    return random_turn


@pytest.fixture(scope="session")
def network():
    """Return a network with perturbed heads, so that the symmetry tests are not trivial."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = CovariantNetwork(PolicyConfig(), Inputs(len(ELEMENTS)))
        for name, parameter in network.named_parameters():
            if "head" in name or "critic" in name:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network.eval()

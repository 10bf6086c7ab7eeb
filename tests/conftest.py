import numpy as np
import pytest
import torch
from hypothesis import settings

# Time is no property of the code on a shared machine, and a failure must come again.
settings.register_profile("molrl", deadline=None, derandomize=True)
settings.load_profile("molrl")
torch.set_num_threads(1)


def _rebuild(env, numbers, positions, options=None):
    """Place the atoms of a molecule in the order given; the rewards, and why the episode ended.

    Positions are where the fixed atoms are, if there are any; else relative to the first atom.
    """
    obs, _ = env.reset(seed=0, options=options)
    fixed = int((obs["numbers"] > 0).sum())
    placed = list(obs["positions"][:fixed].astype(float))
    positions = np.asarray(positions, float) - (0 if fixed else np.asarray(positions)[0])
    rewards, info = [], {"reason": ""}
    for number, position in zip(numbers, positions, strict=True):
        away = [np.abs(position - other).max() for other in placed] or [0.0]
        focus = int(np.argmin(away))
        origin = placed[focus] if placed else np.zeros(3)
        element = env.unwrapped.elements.index(int(number))
        action = np.array([focus, element, *(position - origin)], np.float32)
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        placed.append(position)
        if terminated or truncated:
            break
    return rewards, info["reason"]


@pytest.fixture(scope="session")
def rebuild():
    return _rebuild

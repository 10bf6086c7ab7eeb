"""Actions for tests, sensible and arbitrary, and a configuration of each task."""

import numpy as np
import pytest


def builder(rng, obs):
    """Return an action that mostly forms a bond to a random atom, as a trained agent would."""
    focus = rng.choice(np.flatnonzero(obs["focus_mask"]))
    in_bag = np.flatnonzero(obs["element_mask"])
    if not len(in_bag):  # the episode has ended; this action is ignored
        return np.zeros(5, np.float32)
    element = in_bag[-1] if obs["numbers"][0] == 0 else rng.choice(in_bag)
    atoms = obs["positions"][obs["numbers"] > 0]
    for _ in range(20):
        direction = rng.normal(size=3)
        displacement = rng.uniform(1.0, 1.6) * direction / np.linalg.norm(direction)
        away = np.linalg.norm(atoms - obs["positions"][focus] - displacement, axis=1)
        if (away > 0.95).all():
            break
    return np.array([focus, element, *displacement], np.float32)


def scrambler(rng, obs):
    """Return any finite action, sensible or out of range."""
    action = builder(rng, obs)
    kind = rng.integers(8)
    if kind == 0:
        action[0] = rng.integers(-3, 40)
    elif kind == 1:
        action[1] = rng.integers(-3, 10)
    elif kind == 2:
        action[2:] *= rng.choice([0.0, 0.2, 3.0, 1e30])
    return action + rng.uniform(-0.3, 0.3, 5).astype(np.float32) * [1, 1, 0, 0, 0]


@pytest.fixture(scope="session")
def build():
    return builder


@pytest.fixture(scope="session")
def scramble():
    return scrambler


TASKS = {
    "bag": {},
    "bags": {"order": "cycled"},
    "stochastic": {"reference": "C2H3NF"},
    "cluster": {"n_solvent": 3},
    "scaffold": {"scaffold": "*C"},
    "linker": {},
    "shape": {"n_points": 16, "bag": "C2H4O"},
    "complex": {"bag": "CF4"},
}
ELEMENTS = {"complex": ["C", "F"]}


@pytest.fixture(params=TASKS)
def task(request):
    """Return each task, with elements that the Morse energy knows."""
    task = {"kind": request.param, **TASKS[request.param]}
    return {"task": task, "elements": ELEMENTS.get(request.param)}

import hashlib
import os

import numpy as np
import pytest
import torch
from hypothesis import settings

from molrl.energy import EnergyModel, EnergyOutput
from molrl.neighbors import all_pairs

# Time is no property of the code on a shared machine, and a failure must come again. The nightly
# profile looks for new ones and prints how to repeat them: HYPOTHESIS_PROFILE=nightly.
settings.register_profile("molrl", deadline=None, derandomize=True)
settings.register_profile("nightly", deadline=None, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "molrl"))
# One thread, as the command line has: sums in another order differ in the last digits. The variable
# is for processes that tests start and that import torch before `molrl` can set it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


def pytest_runtest_setup():
    """Seed what draws initial weights, so that no test depends on those before it."""
    torch.manual_seed(0)


class MorseEnergy(EnergyModel):
    """Atoms of -13.6 Z eV that attract one another by one Morse curve for all pairs.

    Args:
        depth: eV, of the well, at 1.2 Å.
        max_atoms: molecules of more atoms have no energy.
    """

    name = "morse"
    elements = (1, 6, 7, 8, 9)
    implemented_properties = ("energy",)
    takes_charge = True  # it keeps what it is given

    def __init__(self, depth: float = 4.0, max_atoms: int = 1000) -> None:
        self.depth, self.max_atoms = depth, max_atoms

    @property
    def hash(self) -> str:
        return hashlib.sha256(f"morse {self.depth} {self.max_atoms}".encode()).hexdigest()[:12]

    def _evaluate(self, molecules, wanted):
        pairs = all_pairs(molecules.n_atoms)
        r = (molecules.positions[pairs[0]] - molecules.positions[pairs[1]]).double().norm(dim=-1)
        well = self.depth * ((1 - torch.exp(-2 * (r - 1.2))) ** 2 - 1)
        atoms = -13.6 * molecules.numbers.double()
        energy = molecules.sum_atoms(atoms.index_add(0, pairs[1], well))
        energy[molecules.n_atoms > self.max_atoms] = torch.nan
        return EnergyOutput(energy)


@pytest.fixture(scope="session")
def morse():
    """A real energy model that answers at once."""
    return MorseEnergy


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

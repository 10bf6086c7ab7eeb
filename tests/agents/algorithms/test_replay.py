import numpy as np
from ase.build import molecule

from molrl.agents.algorithms.archive import Isomer
from molrl.agents.algorithms.replay import Replay
from molrl.chemistry.bonds import bonded_atoms
from molrl.envs.config import EnvConfig
from molrl.envs.problem import Problem
from molrl.molecules import MoleculeBatch

BOND = 1.395  # Å, of benzene


def benzene():
    atoms = molecule("C6H6")
    (bonds,) = bonded_atoms(MoleculeBatch.from_ase(atoms))
    return Isomer(atoms.numbers, atoms.positions.astype(np.float32), bonds, "c1ccccc1", 0.0)


def lengths_to_carbon(spread):
    """Return the lengths, Å, of new C-C bonds that close the ring, ``(n, 2)``, and of the others.

    The canvases are distorted by ``spread``. Hydrogen comes last.
    """
    problem = Problem(EnvConfig(task="C6H6", energy="mace-small"))
    replay = Replay(problem, (spread, spread), 50.0)
    observation, actions = replay.draw(2000 * [benzene()], np.random.default_rng(0))
    closing, single = [], []
    for numbers, positions, action in zip(
        observation["numbers"], observation["positions"], actions, strict=True
    ):
        n = int((numbers > 0).sum())
        if 0 < n < 6:
            new = positions[int(action[0])] + action[2:]
            near = np.sort(np.linalg.norm(positions[:n] - new, axis=1))
            (closing if n == 5 else single).append(near[: 2 if n == 5 else 1])
    return np.array(closing), np.array(single)


def test_replayed_placements_close_rings_on_distorted_canvases():
    """Without the distortion in the displacement, one of two bonds would be 0.14 Å off."""
    closing, single = lengths_to_carbon(0.1)
    assert len(closing) > 100 < len(single)
    assert np.sqrt(np.mean((single - BOND) ** 2)) < 0.02
    assert np.sqrt(np.mean((closing - BOND) ** 2)) < 0.02


def test_replayed_placements_are_exact_on_relaxed_canvases():
    for lengths in lengths_to_carbon(1e-9):
        np.testing.assert_allclose(lengths, BOND, atol=0.002)

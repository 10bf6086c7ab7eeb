"""Time of the environment without the energy, µs per molecule-step.

python experiments/benchmarks/env_overhead.py [--num-envs 256]

Chains of carbon atoms grow in all environments with an energy of 0, so that no atom is refused; the
time in the energy model is subtracted. MolGym's environment takes 70 to 200 µs for the same.
"""

import argparse
import hashlib
import time

import numpy as np
import torch
from record import record

from molrl.energy import EnergyModel, EnergyOutput, Wanted
from molrl.envs.vector import MolDesignVectorEnv
from molrl.molecules import MoleculeBatch

CHAIN = 24  # atoms of an episode
ZIGZAG = [np.array([1.25, sign * 0.9, 0.0]) for sign in (1, -1)]  # Å


class NoEnergy(EnergyModel):
    """An energy of 0 that measures the time spent in it."""

    name = "none"
    elements = (1, 6, 7, 8)
    seconds = 0.0

    @property
    def hash(self) -> str:
        """Hash of the name."""
        return hashlib.sha256(b"none").hexdigest()[:12]

    def evaluate(self, molecules, **asked) -> EnergyOutput:  # noqa: ANN001, ANN003 - as inherited
        """Return energies of 0; see the base class."""
        began = time.perf_counter()
        output = super().evaluate(molecules, **asked)
        self.seconds += time.perf_counter() - began
        return output

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        return EnergyOutput(torch.zeros(len(molecules), dtype=torch.float64))


def measure(num_envs: int, canvas_size: int, episodes: int, **task: object) -> dict[str, object]:
    """Measure the µs per molecule-step over an episode, and in its first and last third."""
    model = NoEnergy()
    envs = MolDesignVectorEnv(
        num_envs,
        autoreset_mode="Disabled",
        bag=f"C{CHAIN}",
        energy=model,
        canvas_size=canvas_size,
        **task,
    )
    seconds = np.zeros((episodes, CHAIN))
    for episode in range(episodes):
        envs.reset()
        for i in range(CHAIN):
            action = np.array([i - 1, 1, *ZIGZAG[i % 2]], np.float32)
            actions = np.tile(action, (num_envs, 1))
            began, spent = time.perf_counter(), model.seconds
            envs.step(actions)
            seconds[episode, i] = time.perf_counter() - began - (model.seconds - spent)
    assert envs.endings == {"complete": episodes * num_envs}
    each = np.median(seconds, axis=0) / num_envs * 1e6
    third = CHAIN // 3
    return {
        "task": task.get("task", {"kind": "bag"})["kind"],
        "environments": num_envs,
        "canvas": canvas_size,
        "episode µs": float(each.mean()),
        "first third µs": float(each[:third].mean()),
        "last third µs": float(each[-third:].mean()),
        "MolGym µs": "70 to 200",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--episodes", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes = arguments.num_envs, arguments.episodes
    rows = [measure(sizes[0], canvas, sizes[1]) for canvas in (25, 100)]
    rows.append(measure(sizes[0], 25, sizes[1], task={"kind": "shape"}))
    title = f"Environment without the energy, episodes of {CHAIN} atoms, one thread"
    record("env_overhead", title, rows)


if __name__ == "__main__":
    main()

"""Speed of environments with `mace`, by part, compared with other energy models.

python experiments/benchmarks/env_speed.py [--device auto] [--num-envs 256 1024 4096] [--steps 60]

The actions are those of a random agent, whose time is not counted. They are repeated on the same
device in the same environments with mace-torch's network of the same shape, in the same batches,
and with GFN2-xTB in one process, and in a single environment with mace-torch's ASE calculator and
such a network.
"""

import argparse
import warnings
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from ase import Atoms
from mace.calculators import MACECalculator
from record import record

from molrl.agents.random import RandomAgent
from molrl.energy import EnergyModel, EnergyOutput, Wanted
from molrl.energy.gfn2 import GFN2Energy
from molrl.energy.mace_torch.batching import build_mace_torch
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.registry import resolve_device
from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv
from molrl.molecules import MoleculeBatch

BAG = "C2H6O"
Row = dict[str, object]


class Timed:
    """A function whose time is added up, including that of the device."""

    def __init__(self, work: Callable[..., object], device: torch.device) -> None:
        self._work, self._device = work, device
        self.seconds = 0.0

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function."""
        began = self._now()
        result = self._work(*args, **kwargs)
        self.seconds += self._now() - began
        return result

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter()


def silent_network(model: NetworkEnergy) -> torch.nn.Module:
    """Return mace-torch's network of the shape of a model, which has the same cost.

    Its interaction energy is close to 0, since that of random weights would end episodes.
    """
    return build_mace_torch(model.potential.config.model_copy(update={"scale": 1e-6}))


class OneByOne(EnergyModel):
    """The same network through mace-torch's ASE calculator, one molecule at a time."""

    name = "ase"

    def __init__(self, model: NetworkEnergy) -> None:
        self.elements = model.elements
        self._atomic = model.atom_energies()
        self._calculator = MACECalculator(
            models=[silent_network(model)], device=str(model.device), default_dtype="float32"
        )

    @property
    def hash(self) -> str:
        """Name of the model; it is not stored."""
        return "ase"

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        energies = []
        for numbers, positions in molecules.arrays():
            atoms = Atoms(numbers, positions)
            atoms.calc = self._calculator
            energies.append(atoms.get_potential_energy())
        return EnergyOutput(torch.tensor(energies, dtype=torch.float64))


def rollout(envs: MolDesignVectorEnv, steps: int) -> list[np.ndarray]:
    """Step environments with a random agent, and return its actions, ``(B, 5)`` each."""
    agent, rng = RandomAgent(envs.energy_model, distances=(1.0, 1.5)), np.random.default_rng(0)
    actions = []
    observation, _ = envs.reset(seed=0)
    for _ in range(steps):
        actions.append(agent._act(observation, rng.random((envs.num_envs, 8))))
        observation, *_ = envs.step(actions[-1])
    return actions


def vector_row(model: NetworkEnergy, num_envs: int, steps: int) -> tuple[Row, list[np.ndarray]]:
    """Measure environments and their parts, µs per molecule-step; also return the actions."""
    envs = MolDesignVectorEnv(num_envs, autoreset_mode="SameStep", bag=BAG, energy=model)
    actions = rollout(envs, steps)  # also the warm-up
    step, energy = Timed(envs.step, model.device), Timed(model.evaluate, model.device)
    graphs = Timed(model._graph, model.device)
    model.evaluate, model._graph = energy, graphs  # type: ignore[method-assign, assignment]
    envs.reset(seed=0)
    for action in actions:
        step(action)
    del model.evaluate  # type: ignore[method-assign]
    del model._graph  # type: ignore[method-assign]
    each = 1e6 / (num_envs * steps)
    row: Row = {
        "environments": num_envs,
        "molecule-steps/s": 1e6 / (step.seconds * each),
        "µs": step.seconds * each,
        "rules µs": (step.seconds - energy.seconds) * each,
        "graph µs": graphs.seconds * each,
        "model µs": (energy.seconds - graphs.seconds) * each,
    }
    return row, actions


def batched_us(model: EnergyModel, actions: list[np.ndarray], device: torch.device) -> float:
    """Measure environments with another energy model and the same actions, µs per molecule-step."""
    envs = MolDesignVectorEnv(len(actions[0]), autoreset_mode="SameStep", bag=BAG, energy=model)
    step = Timed(envs.step, device)
    for time in (Timed(envs.step, device), step):  # the first is the warm-up
        envs.reset(seed=0)
        for action in actions:
            time(action)
    return 1e6 * step.seconds / (len(actions) * envs.num_envs)


def single_us(model: EnergyModel, actions: list[np.ndarray], device: torch.device) -> float:
    """Measure a single environment over at least 256 steps, µs per step."""
    env = MolDesignEnv(bag=BAG, energy=model)
    step, steps = Timed(env.step, device), 0
    for i in range(actions[0].shape[0]):
        env.reset()
        for action in actions:
            _, _, ended, _, _ = step(action[i])
            steps += 1
            if ended:
                env.reset()
        if steps >= 256:
            break
    return 1e6 * step.seconds / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--num-envs", type=int, nargs="+", default=[256])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    device = resolve_device(arguments.device)
    model = NetworkEnergy(device=device)
    other = MaceModuleEnergy(silent_network(model), "mace-torch", "0" * 12, device=device)
    others = {"mace-torch, same batches": other, "gfn2, one process": GFN2Energy(n_workers=1)}
    rows = []
    for num_envs in arguments.num_envs:
        row, actions = vector_row(model, num_envs, arguments.steps)
        own = float(str(row["µs"]))
        for name, energy in others.items():
            row[f"{name}, µs"] = each = batched_us(energy, actions, model.device)
            row[f"{name}, ratio"] = each / own
        rows.append(row)
    reference = single_us(OneByOne(model), actions, model.device)
    for row in rows:
        row["mace-torch, one by one, µs"] = reference
        row["mace-torch, one by one, ratio"] = reference / float(str(row["µs"]))
    record(
        f"env_speed_{model.device.type}",
        f"Environments on mace on {model.device.type}, bag {BAG}, µs per molecule-step",
        rows,
    )


if __name__ == "__main__":
    main()

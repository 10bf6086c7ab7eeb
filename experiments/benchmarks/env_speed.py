"""Speed of environments with `mace`, by part, compared with other energy models.

python experiments/benchmarks/env_speed.py [--device auto] [--num-envs 256 1024 4096] [--steps 60]

The actions are those of a random agent, whose time is not counted. They are repeated on the same
device with mace-torch's network of the same shape, in the same batches, and with GFN2-xTB in one
process, and in a single environment with mace-torch's ASE calculator and such a network. These
compute what they are asked, but the results are those of `mace`, so that all episodes are the same
and all models evaluate the same molecules.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

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


class Tape(EnergyModel):
    """An energy model that records its results, or replays them while another does the work.

    Args:
        model: whose results they are.
        worker: what computes the same molecules, without being read; None: to record.
        results: those that were recorded.
    """

    def __init__(
        self,
        model: NetworkEnergy,
        worker: EnergyModel | None = None,
        results: Sequence[EnergyOutput] = (),
    ) -> None:
        self.model, self.worker, self.results = model, worker, list(results)
        self.name, self.elements, self.device = model.name, model.elements, model.device
        self.offers_uncertainty = True
        self.evaluated = 0

    @property
    def hash(self) -> str:
        """Hash of the model; it is not stored."""
        return self.model.hash

    def evaluate(self, molecules: Any, **wanted: Any) -> EnergyOutput:  # noqa: ANN401 - as there
        """Return the results of the model, or those that were recorded."""
        self.evaluated += len(molecules)
        if self.worker is None:
            self.results.append(self.model.evaluate(molecules, **wanted))
            return self.results[-1]
        self.worker.evaluate(molecules)
        return self.results.pop(0)

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        return self.model._evaluate(molecules, wanted)  # of isolated atoms, before the episodes


class OneByOne(EnergyModel):
    """The same network through mace-torch's ASE calculator, one molecule at a time."""

    name = "ase"

    def __init__(self, model: NetworkEnergy) -> None:
        self.elements = model.elements
        self._atomic = model.atom_energies()
        network = build_mace_torch(model.potential.config)
        self._calculator = MACECalculator(
            models=[network], device=str(model.device), default_dtype="float32"
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


def batched(tape: Tape, actions: list[np.ndarray]) -> float:
    """Measure environments with the results of a tape, µs per molecule-step."""
    envs = MolDesignVectorEnv(len(actions[0]), autoreset_mode="SameStep", bag=BAG, energy=tape)
    step = Timed(envs.step, tape.device)
    envs.reset(seed=0)
    for action in actions:
        step(action)
    return 1e6 * step.seconds / (len(actions) * envs.num_envs)


def single(tape: Tape, actions: list[np.ndarray]) -> float:
    """Measure single environments, one after another, over 256 steps or all, µs per step."""
    env = MolDesignEnv(bag=BAG, energy=tape)
    step, steps = Timed(env.step, tape.device), 0
    for i in range(min(len(actions[0]), -(-256 // len(actions)))):
        env.reset()
        for action in actions:
            _, _, ended, _, _ = step(action[i])
            steps += 1
            if ended:
                env.reset()
    return 1e6 * step.seconds / steps


def replayed(
    measure: Callable[[Tape, list[np.ndarray]], float],
    model: NetworkEnergy,
    worker: EnergyModel,
    actions: list[np.ndarray],
) -> float:
    """Return what is measured when another model does the work of the same molecules."""
    recorded = Tape(model)
    measure(recorded, actions)
    for _ in range(2):  # the first is the warm-up
        tape = Tape(model, worker, recorded.results)
        measured = measure(tape, actions)
        if tape.results or tape.evaluated != recorded.evaluated:
            raise RuntimeError("the episodes of two models differ")
    return measured


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
    network = build_mace_torch(model.potential.config)
    other = MaceModuleEnergy(network, "mace-torch", "0" * 12, device=device)
    others = {"mace-torch, same batches": other, "gfn2, one process": GFN2Energy(n_workers=1)}
    rows = []
    for num_envs in arguments.num_envs:
        row, actions = vector_row(model, num_envs, arguments.steps)
        own = float(str(row["µs"]))
        for name, energy in others.items():
            row[f"{name}, µs"] = each = replayed(batched, model, energy, actions)
            row[f"{name}, ratio"] = each / own
        rows.append(row)
    reference = replayed(single, model, OneByOne(model), actions)
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

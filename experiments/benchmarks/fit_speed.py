"""Speed of the loss of a fit and its gradient, compiled and not, on one CPU thread or a GPU.

python experiments/benchmarks/fit_speed.py [--device cuda]

The batches are shipped molecules with noise of 0.1 Å; the labels do not matter.
"""

import argparse
from functools import partial
from time import perf_counter

import torch
import torch._inductor.config
from record import record, seconds

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy.networks.energy import SHIPPED
from molrl.energy.networks.potential import load_potential
from molrl.fitting.objective import Objective
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

Labelled = tuple[MoleculeBatch, torch.Tensor, torch.Tensor, torch.Tensor]
SIZES = {"cpu": (16, 64), "cuda": (64, 1024)}
NOISE = 0.1  # Å


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=list(SIZES), default="cpu")
    device = parser.parse_args().device
    torch.set_num_threads(1)
    torch._inductor.config.force_disable_caches = True  # the first step compiles
    potential, _ = load_potential(SHIPPED["mace"])
    potential.network.to(device)
    rows: list[dict[str, object]] = []
    with progress(2 * len(SIZES[device]), "timed") as bar:
        times: dict[tuple[bool, int], float] = {}
        for compiled in (False, True):
            objective = Objective(potential, 12.0, 5.0, compiled)
            began = perf_counter()
            step(objective, batch(SIZES[device][0], device))
            first = perf_counter() - began
            for size in SIZES[device]:
                labelled = batch(size, device)
                times[compiled, size] = seconds(partial(step, objective, labelled), device)
                rows.append(
                    {
                        "loss": "compiled" if compiled else "plain",
                        "structures": size,
                        "ms a step": 1e3 * times[compiled, size],
                        "times as fast": times[False, size] / times[compiled, size],
                        "first step, s": first,
                    }
                )
                bar.update(len(rows))
    title = "A step of a fit of mace: the loss in energies and forces, and its gradient"
    record(f"fit_speed_{device}", f"{title}, {device}", rows)


def batch(size: int, device: str) -> Labelled:
    """Return molecules with arbitrary labels."""
    generator = torch.Generator().manual_seed(size)
    every = shipped_molecules().molecules
    chosen = every[torch.randperm(len(every), generator=generator)[:size]]
    noise = NOISE * torch.randn(chosen.positions.shape, generator=generator)
    moved = MoleculeBatch(chosen.numbers, (chosen.positions + noise).float(), chosen.n_atoms)
    energy, forces = torch.zeros(size), torch.zeros(len(chosen.numbers), 3)
    return moved.to(device), energy.to(device), forces.to(device), energy.to(device)


def step(objective: Objective, labelled: Labelled) -> None:
    objective.potential.network.zero_grad()
    loss, _, _ = objective(*labelled)
    loss.backward()


if __name__ == "__main__":
    main()

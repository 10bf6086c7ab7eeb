"""CPU time of SiMGen for a molecule of 9 heavy atoms, one at a time and in batches, on one thread.

python experiments/benchmarks/simgen_speed.py

50 times and 10 particles, the settings of the program of Elijošius et al. (2024), which takes 40 to
43 s a molecule with the network MACE-OFF-small on the same kind of machine. A network of that size,
with random weights, is measured beside the one that ships. The final relaxation is included; an
attempt that is not connected counts as one.
"""

from time import process_time

import torch
from record import record

from molrl.energy import EnergyModel, load_energy
from molrl.energy.mace_torch.batching import build_mace_torch
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.energy.networks.mace.network import MaceConfig
from molrl.generation import NotCompleted
from molrl.generators.simgen.generator import MAX_ATTEMPTS, SimgenGenerator

HEAVY, SEED = 9, 0
CASES = (
    ("mace", 1, 8),
    ("mace", 8, 16),
    ("mace", 64, 64),
    ("off-small", 1, 2),
    ("off-small", 8, 8),
)
"""Descriptors, molecules in a batch, and molecules."""


def off_small() -> EnergyModel:
    """Return a network of the size of MACE-OFF-small with random weights."""
    torch.manual_seed(0)
    config = MaceConfig(elements=(1, 6, 7, 8, 9, 16), channels=96, cutoff=4.5)
    network = build_mace_torch(config, hidden="96x0e", max_ell=3)
    return MaceModuleEnergy(network, "random", "0" * 12, device="cpu")


def seconds_each(descriptors: EnergyModel, batch_size: int, n: int) -> float:
    """Return the CPU time of an attempt, s."""
    generator = SimgenGenerator(descriptors=descriptors, device="cpu", batch_size=batch_size)
    generator.generate_sizes([4], seed=SEED + 1)  # warm
    began = process_time()
    try:
        attempts = generator.generate_sizes([HEAVY] * n, seed=SEED).attempts
    except NotCompleted:
        attempts = MAX_ATTEMPTS * n
    return (process_time() - began) / attempts


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    models = {"mace": load_energy("mace", "cpu"), "off-small": off_small()}
    for name, batch_size, n in CASES:
        spent = seconds_each(models[name], batch_size, n)
        row = {"descriptors": name, "batch": batch_size, "CPU s an attempt": round(spent, 3)}
        rows.append(row | {"attempts/s": round(1 / spent, 2)})
        record("simgen_speed", f"SiMGen, {HEAVY} heavy atoms, CPU time on one thread", rows)


if __name__ == "__main__":
    main()

"""Speed of batched MACE energies of molecules of 10 atoms, mace-torch's network and GFN2-xTB.

python experiments/benchmarks/energy_speed.py [--device cpu|cuda]

The CPU is measured with one thread and CPU time, a GPU with wall time. The models are the shipped
ones, mace-torch's network of the same shapes, also in batches, one of the size of MACE-OFF-medium
with random weights, and GFN2-xTB from tblite in one process (wall time). ``x gfn2`` is the speed
relative to that process at its fastest batch size. ``x one by one`` is the
speed relative to mace-torch's ASE calculator with a network of the same shape, molecule by
molecule; ``x in batches`` that relative to mace-torch's network of the same shape at its fastest
batch size. ``overhead`` is the time of ``evaluate`` beyond the forward pass on prepared batches.
The roofline is the time in which the device, at the bandwidth of a large copy measured in this run,
moves the least that the network must (see roofline.py); the share is that time over the time of
``evaluate``. The bandwidth used is what the operators of the forward pass read and write, over its
time and that bandwidth.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

import torch
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from record import record, seconds
from roofline import Shape, bandwidth, bytes_moved

from molrl.energy.gfn2 import GFN2Energy
from molrl.energy.mace_torch.batching import build_mace_torch, to_mace_torch
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.energy.networks.batched import BatchedEnergy, chunks
from molrl.energy.networks.energy import SHIPPED, NetworkEnergy
from molrl.energy.networks.mace.network import MaceConfig
from molrl.molecules import MoleculeBatch
from molrl.neighbors import neighbor_pairs
from molrl.runs.progress import progress

TURNS = 2
BY_MACE_TORCH = " by mace-torch"
N_ATOMS = 10
CUTOFF = 5.0  # Å, of both
BATCHES = {"cpu": (1, 8, 16, 32, 64, 256), "cuda": (64, 256, 1024, 4096, 16384)}
LARGE = Shape(channels=128, hidden_l=1, max_ell=3)  # that of MACE-OFF-medium


def main() -> None:
    # After molrl, which prevents mace-torch from disabling safe loading for the process.
    from mace.calculators import MACECalculator

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=BATCHES, default="cpu")
    device = parser.parse_args().device
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    images = ten_atoms()
    peak = bandwidth(device)
    shipped = [NetworkEnergy(name, device) for name in SHIPPED]
    models: dict[str, tuple[BatchedEnergy, Shape]] = {}
    for model in shipped:
        config = mace_config(model)
        shape = Shape(config.channels, layers=config.layers)
        other = MaceModuleEnergy(reference_network(model), model.name, "0" * 12, device=device)
        models |= {model.name: (model, shape), f"{model.name}{BY_MACE_TORCH}": (other, shape)}
    models["128x0e+128x1o, l 3"] = (large(mace_config(shipped[0]), device), LARGE)
    rows: list[dict[str, object]] = []
    with progress((len(models) + 1) * len(BATCHES[device]), "measure") as bar:
        for name, (model, shape) in models.items():
            calculator = MACECalculator(
                models=[reference_network(model)], device=device, default_dtype="float32"
            )
            alone = len(images) / seconds(partial(one_by_one, calculator, images), device)
            for size in BATCHES[device]:
                batch = many(images, size).to(device)
                rows.append(
                    {"model": name, "batch": size, **measure(model, shape, batch, peak, alone)}
                )
                bar.update(len(rows))
        gfn2 = GFN2Energy(n_workers=1)
        for size in BATCHES[device]:
            rows.append({"model": "gfn2", "batch": size, **measure_gfn2(gfn2, many(images, size))})
            bar.update(len(rows))
    columns = list(rows[0])
    place = columns.index("x one by one") + 1
    columns[place:place] = ["x in batches", "x gfn2"]
    compared = [
        row | {"x in batches": in_batches(row, rows), "x gfn2": over_gfn2(row, rows)}
        for row in rows
    ]
    those = ", ".join(f"{model.name} {model.hash}" for model in shipped)
    what = f"MACE energies of molecules of {N_ATOMS} atoms, {those}"
    title = f"{what}; a large copy moves {peak / 1e9:.0f} GB/s"
    name = f"energy_speed_{'gpu' if device == 'cuda' else 'cpu'}"
    record(name, title, [{key: row.get(key) for key in columns} for row in compared])


def in_batches(row: dict[str, object], rows: list[dict[str, object]]) -> float | None:
    """Return the speed relative to mace-torch's network of the same shape at its best batch."""
    other = str(row["model"]).removesuffix(BY_MACE_TORCH) + BY_MACE_TORCH
    speeds = [float(str(r["energies/s"])) for r in rows if r["model"] == other]
    return float(str(row["energies/s"])) / max(speeds) if speeds else None


def over_gfn2(row: dict[str, object], rows: list[dict[str, object]]) -> float:
    """Return the speed of energies relative to GFN2-xTB with one worker at its best batch."""
    speeds = [float(str(r["energies/s"])) for r in rows if r["model"] == "gfn2"]
    return float(str(row["energies/s"])) / max(speeds)


def many(images: list[Atoms], size: int) -> MoleculeBatch:
    """Return a batch of the given size, which repeats the molecules."""
    return MoleculeBatch.from_ase(list(islice(cycle(images), size)))


def measure_gfn2(model: GFN2Energy, batch: MoleculeBatch) -> dict[str, object]:
    """Measure GFN2-xTB, which computes forces with every energy."""
    speed = len(batch) / seconds(partial(model.evaluate, batch), "workers")
    return {"energies/s": speed, "with forces/s": speed}


def ten_atoms() -> list[Atoms]:
    """Return the molecules of 10 atoms in ASE's G2 set whose elements the models know."""
    images = [molecule(name) for name in g2.names]
    known = {1, 6, 7, 8}
    return [i for i in images if len(i) == N_ATOMS and known.issuperset(i.numbers.tolist())]


def large(like: MaceConfig, device: str) -> MaceModuleEnergy:
    """Return a model of the size of MACE-OFF-medium with random weights."""
    torch.manual_seed(0)
    config = like.model_copy(update={"channels": LARGE.channels})
    network = build_mace_torch(config, hidden="128x0e + 128x1o", max_ell=LARGE.max_ell)
    return MaceModuleEnergy(network, "large", "0" * 12, device=device)


def mace_config(model: NetworkEnergy) -> MaceConfig:
    """The shape of a MACE."""
    config = model.potential.config
    assert isinstance(config, MaceConfig)
    return config


def reference_network(model: BatchedEnergy) -> torch.nn.Module:
    """The network that mace-torch's calculator runs: of the same shape as the model's."""
    if isinstance(model, NetworkEnergy):
        return build_mace_torch(mace_config(model))
    assert isinstance(model, MaceModuleEnergy)
    network: torch.nn.Module = model.network
    return network


def own_forward(model: BatchedEnergy, batch: MoleculeBatch) -> Callable[[], object]:
    """The network alone, on the batches that ``evaluate`` would give it, prepared beforehand."""
    parts = [batch[chunk] for chunk in chunks(batch.n_atoms, model._chunk)]
    if isinstance(model, NetworkEnergy):
        graphs = [model._evaluated.graph(part, torch.float32) for part in parts]
        return torch.no_grad()(lambda: [model._evaluated(graph) for graph in graphs])
    batches = [
        to_mace_torch(part, part.neighbors(CUTOFF), model.elements, torch.float32) for part in parts
    ]
    network = reference_network(model)
    return torch.no_grad()(lambda: [network(b, compute_force=False) for b in batches])


def measure(
    model: BatchedEnergy, shape: Shape, batch: MoleculeBatch, peak: float, alone: float
) -> dict[str, object]:
    device, n = model.device.type, len(batch)
    forward = own_forward(model, batch)
    energy = own = float("inf")
    for _ in range(TURNS):  # in turns, so that both have the machine at its fastest
        energy = min(energy, seconds(lambda: model.evaluate(batch), device))
        own = min(own, seconds(forward, device))
    forces = seconds(lambda: model.evaluate(batch, forces=True), device)
    n_pairs = neighbor_pairs(batch.positions, batch.n_atoms, CUTOFF).shape[1]
    least = shape.least_bytes(N_ATOMS * n, n_pairs)
    moved = bytes_moved(forward)
    return {
        "energies/s": n / energy,
        "x one by one": n / energy / alone,
        "with forces/s": n / forces,
        "own forward/s": n / own,
        "overhead %": 100 * (energy / own - 1),
        "least kB/molecule": least / n / 1e3,
        "share of roofline %": 100 * least / peak / energy,
        "moved kB/molecule": moved / n / 1e3,
        "bandwidth used %": 100 * moved / peak / own,
    }


def one_by_one(calculator: object, images: list[Atoms]) -> None:
    for image in images:
        atoms = Atoms(image.numbers, image.positions)
        atoms.calc = calculator
        atoms.get_potential_energy()


if __name__ == "__main__":
    main()

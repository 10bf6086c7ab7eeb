"""SiMGen in shapes, on fragments, and with many atoms.

Of each shape: how far the heavy atoms are from its points, how many of its points have a heavy atom
within 1.5 Å, and how many molecules are valid. Of linkers and scaffolds: how many attempts connect
all atoms and take the hydrogens of the bag, and how many of these molecules are valid. Of sizes to
60 heavy atoms: the same, and the CPU time. Writes a picture of molecules in shapes.
"""

import sys
from time import process_time
from typing import Any

import numpy as np
import torch
from record import RESULTS, record

from molrl.chemistry.bonds import validity
from molrl.generation import NotCompleted
from molrl.generators.simgen.generator import SimgenGenerator
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import draw_grid
from molrl.shapes import load_shape

N, SEED = 2, 0
SHAPES: dict[str, tuple[Any, int]] = {  # the shape, and heavy atoms that fill it
    "line of 8 Å": ({"kind": "line", "length": 8.0}, 9),
    "ring of radius 2 Å": ({"kind": "ring", "radius": 2.0}, 11),
    "ball of radius 1.8 Å": ({"kind": "sphere", "radius": 1.8}, 12),
    "square of 4 Å": ({"kind": "surface", "width": 4.0, "height": 4.0}, 12),
}
LINKERS = [
    ("*C", "*C", 2.5, "CH2"),
    ("*C", "*C", 2.4, "O"),
    ("*c1ccccc1", "*C#N", 2.5, "CH2"),
    ("*c1ccccc1", "*c1ccccc1", 2.5, "O"),
    ("*c1ccccc1", "*c1ccccc1", 3.8, "C2H4"),
    ("*c1ccccc1", "*C", 3.8, "CONH"),
    ("*C(=O)N", "*C", 3.8, "C2H4"),
    ("*c1ccncc1", "*O", 3.8, "C2H4"),
    ("*C1CC1", "*C1CC1", 5.0, "C2H4O"),
    ("*c1ccccc1", "*N", 5.0, "C3H6"),
]
SCAFFOLDS = [
    ("*c1ccccc1", "CH3O"),
    ("*c1ccccc1", "C2H4N"),
    ("*c1ccncc1", "C2H5"),
    ("*C1CCCC1", "C2H3O"),
    ("*C(=O)N", "C4H9"),
    ("*c1ccc(*)cc1", "C2H6O"),
]
HEAVY = (10, 20, 40, 60)


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    rows, first, captions = [], [], []
    for name, (shape, size) in SHAPES.items():
        row, molecules = in_shape(name, shape, size, n)
        rows.append(row)
        if molecules is not None:
            first.append(molecules[0])
            captions.append(name)
    title = f"SiMGen in shapes, {n} molecules each"
    record("simgen_shapes", title, rows)
    if first:
        path = RESULTS / "simgen_shapes.png"
        draw_grid(MoleculeBatch.cat(first), path, captions, title="SiMGen in shapes")
    generator = SimgenGenerator(device="cpu")
    tasks = [
        {"kind": "linker", "fragments": [a, b], "gap": gap, "bag": bag}
        for a, b, gap, bag in LINKERS
    ] + [{"kind": "scaffold", "scaffold": scaffold, "bag": bag} for scaffold, bag in SCAFFOLDS]
    rows = [on_fragments(generator, task, n) for task in tasks]
    record("simgen_fragments", f"SiMGen on fixed fragments, {n} molecules of each task", rows)
    rows = [of_size(generator, size) for size in HEAVY]
    record("simgen_sizes", "SiMGen by the number of heavy atoms, 2 molecules each", rows)


def in_shape(
    name: str, shape: object, size: int, n: int
) -> tuple[dict[str, object], MoleculeBatch | None]:
    """Return the figures of n molecules in a shape, and the molecules if there are so many."""
    row: dict[str, object] = {"shape": name, "heavy atoms": size}
    row |= {"distance, Å": "", "points covered %": "", "attempts": "", "valid": 0}
    try:
        made = SimgenGenerator(device="cpu", prior=shape).generate_sizes([size] * n, seed=SEED)
    except NotCompleted:  # 30 attempts a molecule were not enough
        return row, None
    points = load_shape(shape)
    distance, covered = fit(made.molecules, points - points.mean(0))
    figures = {"distance, Å": distance, "points covered %": covered, "attempts": made.attempts}
    return row | figures | {"valid": int(validity(made.molecules).valid.sum())}, made.molecules


def fit(molecules: MoleculeBatch, points: np.ndarray) -> tuple[float, float]:
    """Return the median distance of heavy atoms from the points, and the points near one, %."""
    apart = [
        np.linalg.norm(positions[numbers > 1][:, None] - points, axis=-1)
        for numbers, positions in molecules.arrays()
    ]
    distance = np.median(np.concatenate([rows.min(1) for rows in apart]))
    return float(distance), 100 * float(np.mean([rows.min(0) < 1.5 for rows in apart]))


def on_fragments(generator: SimgenGenerator, task: dict[str, Any], n: int) -> dict[str, object]:
    """Return how many attempts at a task come out connected, and how many molecules are valid."""
    fixed = " + ".join(task.get("fragments", [task.get("scaffold")]))
    row: dict[str, object] = {"task": task["kind"], "fixed": fixed, "gap, Å": task.get("gap", "")}
    row |= {"bag": task["bag"], "attempts": "", "connected %": 0.0, "valid": 0, "distinct": 0}
    try:
        made = generator.generate(task, n=n, seed=SEED)
    except NotCompleted:  # 30 attempts a molecule were not enough
        return row
    found = validity(made.molecules)
    return row | {
        "attempts": made.attempts,
        "connected %": 100 * n / made.attempts,
        "valid": int(found.valid.sum()),
        "distinct": len(set(found.smiles)),
    }


def of_size(generator: SimgenGenerator, size: int) -> dict[str, object]:
    """Return how molecules of so many heavy atoms come out, and their CPU time."""
    began = process_time()
    row: dict[str, object] = {"heavy atoms": size, "attempts": "", "valid": 0}
    try:
        made = generator.generate_sizes([size] * 2, seed=SEED)
    except NotCompleted:  # 30 attempts a molecule were not enough
        return row | {"CPU s an attempt": ""}
    seconds = process_time() - began
    found = validity(made.molecules)
    row |= {"attempts": made.attempts, "valid": int(found.valid.sum())}
    return row | {"CPU s an attempt": seconds / made.attempts}


if __name__ == "__main__":
    main()

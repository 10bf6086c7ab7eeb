"""SiMGen in shapes and on fragments.

Of each shape: how far the heavy atoms are from its points, how many of its points have a heavy atom
within 1.5 Å, and how many molecules are valid; with the default strength of the prior, and with a
stronger one, which large shapes need. Of linkers and scaffolds: how many attempts connect all atoms
and take the hydrogens of the bag, and how many of these molecules are valid. Writes pictures of
molecules in shapes.
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
STRONG = {"prior_strength": 2.0, "prior_fade": 200.0}  # up to the end of the assembly
SHAPES: list[tuple[str, dict[str, Any], int]] = [  # the shape, and heavy atoms that fill it
    ("line of 8 Å", {"kind": "line", "length": 8.0}, 9),
    ("ring of radius 2 Å", {"kind": "ring", "radius": 2.0}, 11),
    ("ball of radius 1.8 Å", {"kind": "sphere", "radius": 1.8}, 12),
    ("square of 4 Å", {"kind": "surface", "width": 4.0, "height": 4.0}, 12),
    ("line of 20 Å", {"kind": "line", "length": 20.0}, 40),
    ("ring of radius 5 Å", {"kind": "ring", "radius": 5.0}, 40),
    ("ball of radius 2.7 Å", {"kind": "sphere", "radius": 2.7}, 40),
    ("square of 7.3 Å", {"kind": "surface", "width": 7.3, "height": 7.3}, 40),
]
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
DRAWN = 40  # heavy atoms of the molecules of the second picture


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    rows, large, small = [], [], []
    for name, shape, size in SHAPES:
        for settings in ({}, STRONG) if size < DRAWN else (STRONG,):
            row, molecules = in_shape(shape, size, settings, n)
            rows.append({"shape": name, "prior": "strong" if settings else "default"} | row)
            if molecules is not None:
                (large if size == DRAWN else small).append((name, molecules[0]))
    record("simgen_shapes", f"SiMGen in shapes, {n} molecules each", rows)
    picture("simgen_shapes", "SiMGen in shapes", dict(small))
    picture("simgen_shapes_large", f"SiMGen in shapes, {DRAWN} heavy atoms", dict(large))
    generator = SimgenGenerator(device="cpu")
    tasks = [
        {"kind": "linker", "fragments": [a, b], "gap": gap, "bag": bag}
        for a, b, gap, bag in LINKERS
    ] + [{"kind": "scaffold", "scaffold": scaffold, "bag": bag} for scaffold, bag in SCAFFOLDS]
    rows = [on_fragments(generator, task, n) for task in tasks]
    record("simgen_fragments", f"SiMGen on fixed fragments, {n} molecules of each task", rows)


def picture(name: str, title: str, shown: dict[str, MoleculeBatch]) -> None:
    """Write a picture of one molecule of each shape."""
    if shown:
        molecules = MoleculeBatch.cat(list(shown.values()))
        draw_grid(molecules, RESULTS / f"{name}.png", list(shown), title=title)


def in_shape(
    shape: object, size: int, settings: dict[str, float], n: int
) -> tuple[dict[str, object], MoleculeBatch | None]:
    """Return the figures of n molecules in a shape, and the molecules if there are so many."""
    generator = SimgenGenerator(device="cpu", prior=shape, **settings)
    row: dict[str, object] = {"heavy atoms": size, "distance, Å": "", "points covered %": ""}
    began = process_time()
    try:
        made = generator.generate_sizes([size] * n, seed=SEED)
    except NotCompleted:  # 30 attempts a molecule were not enough
        return row | {"attempts": "", "valid": 0, "CPU s a molecule": ""}, None
    seconds = process_time() - began
    points = load_shape(shape)
    distance, covered = fit(made.molecules, points - points.mean(0))
    row |= {"distance, Å": distance, "points covered %": covered, "attempts": made.attempts}
    valid = int(validity(made.molecules).valid.sum())
    return row | {"valid": valid, "CPU s a molecule": seconds / n}, made.molecules


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


if __name__ == "__main__":
    main()

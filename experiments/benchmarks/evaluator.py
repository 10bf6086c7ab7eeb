"""Self-test of the evaluator: real molecules are valid, and clouds of the same atoms are not.

python experiments/benchmarks/evaluator.py qm7.extxyz [-n 500]

Molecules of QM7, drawn at random with a fixed seed, are relaxed with GFN2-xTB. At their minima they
must be valid, connected and what they were before, which no shift, rotation or renumbering changes.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
from qm7 import CHUNK, known_molecules
from record import record
from scipy.spatial.transform import Rotation

from molrl.chemistry.bonds import Validity, validity
from molrl.energy import load_energy
from molrl.energy.relaxation import relax
from molrl.evaluation.description import change, describe
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

SEED = 0
VOLUME = 9.0  # Å³ for each atom of a cloud, about that of a molecule
APART = 0.6  # Å, the least distance of two atoms of a cloud


def random_clouds(molecules: MoleculeBatch, rng: np.random.Generator) -> MoleculeBatch:
    """Return the atoms of each molecule at random places of a cube, no two of them in one place.

    Args:
        molecules: n molecules, whose positions do not count.
        rng: draws the places.
    """
    clouds = []
    for numbers, _ in molecules.arrays():
        side = (VOLUME * len(numbers)) ** (1 / 3)
        places: list[np.ndarray] = []
        while len(places) < len(numbers):
            place = rng.uniform(0, side, 3)
            if all(np.linalg.norm(place - other) > APART for other in places):
                places.append(place)
        clouds.append((numbers, np.stack(places)))
    return MoleculeBatch.from_arrays(clouds)


def moved(molecules: MoleculeBatch, how: str, rng: np.random.Generator) -> MoleculeBatch:
    """Return the same molecules at another place, turned, or with their atoms in another order.

    Args:
        molecules: neutral molecules of the lowest spin.
        how: ``shifted``, ``rotated`` or ``renumbered``.
        rng: draws the displacement.
    """
    arrays = []
    for numbers, positions in molecules.arrays():
        if how == "renumbered":
            order = rng.permutation(len(numbers))
            arrays.append((numbers[order], positions[order]))
        elif how == "rotated":
            arrays.append((numbers, Rotation.random(random_state=rng).apply(positions)))
        else:
            arrays.append((numbers, positions + rng.uniform(-50, 50, 3)))
    return MoleculeBatch.from_arrays(arrays)


def n_different(one: Validity, other: Validity) -> int:
    """Return how many molecules differ in validity, reason, identity, names or checks."""
    first, second = describe(one, one), describe(other, other)
    columns = [
        (one.valid.tolist(), other.valid.tolist()),
        (one.reasons, other.reasons),
        (one.isomeric_smiles, other.isomeric_smiles),
        (first.inchikey, second.inchikey),
        (first.failed_checks, second.failed_checks),
    ]
    rows = (zip(*sides, strict=True) for sides in zip(*columns, strict=True))
    return sum(a != b for a, b in zip(*rows, strict=True))


def _relaxed(molecules: MoleculeBatch) -> tuple[MoleculeBatch, int]:
    """Return the molecules at minima of GFN2-xTB, and how many relaxations did not converge."""
    parts, unconverged = [], 0
    with progress(len(molecules), "relaxed") as bar:
        for start in range(0, len(molecules), CHUNK):
            result = relax(molecules[start : start + CHUNK], load_energy("gfn2"))
            parts.append(result.molecules)
            unconverged += int((~result.converged).sum())
            bar.update(min(start + CHUNK, len(molecules)))
    return MoleculeBatch.cat(parts), unconverged


def _changes(before: Validity, after: Validity) -> list[str | None]:
    return [
        None if mol is None else change(mol, relaxed, (int(n), int(m)))
        for mol, relaxed, n, m in zip(
            before.mols, after.mols, before.n_fragments, after.n_fragments, strict=True
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="QM7 as .extxyz")
    parser.add_argument("-n", type=int, default=500, help="number of molecules; default: 500")
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    found = known_molecules(options.file, load_energy("gfn2")).molecules
    chosen = np.sort(rng.choice(len(found), options.n, replace=False))
    given = found[torch.from_numpy(chosen)]
    given = replace(given, positions=given.positions.double())
    minima, unconverged = _relaxed(given)
    before, after = validity(given), validity(minima)
    changes = _changes(before, after)
    described = describe(after, after)
    sound = after.valid & (after.n_fragments == 1) & (np.array(changes) == "same")
    clouds = validity(random_clouds(given, rng))
    rows: list[dict[str, object]] = [
        _row("valid, connected and what they were, %", 100 * sound.mean(), "at least 98"),
        _row("valid, %", 100 * after.valid.mean(), ""),
        *(
            _row(
                f"relaxation: {name or 'no identity before'}, %",
                100 * changes.count(name) / len(changes),
                "",
            )
            for name in ("same", "changed", "fragmented", "mirrored", None)
        ),
        _row("geometric checks passed, %", 100 * described.passed.mean(), ""),
        _row("relaxations not converged", unconverged, ""),
        *(
            _row(f"{how}: molecules that differ", n_different(after, validity(again)), "0")
            for how in ("shifted", "rotated", "renumbered")
            for again in [moved(minima, how, rng)]
        ),
        _row("random clouds that are valid, %", 100 * clouds.valid.mean(), "below 2"),
    ]
    for i in np.flatnonzero(~sound)[:20].tolist():
        print(chosen[i], before.smiles[i], after.smiles[i], changes[i], after.reasons[i])
    record("evaluator", f"Self-test of the evaluator on {options.n} molecules of QM7", rows)


def _row(what: str, figure: float, target: str) -> dict[str, object]:
    return {"what": what, "figure": round(float(figure), 2), "target": target}


if __name__ == "__main__":
    main()

"""Linkers of SiMGen: real molecules with the middle cut out, which it fills again.

Molecules that no reference is drawn from, with at least 6 heavy atoms, are cut at two single bonds
that are in no ring, so that two ends of at least two heavy atoms stay where they are, and as many
heavy atoms between them as possible, up to 4, are taken out. The task is the formula of what was
taken out. Of all tasks: how many are connected at the first attempt, and at one of two; how many of
the molecules are valid; how many are the molecule that was cut, or another one. The prior is the
strong one of large shapes, with which more attempts come out connected.
"""

import sys
from collections.abc import Iterator
from itertools import combinations, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
from rdkit import Chem
from record import record
from simgen_shapes import STRONG

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.files import write
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.generators.simgen.generator import SimgenGenerator
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

N, ATTEMPTS = 100, 2
SMALLEST, LONGEST, END = 6, 4, 2  # heavy atoms of a molecule, of a linker at most, of an end


class Cut(NamedTuple):
    """A molecule without its middle.

    Attributes:
        identity: of the molecule.
        ends: the atoms that stay, one molecule.
        linker: formula of those that were taken out.
        n_heavy: heavy atoms that were taken out.
    """

    identity: str
    ends: MoleculeBatch
    linker: str
    n_heavy: int


class Filled(NamedTuple):
    """What SiMGen made of a task.

    Attributes:
        cut: the task.
        attempts: up to the first connected molecule; 0: none was.
        smiles: of the molecule, if it is valid.
    """

    cut: Cut
    attempts: int
    smiles: str | None


def cuts(mol: Chem.Mol) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the atoms that stay, and those between two cut bonds, for all such pairs of bonds.

    Args:
        mol: with all hydrogens.
    """
    bonds = [
        bond
        for bond in mol.GetBonds()
        if bond.GetBondType() == Chem.BondType.SINGLE
        and not bond.IsInRing()
        and min(bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()) > 1
    ]
    for pair in combinations(bonds, 2):
        broken = Chem.FragmentOnBonds(mol, [bond.GetIdx() for bond in pair], addDummies=False)
        parts = [list(part) for part in Chem.GetMolFrags(broken)]
        touched = [
            sum(i in part for bond in pair for i in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            for part in parts
        ]
        middle = parts[touched.index(2)]
        ends = [part for part, n in zip(parts, touched, strict=True) if n == 1]
        if min(_n_heavy(mol, part) for part in ends) >= END and _n_heavy(mol, middle) <= LONGEST:
            yield sorted(ends[0] + ends[1]), sorted(middle)


def _n_heavy(mol: Chem.Mol, atoms: list[int]) -> int:
    return sum(mol.GetAtomWithIdx(i).GetAtomicNum() > 1 for i in atoms)


def tasks(n: int) -> list[Cut]:
    """Return n molecules of the shipped set that are kept for validation and test, each cut once.

    Args:
        n: number of tasks.
    """
    rng = np.random.default_rng(0)
    found: list[Cut] = []
    for split in ("test", "valid"):
        known = shipped_molecules().of_split(split)
        for i in rng.permutation(len(known)).tolist():
            one = known.molecules[i]
            if len(found) == n or int((one.numbers > 1).sum()) < SMALLEST:
                continue
            (mol,) = validity(one).mols
            ways = [] if mol is None else list(cuts(mol))
            if not ways:
                continue
            longest = max(_n_heavy(mol, middle) for _, middle in ways)
            ways = [way for way in ways if _n_heavy(mol, way[1]) == longest]
            ends, middle = ways[rng.integers(len(ways))]
            stay = MoleculeBatch(one.numbers[ends], one.positions[ends], torch.tensor([len(ends)]))
            formula = molrl.Bag(one.numbers[middle].tolist()).formula
            found.append(Cut(known.identities[i], stay, formula, longest))
    return found


def fill(generator: SimgenGenerator, cut: Cut, folder: Path) -> Filled:
    """Return what SiMGen makes of a task.

    Args:
        generator: SiMGen.
        cut: the task.
        folder: of the file that the ends are read from.
    """
    path = folder / "ends.extxyz"
    write(path, cut.ends)
    task = {"kind": "scaffold", "scaffold": str(path), "bag": cut.linker}
    for seed in range(ATTEMPTS):
        made = attempt(generator, task, seed)
        if made is not None:
            found = validity(made)
            return Filled(cut, seed + 1, found.smiles[0] if found.valid[0] else None)
    return Filled(cut, 0, None)


def attempt(generator: SimgenGenerator, task: dict[str, str], seed: int) -> MoleculeBatch | None:
    """Return the molecule of one attempt at a task; None if it is not connected.

    Args:
        generator: SiMGen.
        task: with fixed atoms.
        seed: of the attempt.
    """
    # The start, the rounds and the settled skeleton; then hydrogens, or the next attempt.
    rounds = -(-(generator.config.steps - 1) // generator.config.swap_every)
    states = list(islice(generator.frames(task, seed), rounds + 4))
    return states[-1] if 1 in states[-2].numbers else None


def row(name: str, filled: list[Filled]) -> dict[str, object]:
    """Return the row of the table.

    Args:
        name: of the tasks.
        filled: at least one task.
    """
    n = len(filled)
    valid = [one for one in filled if one.smiles]
    back = sum(one.smiles == one.cut.identity for one in valid)
    return {
        "linkers": name,
        "tasks": n,
        "connected at once %": 100 * sum(one.attempts == 1 for one in filled) / n,
        "connected %": 100 * sum(one.attempts > 0 for one in filled) / n,
        "valid %": 100 * len(valid) / n,
        "the molecule that was cut %": 100 * back / n,
        "another one %": 100 * (len(valid) - back) / n,
    }


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    generator = SimgenGenerator(device="cpu", **STRONG)
    began = process_time()
    filled = []
    with TemporaryDirectory() as folder, progress(n, "linkers") as bar:
        for i, cut in enumerate(tasks(n)):
            filled.append(fill(generator, cut, Path(folder)))
            bar.update(i + 1)
    seconds = process_time() - began
    rows = [row("all", filled)]
    for size in range(1, LONGEST + 1):
        chosen = [one for one in filled if one.cut.n_heavy == size]
        rows += [row(f"of {size} heavy atoms", chosen)] if chosen else []
    title = f"{len(filled)} molecules with the middle cut out, filled by SiMGen"
    record("simgen_linkers", f"{title}; {seconds / len(filled):.2g} CPU s each", rows)


if __name__ == "__main__":
    main()

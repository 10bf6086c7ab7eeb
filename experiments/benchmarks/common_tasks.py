"""The same 100 shapes, scaffolds and linkers for every generator, made from real molecules.

    python experiments/benchmarks/common_tasks.py pseudo-force simgen covariant [-n 2]

The tasks come from molecules of the test split, which the denoisers have not seen; seed 0 draws
them, so that they are always the same. A shape is the heavy atoms of a molecule as points, with its
formula as the bag. A scaffold is the larger side of a bond that is cut; a linker task has the
fragments beyond two bonds, at their distance in the molecule; the bag is the rest. Shares are of
all molecules that were asked for, so that a task which a generator refuses or gives up is one that
it fails. *Fits*: each heavy atom is within 1.5 Å of a point, and each point of a heavy atom; or
each fixed atom has an atom of its element within 0.1 Å. *Solved*: valid, and fits. The CPU time is
that of all tasks that are taken, by the molecules that are made. One that was stopped goes on with
the task it was in. Writes experiments/results/common_tasks_METHOD.{json,md}.
"""

import argparse
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, islice, product, zip_longest
from pathlib import Path
from time import process_time

import numpy as np
import torch
from kept_rows import KeptRows, Row
from numpy.typing import NDArray
from rdkit import Chem
from record import record, run_script

import molrl
from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import load_training_set
from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.generation import Generator, NotCompleted
from molrl.runs.progress import log_message
from molrl.tasks import Task, parse_task
from molrl.tasks.interface import Instance

ROOT = Path(__file__).parents[2]
SEED = 0
COUNTS = {"shape": 34, "scaffold": 33, "linker": 33}
REACH = 1.5  # Å, of heavy atoms from points, and of points from heavy atoms
MOVED = 0.1  # Å, how far a fixed atom may be from its place
FIGURES = ("connected", "valid", "fits", "solved")
CUT = Chem.MolFromSmarts("[!#1]-&!@[!#1]")

MakeTasks = Callable[[Chem.Mol, int], Iterator[Task]]


def make_tasks() -> list[Task]:
    """Return the tasks, their kinds in turn."""
    molecules = load_training_set().of_split("test").molecules
    mols = [mol for mol in validity(molecules).mols if mol is not None]
    order = np.random.default_rng(SEED).permutation(len(mols))
    shuffled = [(mols[i], int(i)) for i in order]
    made = [_first(count, MAKERS[kind], shuffled) for kind, count in COUNTS.items()]
    return [task for some in zip_longest(*made) for task in some if task is not None]


def shapes(mol: Chem.Mol, seed: int) -> Iterator[Task]:
    """Yield the task of filling the places of the heavy atoms of a molecule."""
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    if len(heavy) >= 4:
        points = mol.GetConformer().GetPositions()[heavy].round(3)
        bag = Bag([atom.GetAtomicNum() for atom in mol.GetAtoms()]).formula
        yield _task("shape", shape=points, n_points=len(heavy), bag=bag)


def scaffolds(mol: Chem.Mol, seed: int) -> Iterator[Task]:
    """Yield the task of replacing the smaller side of a bond of a molecule."""
    bonds = _cuts(mol)
    if not bonds:
        return
    parts = _pieces(mol, [bonds[seed % len(bonds)]])
    left, kept = sorted(parts, key=lambda part: (part.GetNumHeavyAtoms(), _smiles(part)))
    if kept.GetNumHeavyAtoms() >= 3 and _are_neutral(parts):
        yield _task("scaffold", scaffold=_smiles(kept), bag=_formula(left))


def linkers(mol: Chem.Mol, seed: int) -> Iterator[Task]:
    """Yield the task of replacing what is between two bonds of a molecule."""
    pairs = list(combinations(_cuts(mol), 2))
    for turn in range(len(pairs)):
        pair = pairs[(seed + turn) % len(pairs)]
        parts = _pieces(mol, pair)
        middle, *more = sorted(parts, key=_n_dummies, reverse=True)
        if _are_neutral(parts):
            ends = sorted(map(_smiles, more))
            yield _task("linker", fragments=ends, gap=_gap(mol, pair), bag=_formula(middle))
            return


MAKERS: dict[str, MakeTasks] = {
    "shape": shapes,
    "scaffold": scaffolds,
    "linker": linkers,
}


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        kind: of the task.
        made: number of molecules.
        connected: number of them that are one whole.
        valid: number of valid ones.
        fits: number of those that fill the shape or keep the fixed atoms.
        solved: number of those that are valid, too.
        attempts: how many it took.
        seconds: CPU time.
        refusal: why there is none, if the generator does not take the task.
    """

    kind: str
    made: int = 0
    connected: int = 0
    valid: int = 0
    fits: int = 0
    solved: int = 0
    attempts: int = 0
    seconds: float = 0.0
    refusal: str = ""


def outcome(generator: Generator, task: Task, n: int) -> Outcome:
    """Ask a generator for n molecules of a task."""
    began = process_time()
    try:
        made = generator.generate(task, n=n, seed=SEED)
    except NotCompleted:
        return Outcome(task.kind, seconds=process_time() - began)
    except InputError as error:
        return Outcome(task.kind, refusal=str(error))
    seconds = process_time() - began
    found = validity(made.molecules)
    (instance,) = task.instances() or ()
    fits = np.array([fit(instance, *arrays) for arrays in made.molecules.arrays()])
    return Outcome(
        kind=task.kind,
        made=n,
        connected=int((found.n_fragments == 1).sum()),
        valid=int(found.valid.sum()),
        fits=int(fits.sum()),
        solved=int((found.valid & fits).sum()),
        attempts=made.attempts,
        seconds=seconds,
    )


def fit(instance: Instance, numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> bool:
    """Return whether a molecule fills the shape of an instance, or keeps its fixed atoms."""
    if len(instance.shape):
        apart = np.linalg.norm(positions[numbers > 1][:, None] - instance.shape, axis=-1)
        return bool(max(apart.min(0).max(), apart.min(1).max()) < REACH)
    fixed = instance.fixed
    apart = np.linalg.norm(fixed.positions[:, None] - positions, axis=-1)
    apart[fixed.numbers[:, None] != numbers] = np.inf
    return bool(apart.min(1).max() < MOVED)


def row(what: str, found: list[Outcome], n: int) -> Row:
    """Return the figures of tasks, of each of which n molecules were asked for."""
    made, asked = sum(each.made for each in found), n * len(found)
    shares = {
        f"{name} %": 100 * sum(getattr(each, name) for each in found) / asked for name in FIGURES
    }
    return {
        "tasks": f"{len(found)} {what}",
        "refused": sum(bool(each.refusal) for each in found),
        "given up": sum(not each.made and not each.refusal for each in found),
        **shares,
        "attempts a molecule": sum(each.attempts for each in found) / made if made else None,
        "CPU s a molecule": sum(each.seconds for each in found) / made if made else None,
        "refusal": next((each.refusal for each in found if each.refusal), ""),
    }


def rows(found: list[Outcome], n: int) -> list[Row]:
    """Return the row of all tasks, and one for each kind."""
    kinds = {each.kind: [other for other in found if other.kind == each.kind] for each in found}
    return [row("all", found, n), *(row(f"{kind}s", some, n) for kind, some in kinds.items())]


def _first(count: int, make: MakeTasks, shuffled: Sequence[tuple[Chem.Mol, int]]) -> list[Task]:
    """Return the first tasks that can be made."""
    return list(islice((task for mol, seed in shuffled for task in make(mol, seed)), count))


def _task(kind: str, **fields: object) -> Task:
    return parse_task({"kind": kind, **fields})


def _cuts(mol: Chem.Mol) -> list[int]:
    """Return the single bonds between heavy atoms that are not in a ring."""
    return [mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in mol.GetSubstructMatches(CUT)]


def _pieces(mol: Chem.Mol, bonds: Sequence[int]) -> list[Chem.Mol]:
    """Return what a molecule falls into where bonds are cut, with a dummy atom at each end."""
    cut = Chem.FragmentOnBonds(mol, bonds, dummyLabels=[(0, 0)] * len(bonds))
    return list(Chem.GetMolFrags(cut, asMols=True))


def _gap(mol: Chem.Mol, pair: Sequence[int]) -> float:
    """Return the distance of the ends of two bonds that are farthest apart in the molecule, Å."""
    first, second = (mol.GetBondWithIdx(bond) for bond in pair)
    steps, apart = Chem.GetDistanceMatrix(mol), Chem.Get3DDistanceMatrix(mol)
    ends = product(*((b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in (first, second)))
    return round(float(apart[max(ends, key=lambda both: steps[both])]), 2)


def _are_neutral(parts: list[Chem.Mol]) -> bool:
    return all(Chem.GetFormalCharge(part) == 0 for part in parts)


def _n_dummies(part: Chem.Mol) -> int:
    return sum(atom.GetAtomicNum() == 0 for atom in part.GetAtoms())


def _formula(part: Chem.Mol) -> str:
    return Bag([z for atom in part.GetAtoms() if (z := atom.GetAtomicNum())]).formula


def _smiles(part: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveAllHs(part), isomericSmiles=False)


def weights_of(generator: Generator) -> str:
    """Return a hash of the networks of a generator and of its energy model."""
    digest = hashlib.sha256()
    for part in vars(generator).values():
        if isinstance(part, torch.nn.Module):
            for tensor in part.state_dict().values():
                digest.update(tensor.cpu().numpy().tobytes())
        elif isinstance(part, EnergyModel):
            digest.update(part.hash.encode())
    return digest.hexdigest()[:12]


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("methods", nargs="+", help="generators, such as pseudo-force or run:RUN")
    parser.add_argument("-n", type=int, default=2, help="molecules of each task")
    parser.add_argument("--tasks", type=int, default=100, help="how many, from the first")
    given = parser.parse_args()
    if given.n < 1 or given.tasks < 1:
        raise InputError("-n and --tasks must be at least 1")
    kinds = [method.partition(":")[0] for method in given.methods]
    if len(set(kinds)) < len(kinds):
        raise InputError("two methods of the same kind would write the same record; run one alone")
    tasks = make_tasks()[: given.tasks]
    for method in given.methods:
        generator, name = molrl.load_generator(method, device="cpu"), method.partition(":")[0]
        weights = weights_of(generator)
        kept, found = KeptRows(ROOT / f"runs/benchmarks/common_tasks_{name}.jsonl"), []
        for task in tasks:
            key = f"{method} {weights} {given.n} {task}"
            (made,) = kept.get(key, lambda t=task, g=generator: [asdict(outcome(g, t, given.n))])
            found.append(Outcome(**made))
            log_message(f"{name}: {len(found)} of {len(tasks)} tasks; {rows(found, given.n)[0]}")
        title = f"{name} on the common tasks, {given.n} molecules of each"
        record(f"common_tasks_{name}", title, rows(found, given.n))


if __name__ == "__main__":
    run_script(main)

"""Quality of a denoiser by the number of evaluations, its uses, its guidance, and its speed.

    python experiments/benchmarks/denoisers.py [pseudo-force:runs/pseudo_force] [-n 100]
        [--tables quality uses guidance speed]

Molecules of the bags of the valid split, and of any composition, with their bonds perceived from
the coordinates: as they are made, and after at most 100 steps of relaxation with GFN2-xTB. Shares
are of all molecules that were made (and, after relaxation, relaxed); distinct ones, and those that
pass the checks of PoseBusters that need no force field, of the valid ones; new ones (not in the
train split) of the distinct ones. Beside them molecules of the valid split, as rows of their own
kind. Distances of Jensen and Shannon (0 to 1) are between valid molecules and the train split, by
element, by rings and by pi bonds of a molecule. Writes
experiments/results/denoisers_NAME.{json,md,png} and denoisers_NAME_{uses,guidance,speed}.{json,md}.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import torch
from rdkit import Chem
from record import RESULTS, record

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.chemistry.training_set import load_training_set
from molrl.energy import load_energy
from molrl.energy.relaxation import relax
from molrl.evaluation.describe_worker import failed_checks
from molrl.generation import Generated
from molrl.generators.diffusion.generator import DenoisingGenerator
from molrl.molecules import MoleculeBatch
from molrl.plotting.figures import blank_figure, save_figure, tidy
from molrl.tasks import Task, parse_task

EVALUATIONS = (6, 12, 25, 59, 125, 250)
BATCHES = (1, 64, 512)
BAGS, ANY, DATA = "bags of the valid split", "any composition", "valid split itself"
GUIDANCE: dict[str, dict[str, Any]] = {
    "none": {},
    "energy 0.1/eV": {"energy": 0.1},
    "energy 0.5/eV": {"energy": 0.5},
    "valid, 4 particles": {"reward": {"valid": 5.0}},
}
TABLES = ("quality", "uses", "guidance", "speed")
SCAFFOLDS = (("*c1ccccc1", "CH3O"), ("*C", "C2H5O"), ("*C#N", "C3H7"))
LINKERS = (("*c1ccccc1", "*C#N", 2.5, "CH2"), ("*C", "*C", 3.9, "C2H4"))
SHAPES = (("line", "C5H12"), ("sphere", "C7H10O2"))
Row = dict[str, object]


@dataclass(frozen=True)
class Judge:
    """What molecules are compared with.

    Attributes:
        known: identities of the train split.
        usual: numbers of its elements, rings and pi bonds.
        n_relaxed: number of molecules that are relaxed.
    """

    known: set[str]
    usual: dict[str, Counter[Any]]
    n_relaxed: int

    def row(self, what: str, molecules: MoleculeBatch) -> Row:
        """Return the figures of molecules."""
        found = validity(molecules)
        kept = [m for m, ok in zip(found.mols, found.valid, strict=True) if ok and m]
        names = [s for s, ok in zip(found.smiles, found.valid, strict=True) if ok and s]
        distinct = set(names)
        far = {
            f"JS {kind}": _distance(counted, self.usual[kind])
            for kind, counted in _counts(Chem.MolFromSmiles(name) for name in names).items()
        }
        return {
            "molecules": what,
            "valid and connected %": 100 * float(found.valid.mean()),
            "connected %": 100 * float((found.n_fragments == 1).mean()),
            "distinct %": _percent(len(distinct), len(names)),
            "new %": _percent(len(distinct - self.known), len(distinct)),
            "checks passed %": _percent(sum(map(_passes, kept)), len(kept)),
            **self._relaxed(molecules[: self.n_relaxed]),
            **far,
        }

    def _relaxed(self, molecules: MoleculeBatch) -> Row:
        """Return what becomes of the first molecules."""
        result = relax(molecules, load_energy("gfn2"), force_tolerance=0.1, max_steps=100)
        before, after = validity(molecules), validity(result.molecules)
        kept = [
            bool(ok) and a == b
            for a, b, ok in zip(before.smiles, after.smiles, before.valid, strict=True)
        ]
        strain = (result.start_energy - result.energy).numpy()[before.valid]
        best = [shipped_molecules().isomers(bag).energy[:1].tolist() for bag in molecules.bags()]
        above = [
            float(energy) - least[0]
            for energy, least, ok in zip(result.energy, best, after.valid, strict=True)
            if least and ok
        ]
        return {
            "valid after GFN2 %": 100 * float(after.valid.mean()),
            "same after GFN2 %": 100 * float(np.mean(kept)),
            "strain, eV": _median(strain),
            "above best isomer, eV": _median(np.array(above)),
        }


def made_row(
    judge: Judge, what: str, generator: DenoisingGenerator, make: Callable[[], Generated]
) -> Row:
    """Make molecules; return their figures and what they cost."""
    began = process_time()
    made = make()
    seconds = (process_time() - began) / len(made.molecules)
    row = judge.row(what, made.molecules) | {
        "evaluations": generator.sampling.evaluations,
        "energies": made.energy_calls / len(made.molecules),
        "CPU ms": 1e3 * seconds,
    }
    print(row, flush=True)
    return row


def quality(name: str, n: int, judge: Judge, evaluations: Sequence[int]) -> list[Row]:
    """Return a row for the data, and two for each number of evaluations."""
    valid = load_training_set().of_split("valid").molecules
    task = bags_of(valid)
    chosen = torch.randperm(len(valid), generator=torch.Generator().manual_seed(0))[:n]
    nothing = {"evaluations": None, "energies": None, "CPU ms": None}
    rows = [judge.row(DATA, valid[chosen]) | nothing]
    for count in evaluations:
        generator = load(name, sampling={"evaluations": count})
        rows += [
            made_row(judge, BAGS, generator, lambda g=generator: g.generate(task, n, 0)),
            made_row(judge, ANY, generator, lambda g=generator: g.generate_any(n, 0)),
        ]
    return rows


def bags_of(molecules: MoleculeBatch) -> Task:
    """Return the task of making molecules of the bags of others."""
    formulas = sorted({bag.formula for bag in molecules.bags()})
    return parse_task({"kind": "bags", "bags": formulas, "held_out": []})


def guidance(name: str, n: int, judge: Judge) -> list[Row]:
    """Return a row of the bags of the valid split for each guidance."""
    task = bags_of(load_training_set().of_split("valid").molecules)
    rows: list[Row] = []
    for what, options in GUIDANCE.items():
        generator = load(name, guidance=options)
        made = made_row(judge, what, generator, lambda g=generator: g.generate(task, n, 0))
        rows.append({"guidance": made.pop("molecules"), **made})
    return rows


def uses(name: str, n: int, judge: Judge) -> list[Row]:
    """Return rows of formulas that were held out, of scaffolds, linkers and shapes."""
    plain = load(name)
    tasks: list[tuple[str, Any]] = [("C4H7N", "C4H7N"), ("C7H10O2", "C7H10O2")]
    tasks += [
        (f"scaffold {s} and {bag}", {"kind": "scaffold", "scaffold": s, "bag": bag})
        for s, bag in SCAFFOLDS
    ]
    tasks += [
        (
            f"linker {bag} of {a} and {b}",
            {"kind": "linker", "fragments": [a, b], "gap": gap, "bag": bag},
        )
        for a, b, gap, bag in LINKERS
    ]
    tasks += [
        (f"{shape} of {bag}", {"kind": "shape", "shape": shape, "bag": bag})
        for shape, bag in SHAPES
    ]
    return [
        made_row(judge, what, plain, lambda task=task: plain.generate(task, n, 0))
        for what, task in tasks
    ]


def speeds(name: str, batches: Sequence[int]) -> list[Row]:
    """Return molecules of C7H10O2 a second, by the number that are sampled at a time."""
    rows: list[Row] = []
    for batch in batches:
        generator = load(name, batch_size=batch)
        began = process_time()
        made = generator.generate("C7H10O2", batch, 0)
        rows.append(
            {
                "batch": batch,
                "evaluations": made.network_calls // made.attempts,
                "molecules a CPU second": batch / (process_time() - began),
            }
        )
    return rows


def draw(rows: list[Row], name: str, path: str) -> None:
    """Draw shares of valid molecules and their strain by the number of evaluations."""
    figure = blank_figure(9.6, 3.8)
    left, right = figure.subplots(1, 2)
    styles = {BAGS: "#2a6fb0", ANY: "#c0392b"}
    for what, color in styles.items():
        some = [row for row in rows if row["molecules"] == what]
        counts = np.array([row["evaluations"] for row in some], float)
        for key, dashes in (("valid and connected %", "-"), ("valid after GFN2 %", ":")):
            label = f"{what}, {'as made' if dashes == '-' else 'relaxed'}"
            values = np.array([row[key] for row in some], float)
            left.plot(counts, values, dashes, color=color, marker=".", label=label)
        strain = np.array([row["strain, eV"] for row in some], float)
        right.plot(counts, strain, color=color, marker=".", label=what)
    left.axhline(
        np.array(rows[0]["valid and connected %"], float), color="#777777", lw=0.8, label="data"
    )
    left.set(ylim=(0, 102), ylabel="valid and connected, %")
    right.set(ylabel="median strain of valid molecules, eV", ylim=(0, None))
    for axes in (left, right):
        axes.set(xlabel="evaluations of the network for a molecule", xscale="log")
        axes.set_xlim(counts.min() / 1.2, counts.max() * 1.2)
        axes.set_xticks(counts, [f"{count:g}" for count in counts])
        axes.minorticks_off()
        axes.set_title(name, fontsize=10, loc="left", color="#333333")
        tidy(axes)
        axes.legend(fontsize=8, frameon=False)
    save_figure(figure, RESULTS / path)


def load(name: str, **options: Mapping[str, float] | int) -> DenoisingGenerator:
    """Load a denoiser on the CPU."""
    generator = molrl.load_generator(name, device="cpu", **options)
    assert isinstance(generator, DenoisingGenerator)
    return generator


def _counts(mols: Iterable[Chem.Mol]) -> dict[str, Counter[Any]]:
    """Count heavy atoms by element, and molecules by rings and by pi bonds."""
    elements, rings, bonds = Counter[Any](), Counter[Any](), Counter[Any]()
    for mol in mols:
        elements.update(atom.GetSymbol() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1)
        rings[mol.GetRingInfo().NumRings()] += 1
        bonds[round(sum(bond.GetBondTypeAsDouble() - 1 for bond in mol.GetBonds()))] += 1
    return {"elements": elements, "rings": rings, "pi bonds": bonds}


def _distance(first: Counter[Any], second: Counter[Any]) -> float | None:
    """Return the distance of Jensen and Shannon of two sets of counts, with logarithms to 2."""
    if not first or not second:
        return None
    keys = sorted(first | second)
    p, q = (np.array([c[k] for k in keys]) / sum(c.values()) for c in (first, second))
    mean = (p + q) / 2
    parts = (np.sum(x[x > 0] * np.log2(x[x > 0] / mean[x > 0])) for x in (p, q))
    return float(max(0.0, sum(parts) / 2) ** 0.5)


def _passes(mol: Chem.Mol) -> bool:
    """Return whether a molecule passes the geometric checks of PoseBusters."""
    return not failed_checks(mol)


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _median(values: np.ndarray) -> float | None:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else None


def main() -> None:
    """Measure, draw and write."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generator", nargs="?", default="pseudo-force")
    parser.add_argument("--name", help="of the results; by default that of the generator")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--relaxed", type=int, default=40, help="how many of them are relaxed")
    parser.add_argument("--evaluations", type=int, nargs="+", default=EVALUATIONS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--tables", choices=TABLES, nargs="+", default=TABLES)
    given = parser.parse_args()
    name = given.name or given.generator.partition(":")[0]
    train = load_training_set().of_split("train").identities
    judge = Judge(set(train), _counts(map(Chem.MolFromSmiles, train)), given.relaxed)
    steps = load(given.generator).header.steps
    about = f"{name} after {steps} steps, {given.n} molecules each, {given.relaxed} relaxed"
    if "quality" in given.tables:
        rows = quality(given.generator, given.n, judge, given.evaluations)
        record(f"denoisers_{name}", f"{about}: by number of evaluations", rows)
        draw(rows, name, f"denoisers_{name}.png")
    if "guidance" in given.tables:
        rows = guidance(given.generator, given.n, judge)
        record(f"denoisers_{name}_guidance", f"{about}, bags of the valid split: guidance", rows)
    if "uses" in given.tables:
        rows = uses(given.generator, given.relaxed, judge)
        record(f"denoisers_{name}_uses", f"{name}, {given.relaxed} molecules each, relaxed", rows)
    if "speed" in given.tables:
        rows = speeds(given.generator, given.batches)
        record(f"denoisers_{name}_speed", f"Speed of {name}", rows)


if __name__ == "__main__":
    main()

"""Isomers of 20 formulas that a generator has not seen: QM7-20, the protocol of AtomComposer.

python experiments/benchmarks/qm7_20.py QM7.extxyz --method covariant [--per-isomer 100]

Hastrup et al., arXiv 2605.28287 (2026): for each of 20 formulas so many samples for every isomer
that QM7 has of it. A sample counts as valid if it is one neutral closed-shell molecule as it was
made, without relaxation; attempts that broke off count as samples. *Rediscovered*: isomers of QM7
that were found, over their number; *expansion*: other valid isomers over the same number. Some
samples of each formula are relaxed with GFN2-xTB: their strain, and whether they stay the molecule
they were.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from time import process_time

import numpy as np
from qm7 import identities
from record import record, run_script

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import QM7_20
from molrl.errors import InputError
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.files import read_molecules
from molrl.generation import Generated, Generator
from molrl.runs.config import read_overrides
from molrl.runs.progress import log_message

CHUNK = 500  # molecules whose identities are found at once


@dataclass(frozen=True)
class Found:
    """What a generator made of one formula.

    Attributes:
        formula: the formula.
        known: identities of its isomers in QM7.
        samples: attempts, those included that broke off.
        valid: identities of the valid samples.
        seconds: CPU time of the sampling.
        strain: ``(n,)`` eV, of the samples that were relaxed.
        kept: ``(n,)`` bool, which of them stayed the molecules they were; NaN strain: failed.
    """

    formula: str
    known: frozenset[str]
    samples: int
    valid: tuple[str, ...]
    seconds: float
    strain: np.ndarray
    kept: np.ndarray

    def row(self) -> dict[str, object]:
        """Return the row of the table."""
        distinct, n = set(self.valid), len(self.known)
        return {
            "formula": self.formula,
            "known": n,
            "samples": self.samples,
            "valid": len(self.valid) / self.samples,
            "distinct": len(distinct),
            "distinct per sample": len(distinct) / self.samples,
            "rediscovered": len(distinct & self.known) / n,
            "expansion": len(distinct - self.known) / n,
            "strain, eV": float(np.nanmedian(self.strain)) if len(self.strain) else np.nan,
            "stays": float(self.kept.mean()) if len(self.kept) else np.nan,
            "CPU ms a sample": 1000 * self.seconds / self.samples,
        }


def known_isomers(path: str) -> Mapping[str, frozenset[str]]:
    """Return the identities of the isomers of each formula in a file of QM7."""
    molecules = read_molecules(path)
    formulas = np.array([bag.formula for bag in molecules.bags()])
    chosen = molecules[np.flatnonzero(np.isin(formulas, _formulas()))]
    names = identities(chosen, "QM7")
    of = np.array([bag.formula for bag in chosen.bags()])
    return {f: frozenset(names[(of == f) & (names != "")]) for f in _formulas()}


def _formulas() -> list[str]:
    return [molrl.Bag(formula).formula for formula in QM7_20]


def run(
    generator: Generator, formula: str, known: frozenset[str], per_isomer: int, relaxed: int
) -> Found:
    """Return what a generator makes of a formula, in as many attempts as the protocol has samples.

    Generators make as many complete molecules as asked for. Of these, which are independent, as
    many count as that number of attempts completes on average.
    """
    began, samples = process_time(), per_isomer * len(known)
    made: Generated = generator.generate(formula, n=samples, seed=0)
    spent = (process_time() - began) * samples / made.attempts
    molecules = made.molecules[: round(samples * samples / made.attempts)]
    found: list[str] = []
    for start in range(0, len(molecules), CHUNK):
        checked = validity(molecules[start : start + CHUNK])
        found += [s for s, ok in zip(checked.smiles, checked.valid, strict=True) if ok and s]
    part = molecules[:relaxed]
    report = evaluate_molecules(part) if relaxed else None
    valid = report.valid if report else np.zeros(0, bool)
    return Found(
        formula=formula,
        known=known,
        samples=samples,
        valid=tuple(found),
        seconds=spent,
        strain=report.strain[valid] if report else np.zeros(0),
        kept=report.connectivity_preserved[valid] if report else np.zeros(0, bool),
    )


def total(found: list[Found]) -> dict[str, object]:
    """Return the row of all formulas: means of the formulas, as published."""
    rows = [each.row() for each in found]
    row: dict[str, object] = {"formula": "mean of the formulas"}
    for key in rows[0]:
        if key in ("known", "samples", "distinct"):
            row[key] = sum(int(str(r[key])) for r in rows)
        elif key != "formula":
            row[key] = float(np.nanmean([float(str(r[key])) for r in rows]))
    return row


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("qm7", help="extended XYZ file of QM7")
    parser.add_argument("--method", default="covariant", help="generator, such as run:PATH")
    parser.add_argument("--per-isomer", type=int, default=100, help="samples for each isomer")
    parser.add_argument("--relaxed", type=int, default=30, help="samples that are relaxed, each")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="options of the generator"
    )
    parser.add_argument("--name", help="of the results; by default qm7_20_METHOD")
    given = parser.parse_args()
    if given.per_isomer < 1 or given.relaxed < 0:
        raise InputError("--per-isomer must be at least 1, and --relaxed at least 0")
    generator = molrl.load_generator(given.method, **read_overrides(given.set))
    known = known_isomers(given.qm7)
    present = [formula for formula in _formulas() if known[formula]]
    for formula in set(_formulas()) - set(present):
        log_message(f"{formula} is left out: the file has no isomer of it")
    found = []
    for formula in present:
        found.append(run(generator, formula, known[formula], given.per_isomer, given.relaxed))
        log_message(f"{len(found)} of {len(present)} formulas: {found[-1].row()}")
    name = given.name or f"qm7_20_{given.method.partition(':')[0]}"
    title = f"QM7-20 by {given.method.partition(':')[0]}, {given.per_isomer} samples an isomer"
    title += f", {', '.join(given.set)}" if given.set else ""
    rows = [total(found), *(each.row() for each in found)]
    record(name, title, [{k: _rounded(v) for k, v in row.items()} for row in rows])


def _rounded(value: object) -> object:
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else round(value, 3)


if __name__ == "__main__":
    run_script(main)

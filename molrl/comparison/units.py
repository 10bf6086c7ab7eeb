"""One run of a comparison: a method on a task with a seed, its molecules and its costs."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from molrl.comparison.config import REAL, CompareConfig, UnitKey
from molrl.comparison.methods import Method, Room
from molrl.energy import CountedEnergy
from molrl.energy.relaxation import MAX_STEPS, relax
from molrl.errors import InputError
from molrl.evaluation.evaluator import EvaluationReport, evaluate_molecules
from molrl.evaluation.molecule_files import write_annotated
from molrl.evaluation.outputs import molecule_properties
from molrl.generation import Generated, NotCompleted
from molrl.generators.search.budget import UNLIMITED, batch_within, steps_within
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_text
from molrl.runs.weights import read_json
from molrl.tasks import Task

SCHEMA_VERSION = 1
STAGES = ("generated", "relaxed")


@dataclass
class Rows:
    """Figures of molecules by the evaluator, one entry per molecule in each list.

    Attributes:
        smiles: identities; None where no bonds are perceived.
        valid: whether each is a closed-shell molecule in one piece.
        reasons: why not; ``""`` for a valid one.
        kept: whether the evaluator's relaxation keeps the connectivity.
        energy: eV, total, as it is; None where it failed.
        relaxed_energy: eV, total, after the evaluator's relaxation; None where it failed.
        rmsd: Å, between the two; None where it failed.
        evaluator: name and hash of the evaluator's energy model.
    """

    smiles: list[str | None] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    energy: list[float | None] = field(default_factory=list)
    relaxed_energy: list[float | None] = field(default_factory=list)
    rmsd: list[float | None] = field(default_factory=list)
    evaluator: str = ""

    @classmethod
    def of_report(cls, report: EvaluationReport) -> "Rows":
        """Return the figures of an evaluation."""
        return cls(
            smiles=list(report.smiles),
            valid=report.valid.tolist(),
            reasons=list(report.reasons),
            kept=report.connectivity_preserved.tolist(),
            energy=_finite(report.energy),
            relaxed_energy=_finite(report.relaxed_energy),
            rmsd=_finite(report.rmsd),
            evaluator=report.evaluator,
        )


@dataclass
class Unit:
    """What one run of a comparison made, and what it cost.

    Attributes:
        method: the name of its row.
        task: as a string.
        seed: of the run.
        failure: why it ended before its budget; ``""`` if it did not.
        crashed: whether by an error that tells nothing about the method, such as a lack of memory;
            ``molrl resume`` begins such a run again.
        attempts: molecules begun.
        generation_energy_calls: evaluations of the energy model without those of the relaxation.
        energy_calls: all evaluations of the energy model; those for one molecule may exceed the
            budget, which then does not count.
        network_calls: molecules that the generator's own network evaluated.
        generation_seconds: wall time without that of the relaxation.
        seconds: wall time; that of the evaluation is in neither.
        cpu_seconds: processor time of this process, without that of the evaluation.
        calls_when_found: energy calls of the run when each molecule was there.
        seconds_when_found: the same in seconds.
        returns: eV, of every attempt; empty for a generator without returns.
        generated: the molecules as they were made.
        relaxed: the same after the relaxation of the comparison; None if there is none.
    """

    method: str
    task: str
    seed: int
    failure: str = ""
    crashed: bool = False
    attempts: int = 0
    generation_energy_calls: int = 0
    energy_calls: int = 0
    network_calls: int = 0
    generation_seconds: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    calls_when_found: list[int] = field(default_factory=list)
    seconds_when_found: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    generated: Rows = field(default_factory=Rows)
    relaxed: Rows | None = None

    @property
    def key(self) -> UnitKey:
        """Which run it is."""
        return UnitKey(self.method, self.task, self.seed)

    @property
    def final(self) -> Rows:
        """The molecules as the curves count them: relaxed, if they are."""
        return self.generated if self.relaxed is None else self.relaxed

    def save(self, folder: Path) -> None:
        """Write ``unit.json``, which marks the run as finished.

        Args:
            folder: of the run.
        """
        data = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        write_text(folder / "unit.json", json.dumps(data) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Unit":
        """Read what :meth:`save` wrote.

        Args:
            folder: of the run.

        Raises:
            InputError: if the file is missing or corrupted.
        """
        data = {"crashed": False, **read_json(folder / "unit.json")}  # earlier versions lack it
        try:
            for stage in STAGES:
                data[stage] = Rows(**data[stage]) if data[stage] is not None else None
            return cls(**{each.name: data[each.name] for each in fields(cls)})
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder / 'unit.json'} is no run of a comparison: {error}") from None


class UnitRun:
    """A run of a comparison that goes on.

    Args:
        key: which one.
        config: of the comparison.
        energy: the energy model of the relaxation.
    """

    def __init__(self, key: UnitKey, config: CompareConfig, energy: CountedEnergy) -> None:
        self.unit = Unit(*key)
        self._config, self._energy = config, energy
        self._cost: float | None = None  # energy calls for a molecule, the largest of all batches
        self._made: list[MoleculeBatch] = [MoleculeBatch.from_arrays([])]
        self._relaxed: list[MoleculeBatch] = [MoleculeBatch.from_arrays([])]

    def run(self, method: Method, task: Task, on_batch: Callable[[int], None]) -> None:
        """Make molecules until the budget is used up, or the method fails.

        Args:
            method: what makes them.
            task: what to make.
            on_batch: called after each batch with the number of molecules so far.
        """
        before, began, at = self._energy.evaluations, process_time(), perf_counter()
        try:
            for batch in method.batches(task, self.unit.seed, self._room):
                self._add(batch)
                before, at = self._energy.evaluations, perf_counter()
                on_batch(len(self.unit.calls_when_found))
                if self._is_done():
                    break
        except Exception as error:  # whatever a method fails with is said in its row
            self.unit.crashed = not isinstance(error, InputError)
            self.unit.attempts += error.attempts if isinstance(error, NotCompleted) else 0
            kind = f"{type(error).__name__}: " if self.unit.crashed else ""
            self.unit.failure = " ".join(f"{kind}{error}".split())
            lost, seconds = self._energy.evaluations - before, perf_counter() - at
            self.unit.generation_energy_calls += lost
            self.unit.energy_calls += lost
            self.unit.generation_seconds += seconds
            self.unit.seconds += seconds
        self.unit.cpu_seconds = process_time() - began

    def _left(self) -> int:
        """Return the energy calls that are left of the budget; real molecules have no budget."""
        calls = self._config.energy_calls
        if calls is None or self.unit.method == REAL:
            return UNLIMITED
        return calls - self.unit.energy_calls

    def _room(self) -> Room:
        """Return what the budget has room for."""
        config, left = self._config, self._left()
        sizes = [batch_within(left, self._cost, config.batch_size)]
        if config.n_molecules is not None:
            sizes.append(config.n_molecules - len(self.unit.calls_when_found))
        return Room(max(0, min(sizes)), left)

    def _is_done(self) -> bool:
        made = self._config.n_molecules
        enough = made is not None and len(self.unit.calls_when_found) >= made
        return enough or self._left() <= 0

    def _add(self, batch: Generated) -> None:
        unit, began, before = self.unit, perf_counter(), self._energy.evaluations
        made, left = batch.molecules, self._left() - batch.energy_calls
        if self._config.relax:
            made = self._relax(made[: max(0, left)], left)
        elif left < 0:
            made = made[:0]
        more = self._energy.evaluations - before
        self._made.append(made)  # of a batch that cannot be relaxed nothing is kept
        unit.attempts += batch.attempts
        unit.network_calls += batch.network_calls
        unit.generation_energy_calls += batch.energy_calls
        unit.energy_calls += batch.energy_calls + more
        unit.generation_seconds += batch.seconds
        unit.seconds += batch.seconds + perf_counter() - began
        unit.calls_when_found += len(made) * [unit.energy_calls]
        unit.seconds_when_found += len(made) * [round(unit.seconds, 3)]
        unit.returns += batch.returns or ()
        cost = (batch.energy_calls + more) / max(1, len(batch.molecules))
        self._cost = max(self._cost or 0, cost)

    def _relax(self, made: MoleculeBatch, left: int) -> MoleculeBatch:
        """Relax molecules within what is left, and return those whose relaxation has ended."""
        if not len(made):
            return made
        steps = steps_within(left, len(made), MAX_STEPS)
        done = relax(made, self._energy, self._config.force_tolerance, steps)
        ended = done.converged | (done.steps < steps) | (steps == MAX_STEPS)
        kept = ended.nonzero().flatten().tolist()
        self._relaxed.append(done.molecules[kept])
        return made[kept]

    def finish(self, folder: Path) -> Unit:
        """Evaluate the molecules, and write them and the run.

        Args:
            folder: of the run.

        Returns:
            The finished run.
        """
        made = {"generated": self._made, "relaxed": self._relaxed if self._config.relax else []}
        for stage, batches in made.items():
            if not batches:
                continue
            molecules, rows = MoleculeBatch.cat(batches), Rows()
            if len(molecules):
                try:
                    report = evaluate_molecules(molecules)
                except InputError as error:  # an element that the evaluator does not know
                    self.unit.failure = self.unit.failure or f"not evaluated: {error}"
                    self.unit.calls_when_found, self.unit.seconds_when_found = [], []
                else:
                    rows = Rows.of_report(report)
                    properties = molecule_properties(report)
                    write_annotated(folder / f"{stage}.extxyz", molecules, properties)
            setattr(self.unit, stage, rows)
        self.unit.save(folder)
        return self.unit


def _finite(values: np.ndarray) -> list[float | None]:
    """Return values to 1e-5, the noise of the SCF; None for those that are not finite."""
    return [round(x, 5) if np.isfinite(x) else None for x in values.tolist()]

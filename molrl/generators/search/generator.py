"""Random structure search and basin hopping as generators of molecules."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from molrl.bags import Bag, may_be_closed_shell
from molrl.energy import CountedEnergy, EnergyModel, load_energy
from molrl.errors import InputError
from molrl.generation import Generated, NotCompleted, check_request
from molrl.generators.search.minima import Minima, fixed_atoms, relax_to_minima, to_batch
from molrl.generators.search.walkers import HoppingWalker, Walker
from molrl.molecules import MoleculeBatch
from molrl.tasks import Instance, Task, parse_task

FORCE_TOLERANCE = 0.1  # eV/Å; what is left to gain is 0.01 eV in the median
MAX_STEPS = 150
BATCH_SIZE = 64
MAX_ATTEMPTS = 100  # per molecule, on average; each is a relaxation


class Round(NamedTuple):
    """One batch of a search.

    Attributes:
        starts: where the relaxations began.
        minima: where they ended, in the same order.
    """

    starts: MoleculeBatch
    minima: Minima


@dataclass
class _Job:
    """A walker, and the molecules that it has found, each ``(1,)``, of those that it shall."""

    walker: Walker
    wanted: int
    found: list[MoleculeBatch] = field(default_factory=list)


class StructureSearch(ABC):
    """Base class of searches: walkers propose structures, which are relaxed in batches.

    A molecule is a closed-shell structure in one piece at a minimum of the energy model; all else
    is an attempt. Duplicates are not merged, since a bag may have fewer minima than molecules are
    asked for; ``molrl evaluate --unique`` keeps one of each identity.

    Args:
        energy: energy model that the structures are relaxed with.
        device: ``auto``, ``cpu`` or ``cuda``.
        charge: of the molecule, e, which the energy model must take; it is added to that of fixed
            atoms.
        force_tolerance: eV/Å, the largest force on an atom at a minimum.
        max_steps: energy evaluations of a relaxation after the first, at most.
        batch_size: number of structures that are relaxed at the same time.

    Attributes:
        name: the name it is loaded by.
        model: the energy model.
    """

    name: str

    def __init__(
        self,
        energy: str | EnergyModel = "mace",
        device: str = "auto",
        charge: int = 0,
        force_tolerance: float = FORCE_TOLERANCE,
        max_steps: int = MAX_STEPS,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if not (force_tolerance > 0 and max_steps >= 1 and batch_size >= 1):
            raise InputError(
                f"{self.name}: force_tolerance {force_tolerance}, max_steps {max_steps} and "
                f"batch_size {batch_size} must be positive"
            )
        self.model = load_energy(energy, device)
        self.model.check_charge("the molecule has", charge, None)
        self._charge, self._batch_size = charge, batch_size
        self._force_tolerance, self._max_steps = force_tolerance, max_steps

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Find ``n`` molecules; see :class:`molrl.generation.Generator`.

        Raises:
            InputError: if the task is none that a search can take, n is not positive, or 100
                relaxations per molecule are not enough.
        """
        began, model = perf_counter(), CountedEnergy(self.model)
        jobs, attempts = self._jobs(parse_task(task), n, seed), 0
        for done in self._rounds(jobs, model, n, str(task)):
            attempts += len(done.minima)
        return Generated(
            molecules=MoleculeBatch.cat([each for job in jobs for each in job.found]),
            attempts=attempts,
            energy_calls=model.evaluations,
            network_calls=0,
            seconds=perf_counter() - began,
        )

    def frames(
        self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int
    ) -> Iterator[MoleculeBatch]:
        """Stream what :meth:`generate` does: of each batch the starts, then their minima.

        Args:
            task: as of :meth:`generate`.
            n: as of :meth:`generate`.
            seed: as of :meth:`generate`.

        Yields:
            Batches of structures, those that are not molecules included.

        Raises:
            InputError: as :meth:`generate`.

        Example:
            >>> for batch in RandomSearch("gfn2").frames("CH4O", n=4, seed=0):  # doctest: +SKIP
            ...     view(batch.to_ase())
        """
        jobs = self._jobs(parse_task(task), n, seed)
        for done in self._rounds(jobs, self.model, n, str(task)):
            yield from (done.starts, done.minima.molecules)

    def walkers(self, task: Task, n: int, seed: int) -> list[Walker]:
        """Return ``n`` walkers for :meth:`advance`, each with its own stream ``[seed, i]``.

        Args:
            task: what to make.
            n: their number.
            seed: seed of the streams.

        Raises:
            InputError: if the task is none that a search can take.
        """
        check_request(n, seed)
        streams = [np.random.default_rng([seed, i]) for i in range(n)]
        self._check_task(task)
        instances = [task.draw(stream) for stream in streams]
        for instance in instances:
            self._check(instance, task)
        return [self._walker(*pair) for pair in zip(instances, streams, strict=True)]

    def advance(
        self, walkers: Sequence[Walker], model: EnergyModel, max_steps: int | None = None
    ) -> Round:
        """Relax one start of each walker, all in one batch, and tell the walkers what it led to.

        Args:
            walkers: at least one.
            model: the energy model of this search, perhaps counted.
            max_steps: energy evaluations of a relaxation after the first; None: as of the search.
        """
        starts = [walker.propose() for walker in walkers]
        batch = to_batch(starts, self._charge)
        steps = self._max_steps if max_steps is None else min(max_steps, self._max_steps)
        fixed = fixed_atoms(starts)
        minima = relax_to_minima(batch, model, self._force_tolerance, steps, fixed)
        arrays = minima.molecules.arrays()
        for i in minima.found:
            walkers[i].accept(starts[i].at(arrays[i][1]), float(minima.energy[i]))
        return Round(batch, minima)

    def _rounds(self, jobs: list[_Job], model: EnergyModel, n: int, task: str) -> Iterator[Round]:
        """Yield batches until every job has found what is wanted.

        Raises:
            NotCompleted: if there are too many attempts.
        """
        attempts, reasons = 0, Counter[str]()
        while pending := [job for job in jobs if len(job.found) < job.wanted]:
            for first in range(0, len(pending), self._batch_size):
                part = pending[first : first + self._batch_size]
                done = self.advance([job.walker for job in part], model)
                for i in done.minima.found:
                    part[i].found.append(done.minima.molecules[i])
                attempts += len(part)
                reasons.update(filter(None, done.minima.reasons))
                yield done
            if attempts > MAX_ATTEMPTS * n:
                ((reason, count),) = reasons.most_common(1)
                raise NotCompleted(
                    f"{self.name}: {attempts} relaxations were not enough for {n} molecules of "
                    f"{task}; the most common reason, {count} times: {reason}",
                    attempts,
                )

    def _check(self, instance: Instance, task: Task) -> None:
        wrong = _what_is_wrong(instance, self._charge)
        if wrong:
            raise InputError(f"{self.name} cannot make a task of kind {task.kind}: {wrong}")
        self.model.check_charge("the molecule has", self._charge + instance.charge, None)
        self.model.check_elements(instance.finished_bag)

    def _check_task(self, task: Task) -> None:  # noqa: B027 - a random search draws any instance
        """Refuse tasks by more than their instances."""

    @abstractmethod
    def _jobs(self, task: Task, n: int, seed: int) -> list[_Job]:
        """Return what finds ``n`` molecules."""

    @abstractmethod
    def _walker(self, instance: Instance, rng: np.random.Generator) -> Walker:
        """Return a walker of this kind."""


class RandomSearch(StructureSearch):
    """Random structure search: random sensible structures, relaxed.

    It takes tasks of bags and fixed atoms, which do not move, except clusters. Each molecule has
    its own random stream, and does not depend on the others (Pickard and Needs, J. Phys.: Condens.
    Matter 23, 053201 (2011)).

    Args:
        energy: energy model that the structures are relaxed with.
        device: ``auto``, ``cpu`` or ``cuda``.
        charge: of the molecule, e, which the energy model must take; it is added to that of fixed
            atoms.
        force_tolerance: eV/Å, the largest force on an atom at a minimum.
        max_steps: energy evaluations of a relaxation after the first, at most.
        batch_size: number of structures that are relaxed at the same time.

    Example:
        >>> made = RandomSearch("gfn2").generate("CH4O", n=5, seed=0)  # doctest: +SKIP
        >>> made.attempts, made.energy_calls  # doctest: +SKIP
        (6, 214)
    """

    name = "random-search"

    def _jobs(self, task: Task, n: int, seed: int) -> list[_Job]:
        return [_Job(walker, 1) for walker in self.walkers(task, n, seed)]

    def _walker(self, instance: Instance, rng: np.random.Generator) -> Walker:
        return Walker(instance, rng)


class BasinHopping(StructureSearch):
    """Basin hopping: walkers that move from minimum to minimum.

    It takes tasks of one bag, with fixed atoms or without, except clusters. Every minimum that a
    walker visits is a molecule, whether it stays there or not; each walker has its own random
    stream (Wales and Doye, J. Phys. Chem. A 101, 5111 (1997)).

    Args:
        energy: energy model that the structures are relaxed with.
        device: ``auto``, ``cpu`` or ``cuda``.
        charge: of the molecule, e, which the energy model must take; it is added to that of fixed
            atoms.
        temperature: eV, of the criterion of Metropolis.
        hops: molecules that a walker finds; so many more walkers share the batch.
        force_tolerance: eV/Å, the largest force on an atom at a minimum.
        max_steps: energy evaluations of a relaxation after the first, at most.
        batch_size: number of structures that are relaxed at the same time.

    Example:
        >>> made = BasinHopping("gfn2", hops=5).generate("C2H6O", n=20, seed=0)  # doctest: +SKIP
    """

    name = "basin-hopping"

    def __init__(
        self,
        energy: str | EnergyModel = "mace",
        device: str = "auto",
        charge: int = 0,
        temperature: float = 0.8,
        hops: int = 10,
        force_tolerance: float = FORCE_TOLERANCE,
        max_steps: int = MAX_STEPS,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        super().__init__(energy, device, charge, force_tolerance, max_steps, batch_size)
        if not (temperature > 0 and hops >= 1):
            raise InputError(f"temperature {temperature} and hops {hops} must be positive")
        self._temperature, self._hops = temperature, hops

    def _check_task(self, task: Task) -> None:
        if len(task.instances() or ()) != 1:
            raise InputError(
                f"{self.name} walks between isomers of one bag, and a task of kind {task.kind} "
                "draws bags; use random-search"
            )

    def _jobs(self, task: Task, n: int, seed: int) -> list[_Job]:
        walkers = self.walkers(task, -(-n // self._hops), seed)
        return [
            _Job(walker, min(self._hops, n - i * self._hops)) for i, walker in enumerate(walkers)
        ]

    def _walker(self, instance: Instance, rng: np.random.Generator) -> Walker:
        return HoppingWalker(instance, rng, self._temperature)


def _what_is_wrong(instance: Instance, charge: int) -> str:
    """Return why a search cannot find an instance, ``""`` if it can."""
    bag = instance.finished_bag
    if instance.refills:
        return "its molecules do not bond to each other; use an agent"
    if len(instance.shape):
        return "a search fills no shape; use an agent"
    if instance.cell is not None:
        return "crystals are not supported"
    total = charge + instance.charge
    if (instance.spin or 1) > 1 or (sum(bag.numbers) - total) % 2:
        return f"a search finds closed-shell molecules; {bag} with charge {total} is none"
    if not total and not may_be_closed_shell(bag):
        return f"{bag} has no closed-shell molecule"
    return ""

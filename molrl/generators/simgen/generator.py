"""SiMGen as a generator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch

from molrl.bags import Bag
from molrl.energy.counting import CountedEnergy
from molrl.energy.descriptors import Descriptors, SimilarityKernel, load_descriptors
from molrl.energy.interface import EnergyModel
from molrl.energy.registry import load_energy
from molrl.energy.relaxation import relax
from molrl.errors import InputError
from molrl.generation import Generated, NotCompleted, check_request, check_whole
from molrl.generators.simgen.anchors import free_numbers
from molrl.generators.simgen.assembly import Assembly
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.draws import draw
from molrl.generators.simgen.forces import Forces
from molrl.generators.simgen.hydrogens import Molecule, add_hydrogens
from molrl.generators.simgen.priors import choose_prior
from molrl.generators.simgen.reference import reference_skeletons
from molrl.generators.simgen.skeletons import Skeletons
from molrl.generators.simgen.start import check_instance, skeletons_at_start
from molrl.molecules import MIN_DISTANCE, MoleculeBatch
from molrl.runs.config import parse_config
from molrl.runs.progress import log_message
from molrl.tasks import Task, parse_task
from molrl.tasks.interface import Instance

MAX_ATTEMPTS = 30  # per molecule, on average
_MAX_DRAWS = 20  # of an instance that can be made


@dataclass
class _Item:
    """One molecule to make: its stream, and what it is.

    Attributes:
        stream: its random numbers, which go on at a new attempt.
        instance: what to make; its hydrogens do not count where they are free.
        is_free: whether whatever hydrogens satisfy the valences are added.
    """

    stream: np.random.Generator
    instance: Instance
    is_free: bool = False

    @property
    def formula(self) -> str | None:
        """Of the finished molecule; None where its hydrogens are free."""
        return None if self.is_free else self.instance.finished_bag.formula


class _Reference(NamedTuple):
    """Reference molecules without hydrogens, and the kernel around their environments."""

    reference: Skeletons
    kernel: SimilarityKernel


class SimgenGenerator:
    """Generator that assembles molecules by their similarity to reference molecules.

    It has no training of its own: a kernel between the descriptors of the atoms that are placed and
    those of the atoms of reference molecules gives the force that assembles them (Elijošius et
    al., Nat. Commun. 16 (2025)). Hydrogens follow from the bond orders of the skeleton, and a
    relaxation ends it.

    It makes bags, molecules on fixed fragments (tasks ``scaffold`` and ``linker``) and in shapes
    (task ``shape``), of H, C, N, O, F and S.

    Args:
        energy: energy model of the final relaxation.
        descriptors: energy model whose descriptors are compared, a network.
        reference: molecules, or a file of them, to imitate; None: those of the shipped molecule set
            whose composition is nearest.
        prior: where the atoms should be: None for a ball; ``{"kind": "gaussian", "widths":
            [1, 1, 3]}``; or a shape or a file of points, as for :func:`molrl.shapes.load_shape`.
            A shape should be full: about 1.1 Å of a line for each heavy atom; in larger ones most
            attempts come out in pieces. With ``prior_strength=2, prior_fade=200`` the pull lasts up
            to the end: more attempts come out connected, the atoms are nearer to the shape, and
            shapes may have 40 heavy atoms, 0.5 to 0.8 Å of a line for each.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: number of molecules that are assembled at the same time.
        **settings: any field of :class:`~molrl.generators.simgen.config.SimgenConfig`, such as
            ``steps=30``.

    Raises:
        InputError: if a model, file or setting is invalid.

    Example:
        >>> made = SimgenGenerator().generate("C4H7N", n=20, seed=0)  # doctest: +SKIP
        >>> molrl.evaluate(made.molecules).valid.mean()  # doctest: +SKIP
    """

    name = "simgen"

    def __init__(
        self,
        energy: str | EnergyModel = "mace",
        descriptors: str | EnergyModel = "mace",
        reference: str | Path | MoleculeBatch | None = None,
        prior: object = None,
        device: str = "auto",
        batch_size: int = 64,
        **settings: Any,  # noqa: ANN401 - checked by the schema
    ) -> None:
        self.config = parse_config(settings, SimgenConfig, where="simgen")
        if batch_size < 1:
            raise InputError(f"simgen: batch_size must be at least 1, not {batch_size}")
        self.batch_size = batch_size
        self.energy = load_energy(energy, device)
        self._descriptors: Descriptors = load_descriptors(descriptors, device, self.config.core)
        self._reference, self._prior = reference, prior
        self._kernels: dict[str | None, _Reference] = {}

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Generate ``n`` molecules; see :class:`molrl.generation.Generator`.

        Raises:
            InputError: if it cannot make the task, or 30 attempts per molecule are not enough.
        """
        return self._generate(self._items(parse_task(task), n, seed))

    def generate_sizes(self, n_heavy: Sequence[int], seed: int) -> Generated:
        """Generate molecules of any composition.

        The heavy atoms are those of reference molecules drawn one after the other, as many as are
        wanted; hydrogens fill the valences. (SiMGen begins with carbon and redraws elements, which
        with these descriptors gives hydrocarbons.)

        Args:
            n_heavy: number of heavy atoms of each molecule.
            seed: each molecule has a random stream derived from it.

        Raises:
            InputError: if a number is not whole and positive.

        Example:
            >>> SimgenGenerator().generate_sizes([5, 9], seed=0).molecules  # doctest: +SKIP
        """
        check_request(len(n_heavy), seed)
        for n in n_heavy:
            check_whole("n_heavy", n, 1)
        streams = [np.random.default_rng([seed, i]) for i in range(len(n_heavy))]
        numbers = [z for z, _ in self._kernel(None).reference.to("cpu").arrays()]
        items = []
        for stream, n in zip(streams, n_heavy, strict=True):
            drawn = np.concatenate([numbers[i] for i in stream.integers(len(numbers), size=n)])[:n]
            items.append(_Item(stream, Instance(Bag(drawn.tolist())), is_free=True))
        return self._generate(items)

    def frames(
        self, task: Task | Mapping[str, Any] | Bag | str, seed: int
    ) -> Iterator[MoleculeBatch]:
        """Yield the states of one molecule: its skeleton, with hydrogens, relaxed.

        An attempt that fails is followed by the next one.

        Args:
            task: as for :meth:`generate`.
            seed: of the random stream.

        Example:
            >>> for molecule in SimgenGenerator().frames("C2H6O", seed=0):  # doctest: +SKIP
            ...     molrl.write("frame.extxyz", molecule)
        """
        items = self._items(parse_task(task), 1, seed)
        for _ in range(MAX_ATTEMPTS):
            _, states = self._assembly(items)
            for skeletons in states:
                yield _plain(skeletons)
            (whole,) = self._with_hydrogens(items, skeletons)
            if whole is not None:
                yield MoleculeBatch.from_arrays([whole])
                yield self._relaxed(items, [whole], self.energy)
                return
        raise _not_completed(1, MAX_ATTEMPTS)

    def _items(self, task: Task, n: int, seed: int) -> list[_Item]:
        check_request(n, seed)
        streams = [np.random.default_rng([seed, i]) for i in range(n)]
        skipped: dict[str, str] = {}
        items = [_Item(stream, _drawn(task, stream, skipped)) for stream in streams]
        for reason in skipped.values():
            log_message(f"{reason}: another one was drawn")
        return items

    def _generate(self, items: list[_Item]) -> Generated:
        start, energy = perf_counter(), CountedEnergy(self.energy)
        waiting, attempts, network_calls = list(range(len(items))), 0, 0
        made: dict[int, MoleculeBatch] = {}
        while waiting:
            # one formula after another, so that what is made does not depend on the others
            formula = items[waiting[0]].formula
            alike = [i for i in waiting if items[i].formula == formula][: self.batch_size]
            batch, waiting = alike, [i for i in waiting if i not in set(alike)]
            attempts += len(batch)
            if attempts > MAX_ATTEMPTS * len(items):
                raise _not_completed(len(items), attempts - len(batch))
            chosen = [items[i] for i in batch]
            forces, states = self._assembly(chosen)
            *_, skeletons = states
            network_calls += forces.evaluations
            whole = self._with_hydrogens(chosen, skeletons)
            complete = [k for k, one in enumerate(whole) if one is not None]
            found = [one for one in whole if one is not None]
            if found:
                relaxed = self._relaxed([chosen[k] for k in complete], found, energy)
                made |= {batch[k]: relaxed[row] for row, k in enumerate(complete)}
            waiting = [i for i in batch if i not in made] + waiting
        return Generated(
            molecules=MoleculeBatch.cat([made[i] for i in range(len(items))]),
            attempts=attempts,
            energy_calls=energy.evaluations,
            network_calls=network_calls,
            seconds=perf_counter() - start,
        )

    def _assembly(self, items: list[_Item]) -> tuple[Forces, Iterator[Skeletons]]:
        """Return the forces, which count their evaluations, and the states of an assembly."""
        config, device = self.config, self._descriptors.device
        instances, streams = [x.instance for x in items], [x.stream for x in items]
        heavy = [x.stream.permutation(free_numbers(x.instance)) for x in items]
        n_fixed = [int((x.fixed.numbers > 1).sum()) for x in instances]
        draws = draw(streams, [len(z) for z in heavy], n_fixed, config)
        prior = choose_prior(self._prior, instances, config)
        kernel = self._kernel(items[0].formula).kernel
        forces = Forces(self._descriptors, kernel, prior.to(device), config)
        start = skeletons_at_start(instances, heavy, prior, draws)
        return forces, Assembly(forces, config).run(start.to(device), draws.to(device))

    def _kernel(self, formula: str | None) -> _Reference:
        """Return the reference for molecules of a formula; None: for any."""
        if formula not in self._kernels:
            size, bags = self.config.reference_size, [] if formula is None else [Bag(formula)]
            found = reference_skeletons(bags, size, self._reference).to(self._descriptors.device)
            found.check(self._descriptors.elements)
            kernel = SimilarityKernel(self._descriptors(found))
            kernel = kernel.balanced(self.config.balance, self.config.sharpness_max)
            self._kernels = {formula: _Reference(found, kernel)}  # the last one only
        return self._kernels[formula]

    @staticmethod
    def _with_hydrogens(items: list[_Item], skeletons: Skeletons) -> list[Molecule | None]:
        instances = [None if item.is_free else item.instance for item in items]
        found = add_hydrogens(skeletons.to("cpu"), instances)
        return [None if one is None or _clashes(one) else one for one in found]

    def _relaxed(
        self, items: list[_Item], molecules: list[Molecule], energy: EnergyModel
    ) -> MoleculeBatch:
        batch = MoleculeBatch.from_arrays(molecules)
        n_fixed = torch.tensor([len(item.instance.fixed) for item in items])
        within = torch.arange(len(batch.numbers)) - batch.starts[batch.molecule]
        fixed = within < n_fixed[batch.molecule]
        tolerance, steps = self.config.relax_force, self.config.relax_steps
        return _plain(relax(batch, energy, tolerance, steps, fixed=fixed).molecules)


def _drawn(task: Task, stream: np.random.Generator, skipped: dict[str, str]) -> Instance:
    """Draw an instance that SiMGen can make, and note by formula why it cannot make others."""
    refusal = None
    for _ in range(_MAX_DRAWS):
        instance = task.draw(stream)
        try:
            check_instance(instance)
        except InputError as error:
            refusal = error
            skipped[instance.finished_bag.formula] = str(error)
        else:
            return instance
    assert refusal is not None
    raise refusal


def _plain(batch: MoleculeBatch) -> MoleculeBatch:
    cpu = batch.to("cpu", torch.float64)
    return MoleculeBatch(cpu.numbers, cpu.positions, cpu.n_atoms)


def _clashes(molecule: Molecule) -> bool:
    _, x = molecule
    apart = np.linalg.norm(x[:, None] - x, axis=-1) + np.eye(len(x))
    return bool((apart < 2 * MIN_DISTANCE).any()) or not bool(np.isfinite(x).all())


def _not_completed(n: int, attempts: int) -> NotCompleted:
    return NotCompleted(
        f"{MAX_ATTEMPTS} attempts per molecule were not enough for {n} molecules: too few "
        "skeletons are connected and can have the hydrogens of the bag; choose another task, or of "
        "a shape a smaller one, of about 1.1 Å of a line for each heavy atom",
        attempts,
    )

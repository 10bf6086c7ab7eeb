"""SiMGen as a generator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from molrl.bags import Bag
from molrl.energy.counting import CountedEnergy
from molrl.energy.descriptors import Descriptors, SimilarityKernel, load_descriptors
from molrl.energy.interface import EnergyModel
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.generation import Generated, NotCompleted
from molrl.generators.simgen.anchors import free_numbers
from molrl.generators.simgen.assembly import Assembly
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.draws import draw
from molrl.generators.simgen.forces import Forces
from molrl.generators.simgen.hydrogens import Molecule, add_hydrogens
from molrl.generators.simgen.priors import choose_prior
from molrl.generators.simgen.reference import reference_skeletons
from molrl.generators.simgen.relaxing import HeldMolecules, relax_free
from molrl.generators.simgen.skeletons import Skeletons
from molrl.generators.simgen.start import check_instance, skeletons_at_start
from molrl.molecules import MIN_DISTANCE, MoleculeBatch
from molrl.runs.config import parse_config
from molrl.tasks import Task, parse_task
from molrl.tasks.interface import Instance

MAX_ATTEMPTS = 30  # per molecule, on average


@dataclass
class _Item:
    """One molecule to make: its stream, and what it is.

    Attributes:
        stream: its random numbers, which go on at a new attempt.
        instance: what to make; carbon atoms where the composition is free.
        is_free: whether the composition is free.
    """

    stream: np.random.Generator
    instance: Instance
    is_free: bool


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
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: number of molecules that are assembled at the same time.
        settings: fields of :class:`~molrl.generators.simgen.config.SimgenConfig`.

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
        self._kernels: dict[tuple[str, ...], tuple[Skeletons, SimilarityKernel]] = {}

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Generate ``n`` molecules; see :class:`molrl.generation.Generator`.

        Raises:
            InputError: if it cannot make the task, or 30 attempts per molecule are not enough.
        """
        return self._generate(self._items(parse_task(task), n, seed))

    def generate_sizes(self, n_heavy: Sequence[int], seed: int) -> Generated:
        """Generate molecules of any composition, as SiMGen does.

        Elements are drawn as often as the reference has them, and hydrogens fill the valences.

        Args:
            n_heavy: number of heavy atoms of each molecule.
            seed: each molecule has a random stream derived from it.

        Example:
            >>> SimgenGenerator().generate_sizes([5, 9], seed=0).molecules  # doctest: +SKIP
        """
        streams = [np.random.default_rng([seed, i]) for i in range(len(n_heavy))]
        bags = [Instance(Bag({6: n})) for n in n_heavy]
        items = [_Item(stream, bag, True) for stream, bag in zip(streams, bags, strict=True)]
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
            forces, states = self._assembly(items)
            for skeletons in states:
                yield _plain(skeletons)
            (whole,) = self._with_hydrogens(items, skeletons)
            if whole is not None:
                yield MoleculeBatch.from_arrays([whole])
                yield self._relaxed(items, [whole], self.energy)
                return
        raise _not_completed(1)

    def _items(self, task: Task, n: int, seed: int) -> list[_Item]:
        if n < 1:
            raise InputError(f"n must be at least 1, not {n}")
        for instance in task.examples:
            check_instance(instance)
        streams = [np.random.default_rng([seed, i]) for i in range(n)]
        return [_Item(stream, task.draw(stream), False) for stream in streams]

    def _generate(self, items: list[_Item]) -> Generated:
        start, energy = perf_counter(), CountedEnergy(self.energy)
        waiting, attempts, network_calls = list(range(len(items))), 0, 0
        made: dict[int, MoleculeBatch] = {}
        while waiting:
            batch, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            attempts += len(batch)
            if attempts > MAX_ATTEMPTS * len(items):
                raise _not_completed(len(items))
            chosen = [items[i] for i in batch]
            forces, states = self._assembly(chosen)
            for skeletons in states:
                pass
            network_calls += forces.evaluations
            whole = self._with_hydrogens(chosen, skeletons)
            complete = [k for k, one in enumerate(whole) if one is not None]
            found = [one for one in whole if one is not None]
            if found:
                relaxed = self._relaxed([chosen[k] for k in complete], found, energy)
                made |= {batch[k]: relaxed[row] for row, k in enumerate(complete)}
            waiting += [i for i in batch if i not in made]
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
        free = [x.stream.permutation(free_numbers(x.instance)) for x in items]
        draws = draw(streams, [len(z) for z in free], config)
        prior = choose_prior(self._prior, instances, config)
        reference, kernel = self._kernel(items)
        forces = Forces(self._descriptors, kernel, prior.to(device), config)
        elements = None
        if items[0].is_free:
            numbers, counts = reference.numbers.unique(return_counts=True)
            elements = numbers.to(device), counts.float().to(device)
        start = skeletons_at_start(instances, free, prior, draws)
        run = Assembly(forces, config, elements).run(start.to(device), draws.to(device))
        return forces, run

    def _kernel(self, items: list[_Item]) -> tuple[Skeletons, SimilarityKernel]:
        """Return the reference molecules of a batch, and the kernel around their environments."""
        bags = {} if items[0].is_free else {x.instance.finished_bag: None for x in items}
        key = tuple(sorted(bag.formula for bag in bags))
        if key not in self._kernels:
            size = self.config.reference_size
            found = reference_skeletons([Bag(formula) for formula in key], size, self._reference)
            found = found.to(self._descriptors.device)
            self._kernels = {key: (found, SimilarityKernel(self._descriptors(found)))}
        return self._kernels[key]

    @staticmethod
    def _with_hydrogens(items: list[_Item], skeletons: Skeletons) -> list[Molecule | None]:
        instances = [None if item.is_free else item.instance for item in items]
        found = add_hydrogens(skeletons.to("cpu"), instances)
        return [None if one is None or _clashes(one) else one for one in found]

    def _relaxed(
        self, items: list[_Item], molecules: list[Molecule], energy: EnergyModel
    ) -> MoleculeBatch:
        batch = HeldMolecules.from_arrays(molecules)
        n_fixed = torch.tensor([len(item.instance.fixed) for item in items])
        within = torch.arange(len(batch.numbers)) - batch.starts[batch.molecule]
        batch = HeldMolecules(
            batch.numbers, batch.positions, batch.n_atoms, held=within < n_fixed[batch.molecule]
        )
        return _plain(relax_free(batch, energy, self.config).molecules)


def _plain(batch: MoleculeBatch) -> MoleculeBatch:
    cpu = batch.to("cpu", torch.float64)
    return MoleculeBatch(cpu.numbers, cpu.positions, cpu.n_atoms)


def _clashes(molecule: Molecule) -> bool:
    _, x = molecule
    apart = np.linalg.norm(x[:, None] - x, axis=-1) + np.eye(len(x))
    return bool((apart < 2 * MIN_DISTANCE).any()) or not bool(np.isfinite(x).all())


def _not_completed(n: int) -> NotCompleted:
    return NotCompleted(
        f"{MAX_ATTEMPTS} attempts per molecule were not enough for {n} molecules: too few skeletons "
        "are connected and can have the hydrogens of the bag; choose another task or reference"
    )

"""Denoisers as generators of molecules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from molrl.bags import Bag
from molrl.energy.registry import load_energy, resolve_device
from molrl.errors import InputError
from molrl.generation import Generated, NotCompleted, TrainedSize, check_request, check_whole
from molrl.generators.diffusion.cloud import Cloud, is_broken
from molrl.generators.diffusion.config import SamplingConfig
from molrl.generators.diffusion.guidance import EnergyGuide, GuidanceConfig, ShapeGuide
from molrl.generators.diffusion.sampling import (
    SAMPLERS,
    Draws,
    Frame,
    Guide,
    guided,
    keep_all,
    start,
)
from molrl.generators.diffusion.shipping import shipped_weights, why_not_shipped
from molrl.generators.diffusion.steering import RewardScore, Steering
from molrl.generators.diffusion.targets import Target, check_task
from molrl.generators.diffusion.weights import load_denoiser
from molrl.molecules import MoleculeBatch
from molrl.runs.config import parse_config
from molrl.tasks import Task, parse_task

MAX_ATTEMPTS = 20  # per molecule
MakeTarget = Callable[[Sequence[np.random.Generator]], Target]


@dataclass
class _Costs:
    """Counts so far."""

    attempts: int = 0
    network_calls: int = 0


class DenoisingGenerator:
    """Generator that samples a denoiser; the base of all.

    Args:
        run: run folder of ``molrl train``, or JSON file of the weights; None: those that ship.
        device: ``auto``, ``cpu`` or ``cuda``.
        sampling: keys of :class:`SamplingConfig` that replace those of the training, such as
            ``{evaluations: 20}``.
        guidance: keys of :class:`GuidanceConfig`, such as ``{energy: 0.1}`` or
            ``{reward: {valid: 5.0}}``.
        batch_size: number of molecules that are sampled at the same time.

    Attributes:
        name: the name it is loaded by.
        kind: of the model, ``diffusion`` or ``pseudo-force``.
        model: the denoiser.
        header: of its weights.
    """

    name: str
    kind: str

    def __init__(
        self,
        run: str | None = None,
        device: str = "auto",
        sampling: Mapping[str, Any] | None = None,
        guidance: Mapping[str, Any] | None = None,
        batch_size: int = 128,
    ) -> None:
        if run is None and (why := why_not_shipped(self.name)):
            raise InputError(why)
        weights = shipped_weights(self.name) if run is None else run
        self.model, self.header = load_denoiser(self.kind, weights)
        self._device = torch.device(resolve_device(device))
        self.model.to(self._device)
        given = self.header.sampling.model_dump() | dict(sampling or {})
        self.sampling = parse_config(given, SamplingConfig, where="sampling")
        self._sampler = SAMPLERS[self.sampling.sampler(self.kind)]
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        self._batch_size = batch_size
        self._size = TrainedSize(self.name, len(self.header.sizes) - 1, "atoms")
        self._wanted = parse_config(dict(guidance or {}), GuidanceConfig, where="guidance")
        self._guide, self._score = None, None
        if self._wanted.energy or self._wanted.reward:
            energy, elements = load_energy(self._wanted.model, device), self.model.elements
            if self._wanted.energy:
                self._guide = EnergyGuide(energy, self._wanted.energy, elements)
            if self._wanted.reward:
                self._score = RewardScore(self._wanted.reward, energy, elements)

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Generate ``n`` molecules; see :class:`molrl.generation.Generator`.

        Fixed atoms stay where they are, and a shape draws the atoms to its points.

        Raises:
            InputError: if the task has other elements than the training, refills, a cell or
                charges.
        """
        task = self._checked(task)
        self._size.mention(task.max_atoms, str(task))

        def target(streams: Sequence[np.random.Generator]) -> Target:
            instances = [task.draw(stream) for stream in streams]
            return Target.of_instances(instances, self.model.elements)

        return self._generate(target, n, seed)

    def generate_any(self, n: int, seed: int, n_atoms: int | None = None) -> Generated:
        """Generate molecules of any composition, whose elements are denoised as well.

        Args:
            n: number of molecules.
            seed: as for :meth:`generate`.
            n_atoms: number of atoms of each; None to draw it as the training data have it.

        Returns:
            The molecules and the cost.

        Raises:
            InputError: if a number is not positive.

        Example:
            >>> load_generator("diffusion:runs/diffusion").generate_any(
            ...     10, seed=0
            ... )  # doctest: +SKIP
        """
        if n_atoms is not None:
            check_whole("n_atoms", n_atoms, 1)
        self._size.mention(n_atoms or 0, f"n_atoms={n_atoms}")
        shares = np.array(self.header.sizes) / sum(self.header.sizes)

        def target(streams: Sequence[np.random.Generator]) -> Target:
            sizes = [n_atoms or int(each.choice(len(shares), p=shares)) for each in streams]
            return Target.of_sizes(sizes, len(self.model.elements))

        return self._generate(target, n, seed)

    def frames(
        self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int
    ) -> Iterator[MoleculeBatch]:
        """Yield the n molecules after each step of the sampler, from noise to the end.

        Args:
            task: as for :meth:`generate`.
            n: number of molecules, all in one batch.
            seed: as for :meth:`generate`.

        Raises:
            InputError: as :meth:`generate` does.
        """
        check_request(n, seed)
        task = self._checked(task)
        streams = _streams(seed, range(n), 0)
        instances = [task.draw(stream) for stream in streams]
        target = Target.of_instances(instances, self.model.elements)
        for frame in self._sample(target, streams):
            yield self._molecules(target.finished(frame.noisy))

    def _checked(self, task: Task | Mapping[str, Any] | Bag | str) -> Task:
        task = parse_task(task)
        check_task(task, self.model.elements, self.name)
        if self._score:
            for instance in task.examples:
                self._score.check(instance.finished_bag, has_shape=bool(len(instance.shape)))
        return task

    def _generate(self, make_target: MakeTarget, n: int, seed: int) -> Generated:
        check_request(n, seed)
        began, costs = perf_counter(), _Costs()
        called = self._energy_calls()
        parts = [
            self._batch(make_target, seed, range(first, min(n, first + self._batch_size)), costs)
            for first in range(0, n, self._batch_size)
        ]
        return Generated(
            molecules=MoleculeBatch.cat(parts),
            attempts=costs.attempts,
            energy_calls=self._energy_calls() - called,
            network_calls=costs.network_calls,
            seconds=perf_counter() - began,
        )

    def _batch(
        self, make_target: MakeTarget, seed: int, indices: range, costs: _Costs
    ) -> MoleculeBatch:
        """Return one molecule from each stream; broken ones are drawn again, and counted."""
        made: dict[int, MoleculeBatch] = {}
        left = list(indices)
        for attempt in range(MAX_ATTEMPTS):
            streams = _streams(seed, left, attempt)
            target = make_target(streams)
            *_, last = self._sample(target, streams)
            costs.attempts += len(left)
            costs.network_calls += last.evaluations * len(left)
            finished = target.finished(last.noisy)
            broken = is_broken(finished).tolist()
            molecules = self._molecules(finished)
            made |= {i: molecules[k] for k, i in enumerate(left) if not broken[k]}
            left = [i for k, i in enumerate(left) if broken[k]]
            if not left:
                return MoleculeBatch.cat([made[i] for i in indices])
        raise NotCompleted(
            f"{self.name}: {MAX_ATTEMPTS} attempts were not enough for {len(left)} molecules, "
            "whose atoms fall together; train longer",
            costs.attempts,
        )

    def _energy_calls(self) -> int:
        return sum(each.model.evaluations for each in (self._guide, self._score) if each)

    def _sample(self, target: Target, streams: Sequence[np.random.Generator]) -> Iterator[Frame]:
        """Yield frames of the molecules, the first particle of each if they are steered."""
        copies = self._wanted.particles if self._score else 1
        rows = torch.arange(len(streams)).repeat_interleave(copies)
        cloud = target.cloud[rows].to(self._device)
        shape = None if target.shape is None else target.shape[rows].to(self._device)
        guides: list[Guide] = [self._guide] if self._guide else []
        if shape is not None:
            guides.append(ShapeGuide(shape, self.model.elements))
        denoise = guided(self.model, guides)
        steering = Steering(self._score, denoise, shape, streams, copies) if self._score else None
        own = [each for stream in streams for each in (stream, *stream.spawn(copies - 1))]
        draws = Draws(own, cloud.n_atoms.tolist(), cloud.positions)
        noisy = start(cloud, self.model, self.sampling, draws)
        for frame in self._sampler(noisy, denoise, self.sampling, draws, steering or keep_all):
            done = frame.evaluations + (steering.evaluations if steering else 0)
            yield Frame(frame.step, frame.noisy[::copies], frame.sigma[::copies], copies * done)

    def _molecules(self, cloud: Cloud) -> MoleculeBatch:
        return cloud.to("cpu").to_molecules(self.model.elements)


class DiffusionGenerator(DenoisingGenerator):
    """Generator by diffusion: noise is denoised step by step, all atoms at once.

    Args:
        run: run folder of ``molrl train``, or JSON file of the weights; None: those that ship.
        device: ``auto``, ``cpu`` or ``cuda``.
        sampling: keys of the sampler that replace those of the training, as in
            ``sampling.evaluations=20``.
        guidance: guidance by an energy, as in ``guidance.energy=0.1``, 1/eV, or by reward terms,
            as in ``guidance.reward.valid=5`` with ``guidance.particles=4``; both by the model
            ``guidance.model=mace-small``; none by default.
        batch_size: number of molecules that are sampled at the same time.

    Example:
        >>> generator = DiffusionGenerator("runs/diffusion")  # doctest: +SKIP
        >>> made = generator.generate("C4H7N", n=10, seed=0)  # doctest: +SKIP
    """

    name = "diffusion"
    kind = "diffusion"


class DirectDiffusionGenerator(DiffusionGenerator):
    """Generator by diffusion whose network returns vectors, not the gradient of an energy.

    It makes more valid molecules after the same time of training, each in half of the time.

    Args:
        run: run folder of ``molrl train``, or JSON file of the weights; None: those that ship.
        device: ``auto``, ``cpu`` or ``cuda``.
        sampling: keys of the sampler that replace those of the training, as in
            ``sampling.evaluations=20``.
        guidance: as of ``diffusion``.
        batch_size: number of molecules that are sampled at the same time.

    Example:
        >>> made = load_generator("diffusion-direct").generate("C4H7N", 10, 0)  # doctest: +SKIP
    """

    name = "diffusion-direct"


class PseudoForceGenerator(DenoisingGenerator):
    """Generator by relaxation of noise in a field of pseudo-forces, in a few evaluations.

    Args:
        run: run folder of ``molrl train``, or JSON file of the weights; None: those that ship.
        device: ``auto``, ``cpu`` or ``cuda``.
        sampling: keys of the sampler that replace those of the training, as in
            ``sampling.evaluations=20``.
        guidance: guidance by an energy, as in ``guidance.energy=0.1``, 1/eV, or by reward terms,
            as in ``guidance.reward.valid=5`` with ``guidance.particles=4``; both by the model
            ``guidance.model=mace-small``; none by default.
        batch_size: number of molecules that are sampled at the same time.

    Example:
        >>> generator = PseudoForceGenerator("runs/pseudo_force")  # doctest: +SKIP
        >>> made = generator.generate("C4H7N", n=10, seed=0)  # doctest: +SKIP
    """

    name = "pseudo-force"
    kind = "pseudo-force"


def _streams(seed: int, indices: Sequence[int], attempt: int) -> list[np.random.Generator]:
    """Return the stream of each molecule in an attempt."""
    again = [attempt] if attempt else []
    return [np.random.default_rng([seed, i, *again]) for i in indices]

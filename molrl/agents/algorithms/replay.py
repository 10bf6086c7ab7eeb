"""Placements that build given molecules, in random orders."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrl.agents.algorithms.archive import Isomer
from molrl.agents.interface import ActionEvaluation, PolicyNetwork
from molrl.chemistry.monovalent import MONOVALENT
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import Observation, observe
from molrl.envs.state import CanvasState

Ints = NDArray[np.int64]

_OPEN, _ITERATIONS = 0.02, 4  # weight of what the bonds leave open, where theirs is 1


@dataclass(frozen=True)
class ImitationLoss:
    """Losses of the imitation of placements.

    The smooth density of a mixture learns fast, and once it has all the weight the lobes, far from
    every direction, learn nothing more. So they learn the directions by themselves, too.

    Attributes:
        total: minus the mean log-likelihood, nats.
        by_lobes: minus the mean log-density of the directions by the lobes alone, nats; 0 where the
            policy has none.
    """

    total: Tensor
    by_lobes: Tensor

    @classmethod
    def of(cls, made: ActionEvaluation) -> "ImitationLoss":
        """Return the losses of evaluated placements."""
        lobes = made.log_prob.new_zeros(()) if made.by_lobes is None else -made.by_lobes.mean()
        return cls(total=-made.log_prob.mean(), by_lobes=lobes)


def imitation_loss(
    network: PolicyNetwork, observation: Observation, actions: NDArray[np.float32]
) -> ImitationLoss:
    """Return the losses of placements.

    Args:
        network: of the policy.
        observation: from :meth:`Replay.draw`, as are the actions.
        actions: ``(n, 5)``.
    """
    device = next(network.parameters()).device
    tensors = {key: torch.as_tensor(values, device=device) for key, values in observation.items()}
    drawn = torch.as_tensor(actions, device=device)
    return ImitationLoss.of(network.evaluate_actions(tensors, drawn))


@dataclass(frozen=True)
class Replay:
    """How molecules are built again, one placement of a random order of each.

    Fixed atoms are there from the start, and in a shape the first atom stays the first, since it is
    the origin. Otherwise the first atom is not monovalent, if there is such an atom; every further
    one is bonded to one that was placed before, its focus. Where the bag is refilled, one molecule
    is built after another: the first atom of each is within reach of an atom of another molecule,
    which is its focus.

    Attributes:
        problem: whose canvases and elements the molecules fit.
        jitter: Å, smallest and largest standard deviation of noise on the canvases, along each
            axis, drawn for each molecule, evenly in its logarithm: a policy thus learns to build on
            canvases that are not relaxed, as precise ones as others. Fixed atoms have none. The
            displacements are those that keep the bonds to the atoms of such a canvas.
        skeleton_first: log-odds by which an atom that is not monovalent comes before one that is.
        n_fixed: number of fixed atoms, the first ones of every molecule.
        reach: Å, longest displacement from an atom of another molecule.
    """

    problem: Problem
    jitter: tuple[float, float]
    skeleton_first: float
    n_fixed: int = 0
    reach: float = 0.0

    def draw(
        self, isomers: list[Isomer], rng: np.random.Generator
    ) -> tuple[Observation, NDArray[np.float32]]:
        """Return observations, and actions ``(n, 5)``.

        Args:
            isomers: n molecules.
            rng: generator of random numbers.
        """
        path = self._path(isomers, rng)
        placed = rng.integers(self.n_fixed, path.n_atoms)
        actions, _ = self._actions(path, placed, rng)
        noise = rng.standard_normal(path.positions.shape).astype(np.float32)
        noise[:, : self.n_fixed] = 0
        low, high = self.jitter
        spread = low * (high / low) ** rng.random((len(noise), 1, 1))
        noisy = path.positions + (spread * noise).astype(np.float32)
        actions[:, 2:] = _fitted(path, placed, noisy, actions)
        canvases = self._canvases(path, placed, noisy - noisy[:, :1])
        return observe(canvases, self.problem.layout), actions

    def returns(self, isomers: list[Isomer]) -> NDArray[np.float64]:
        """Return the returns of molecules that are built in one order each, eV.

        Args:
            isomers: n molecules of the one instance of the task.

        Returns:
            ``(n,)``; -inf where a placement is out of reach, or not allowed by the rules.
        """
        if not isomers:
            return np.zeros(0)
        rng, problem = np.random.default_rng(0), self.problem
        path = self._path(isomers, rng)
        state = problem.initial_state(len(isomers) * [problem.task.examples[0]])
        total = np.zeros(len(isomers))
        for step in range(self.n_fixed, int(path.n_atoms.max())):
            actions, found = self._actions(path, np.full(len(isomers), step), rng)
            made = transition(state, actions, problem.context)
            taken = found & np.isin(made.reason, (Reason.ONGOING, Reason.COMPLETE))
            total = np.where(taken, total + made.reward, -np.inf)
            state = made.state
        return total

    def _path(self, isomers: list[Isomer], rng: np.random.Generator) -> "_Path":
        """Return molecules in random orders."""
        layout = self.problem.layout
        numbers, positions, bonded = _padded(isomers, layout.canvas_size)
        near = self._near(numbers, positions) if layout.max_refills else np.zeros_like(bonded)
        n_first = self.n_fixed or int(layout.n_points > 0)
        order = _random_order(numbers, (bonded, near), self.skeleton_first, n_first, rng)
        rows, pairs = np.arange(len(numbers))[:, None], (order[:, :, None], order[:, None])
        return _Path(
            numbers[rows, order],
            positions[rows, order],
            bonded[rows[:, None], *pairs],
            near[rows[:, None], *pairs],
        )

    def _near(self, numbers: Ints, positions: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which atom ``(n, N, N)`` can be placed from which of another molecule."""
        lengths = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
        present, monovalent = numbers > 0, MONOVALENT[numbers]
        near: NDArray[np.bool_] = (lengths <= self.reach) & present[:, :, None] & present[:, None]
        limit = self.problem.config.rules.monovalent_distance
        if limit is not None:
            near &= ~monovalent[:, :, None] | (~monovalent[:, None] & (lengths < limit))
        return near

    def _actions(
        self, path: "_Path", placed: Ints, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return actions ``(n, 5)`` that place the atoms ``placed``, and which have a focus."""
        rows, before = np.arange(len(placed)), np.arange(path.numbers.shape[1]) < placed[:, None]
        bonded, near = path.bonded[rows, placed] & before, path.near[rows, placed] & before
        possible = np.where(bonded.any(1, keepdims=True), bonded, near)
        focus = np.where(possible, rng.random(before.shape), -1).argmax(1)
        shift = path.positions[rows, placed] - path.positions[rows, focus]
        shift[placed == 0] = 0
        element = np.searchsorted(self.problem.elements, path.numbers[rows, placed])
        actions = np.column_stack([focus, element, shift]).astype(np.float32)
        return actions, possible.any(1) | (placed == 0)

    def _canvases(self, path: "_Path", placed: Ints, positions: NDArray[np.float32]) -> CanvasState:
        """Return canvases with the atoms before ``placed``, for what a policy observes of them."""
        example, n = self.problem.task.examples[0], len(placed)
        size = np.full(n, example.bag.n_atoms) if example.refills else path.n_atoms - self.n_fixed
        n_done = (placed - self.n_fixed) // size
        slots, end = np.arange(path.numbers.shape[1]), self.n_fixed + (n_done + 1) * size
        before = slots < placed[:, None]
        left = ~before & (slots < end[:, None])
        of_element = path.numbers[:, :, None] == np.array(self.problem.elements)
        bag, zeros = (of_element & left[:, :, None]).sum(1), np.zeros(n, np.int64)
        return CanvasState(
            numbers=np.where(before, path.numbers, 0),
            positions=np.where(before[:, :, None], positions, 0).astype(np.float32),
            bag=bag,
            energy=np.zeros(n),
            n_fixed=np.full(n, self.n_fixed),
            refill=np.zeros_like(bag),
            refills=example.refills - n_done,
            shape=np.tile(example.shape, (n, 1, 1)),
            charge=zeros,
            spin=zeros,
        )


def _fitted(
    path: "_Path", placed: Ints, canvases: NDArray[np.float32], actions: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return displacements ``(n, 3)`` that keep the lengths of bonds on distorted canvases.

    A ring is thus closed as well as its distorted atoms allow. Least squares of the distances from
    bonded atoms, by Gauss and Newton; what these leave open is as it was without the distortion.

    Args:
        path: the molecules.
        placed: ``(n,)``, the atoms that the actions place.
        canvases: ``(n, N, 3)`` Å, distorted positions.
        actions: ``(n, 5)``, with the displacements from undistorted foci.
    """
    rows, slots = np.arange(len(placed)), np.arange(path.numbers.shape[1])
    bonded = path.bonded[rows, placed] & (slots < placed[:, None])
    true = path.positions.astype(np.float64)
    lengths = np.linalg.norm(true[rows, placed][:, None] - true, axis=-1)
    focus = canvases[rows, actions[:, 0].astype(np.int64)].astype(np.float64)
    start = at = focus + actions[:, 2:]
    for _ in range(_ITERATIONS):
        away = at[:, None] - canvases
        length = np.linalg.norm(away, axis=-1).clip(min=0.1)
        along = away / length[:, :, None]
        pull = bonded[:, :, None] * along
        hessian = pull.swapaxes(1, 2) @ along + _OPEN * np.eye(3)
        gradient = (pull * (length - lengths)[:, :, None]).sum(1) + _OPEN * (at - start)
        at = at - np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    fitted: NDArray[np.float64] = at - focus
    return fitted


@dataclass(frozen=True)
class _Path:
    """n molecules, their atoms in the order of placement.

    Attributes:
        numbers: ``(n, N)``, 0 in empty slots, which come last.
        positions: ``(n, N, 3)`` Å.
        bonded: ``(n, N, N)``, which atoms are bonded.
        near: ``(n, N, N)``, which atom can be placed from which of another molecule.
    """

    numbers: Ints
    positions: NDArray[np.float32]
    bonded: NDArray[np.bool_]
    near: NDArray[np.bool_]

    @property
    def n_atoms(self) -> Ints:
        """``(n,)``, numbers of atoms."""
        n_atoms: Ints = np.count_nonzero(self.numbers, axis=1)
        return n_atoms


def _padded(
    isomers: list[Isomer], slots: int
) -> tuple[Ints, NDArray[np.float32], NDArray[np.bool_]]:
    """Return numbers ``(n, N)``, positions ``(n, N, 3)``, and which atoms are bonded."""
    n = len(isomers)
    numbers, positions = np.zeros((n, slots), np.int64), np.zeros((n, slots, 3), np.float32)
    bonded = np.zeros((n, slots, slots), bool)
    for i, isomer in enumerate(isomers):
        size = len(isomer.numbers)
        numbers[i, :size], positions[i, :size] = isomer.numbers, isomer.positions
        first, second = isomer.bonds.T
        bonded[i, first, second] = bonded[i, second, first] = True
    return numbers, positions, bonded


def _random_order(
    numbers: Ints,
    linked: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    skeleton_first: float,
    n_first: int,
    rng: np.random.Generator,
) -> Ints:
    """Return orders ``(n, N)`` of the atoms; the first ones stay, and empty slots come last.

    Args:
        numbers: ``(n, N)``.
        linked: ``(n, N, N)``, which atoms are bonded, and which are near. An atom that is only
            near to placed ones comes when none is bonded to them: their molecules are complete.
        skeleton_first: as of :class:`Replay`.
        n_first: number of atoms that stay first.
        rng: generator of random numbers.
    """
    bonded, near = linked
    rows, present = np.arange(len(numbers)), numbers > 0
    order, placed = np.zeros_like(numbers), np.zeros_like(present)
    next_to: NDArray[np.bool_] = np.asarray(present & ~MONOVALENT[numbers])
    only_monovalent = ~next_to.any(1)
    next_to[only_monovalent] = present[only_monovalent]
    for step in range(numbers.shape[1]):
        # the largest of numbers with Gumbel noise is drawn by the softmax of the numbers
        priority = rng.gumbel(size=numbers.shape) - skeleton_first * MONOVALENT[numbers]
        priority += 1e4 * next_to + 1e3 * present - 1e6 * placed
        chosen = np.where(step < n_first, step, priority.argmax(1))
        order[:, step], placed[rows, chosen] = chosen, True
        next_to = (bonded & placed[:, None]).any(-1) & ~placed
        complete = ~next_to.any(1)
        next_to[complete] = (near[complete] & placed[complete, None]).any(-1)
    return order

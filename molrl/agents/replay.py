"""Placements that build given molecules, in random orders."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrl.agents.archive import Isomer
from molrl.agents.interface import PolicyNetwork
from molrl.chemistry.monovalent import MONOVALENT
from molrl.envs.problem import Problem
from molrl.envs.spaces import Observation, observe
from molrl.envs.state import CanvasState

Ints = NDArray[np.int64]


def imitation_loss(
    network: PolicyNetwork, observation: Observation, actions: NDArray[np.float32]
) -> Tensor:
    """Return minus the mean log-likelihood of placements, nats.

    Args:
        network: of the policy.
        observation: from :meth:`Replay.draw`, as are the actions.
        actions: ``(n, 5)``.
    """
    device = next(network.parameters()).device
    tensors = {key: torch.as_tensor(values, device=device) for key, values in observation.items()}
    drawn = torch.as_tensor(actions, device=device)
    return -network.evaluate_actions(tensors, drawn).log_prob.mean()


@dataclass(frozen=True)
class Replay:
    """How molecules are built again, one placement of a random order of each.

    Fixed atoms are there from the start. Without them the first atom is not monovalent, if there is
    such an atom; every further one is bonded to one that was placed before. The focus is one of the
    atoms it is bonded to.

    Attributes:
        problem: whose canvases and elements the molecules fit.
        jitter: Å, standard deviation of noise on the canvases, along each axis: a policy thus
            learns to build on canvases that are not relaxed. The displacements have none, and
            neither have fixed atoms.
        skeleton_first: log-odds by which an atom that is not monovalent comes before one that is.
        n_fixed: number of fixed atoms, the first ones of every molecule.
    """

    problem: Problem
    jitter: float
    skeleton_first: float
    n_fixed: int = 0

    def draw(
        self, isomers: list[Isomer], rng: np.random.Generator
    ) -> tuple[Observation, NDArray[np.float32]]:
        """Return observations, and actions ``(n, 5)``.

        Args:
            isomers: n molecules.
            rng: generator of random numbers.
        """
        numbers, positions, bonded = _padded(isomers, self.problem.layout.canvas_size)
        order = _random_order(numbers, bonded, self.skeleton_first, self.n_fixed, rng)
        n_atoms = (numbers > 0).sum(1)
        placed = rng.integers(self.n_fixed, n_atoms)
        rows, slots = np.arange(len(isomers)), np.arange(order.shape[1])
        target, before = order[rows, placed], slots < placed[:, None]
        possible = bonded[rows[:, None], target[:, None], order] & before
        focus = np.where(possible, rng.random(order.shape), -1).argmax(1)
        ordered = np.take_along_axis(positions, order[:, :, None], 1)
        shift = positions[rows, target] - ordered[rows, focus]
        shift[placed == 0] = 0
        noise = rng.standard_normal(ordered.shape).astype(np.float32)
        noise[:, : self.n_fixed] = 0
        noisy = ordered + self.jitter * noise
        species, elements = np.take_along_axis(numbers, order, 1), np.array(self.problem.elements)
        left = ~before & (slots < n_atoms[:, None])
        bag = ((species[:, :, None] == elements) & left[:, :, None]).sum(1)
        on_canvas = np.where(before, species, 0)
        n_fixed = np.full(len(isomers), self.n_fixed)
        observation = _observed(on_canvas, noisy - noisy[:, :1], bag, n_fixed, self.problem)
        element = np.searchsorted(elements, numbers[rows, target])
        return observation, np.column_stack([focus, element, shift]).astype(np.float32)


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
    bonded: NDArray[np.bool_],
    skeleton_first: float,
    n_fixed: int,
    rng: np.random.Generator,
) -> Ints:
    """Return orders ``(n, N)`` of the atoms; fixed ones come first, and empty slots last."""
    rows, present = np.arange(len(numbers)), numbers > 0
    order, placed = np.zeros_like(numbers), np.zeros_like(present)
    next_to: NDArray[np.bool_] = np.asarray(present & ~MONOVALENT[numbers])
    only_monovalent = ~next_to.any(1)
    next_to[only_monovalent] = present[only_monovalent]
    for step in range(numbers.shape[1]):
        # the largest of numbers with Gumbel noise is drawn by the softmax of the numbers
        priority = rng.gumbel(size=numbers.shape) - skeleton_first * MONOVALENT[numbers]
        priority += 1e4 * next_to + 1e3 * present - 1e6 * placed
        chosen = np.where(step < n_fixed, step, priority.argmax(1))
        order[:, step], placed[rows, chosen] = chosen, True
        next_to = np.asarray((bonded & placed[:, None]).any(-1))
    return order


def _observed(
    numbers: Ints, positions: NDArray[np.float32], bag: Ints, n_fixed: Ints, problem: Problem
) -> Observation:
    n = len(numbers)
    zeros = np.zeros(n, np.int64)
    state = CanvasState(
        numbers=numbers,
        positions=np.where(numbers[:, :, None] > 0, positions, 0).astype(np.float32),
        bag=bag,
        energy=np.zeros(n),
        n_fixed=n_fixed,
        refill=np.zeros_like(bag),
        refills=zeros,
        shape=np.zeros((n, 0, 3), np.float32),
        charge=zeros,
        spin=zeros,
    )
    return observe(state, problem.layout)

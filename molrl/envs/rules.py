"""The rules of the game, written once: one transition of many canvases at a time."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from numpy.typing import NDArray

from molrl.envs.config import Rules
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.rewards import EnergyDifference, Placed, Placements, Reward, RewardOutput

ACTION_SIZE = 5
MONOVALENT = np.isin(
    np.arange(len(chemical_symbols)), [atomic_numbers[s] for s in ("H", "F", "Cl", "Br")]
)

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Reason(IntEnum):
    """Why an episode ended; ``REASON_TEXTS`` has each one's words."""

    GOING_ON = 0
    ELEMENT_NOT_IN_BAG = 1
    FOCUS_ON_AN_EMPTY_SLOT = 2
    OUT_OF_BOUNDS = 3
    CLASH = 4
    SOLO_ATOM = 5
    ENERGY_FAILED = 6
    ENERGY_RISE_TOO_LARGE = 7
    ENERGY_DROP_TOO_LARGE = 8
    REWARD_FAILED = 9
    COMPLETE = 10
    STEP_LIMIT = 11
    UNCERTAIN = 12


REASON_TEXTS = np.array([r.name.lower().replace("_", " ") if r else "" for r in Reason], object)
_ACCEPTED = np.isin(list(Reason), [Reason.GOING_ON, Reason.COMPLETE, Reason.STEP_LIMIT])
_FAILED = np.isin(list(Reason), [Reason.ENERGY_FAILED, Reason.REWARD_FAILED])


@dataclass(frozen=True)
class TransitionContext:
    """What a transition needs beside the state.

    Attributes:
        elements: ``(E,)`` int64, atomic numbers an action chooses among, ascending.
        rules: what may be placed, and what ends an episode.
        binding: the energy that a placed atom is judged by.
        reward: what pays for an atom that is accepted.
        max_steps: atoms placed in an episode at most, or None.
    """

    elements: Ints
    rules: Rules
    binding: EnergyDifference
    reward: Reward
    max_steps: int | None = None


@dataclass(frozen=True)
class Transition:
    """What B actions led to.

    Attributes:
        state: the canvases afterwards; one whose action was refused is as it was.
        reward: ``(B,)`` float64, eV.
        reason: ``(B,)`` int64, a :class:`Reason`; an episode goes on where it is 0.
        terms: name of each reward term to ``(B,)`` float64, what it paid, eV; 0 where the action
            was refused or the atom rejected.
        failures: index of each canvas whose energy or reward failed, with what is told of it.
    """

    state: CanvasState
    reward: Floats
    reason: Ints
    terms: dict[str, Floats]
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def truncated(self) -> Bools:
        """``(B,)`` bool: the episode was cut off at the limit of steps."""
        truncated: Bools = self.reason == Reason.STEP_LIMIT
        return truncated

    @property
    def terminated(self) -> Bools:
        """``(B,)`` bool: the episode ended of itself."""
        ended: Bools = self.reason != Reason.GOING_ON
        return ended & ~self.truncated

    @property
    def reason_texts(self) -> NDArray[np.object_]:
        """``(B,)`` str: the reasons in words, "" where an episode goes on."""
        texts = REASON_TEXTS[self.reason]
        for i, failure in self.failures.items():
            texts[i] = f"{texts[i]}: {failure}"
        return texts


@dataclass(frozen=True)
class _Moves:
    """Decoded actions: indices are in range also where an action is not (``in_bag``, ...)."""

    element: Ints  # (B,) index into the bag
    number: Ints  # (B,) atomic number
    position: NDArray[np.float32]  # (B, 3) Å
    in_bag: Bools  # (B,)
    on_atom: Bools  # (B,) the focus is an atom, or the canvas is empty
    in_bounds: Bools  # (B,) the displacement is within the action space


def checked_actions(actions: object, n: int, ignored: Bools | None = None) -> NDArray[np.float32]:
    """Actions as an array, if they are actions.

    Args:
        actions: what should be ``(n, 5)`` finite numbers.
        n: how many environments act.
        ignored: ``(n,)`` bool, environments whose action is not looked at.

    Returns:
        ``(n, 5)`` float32; rows that are ignored are 0.

    Raises:
        InputError: if the shape is wrong or a number is not finite; the environment is named.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.array(actions, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(f"actions must be ({n}, {ACTION_SIZE}) numbers") from None
    if array.shape != (n, ACTION_SIZE):
        raise InputError(f"actions must have shape ({n}, {ACTION_SIZE}), not {array.shape}")
    if ignored is not None:
        array[ignored] = 0
    finite = np.isfinite(array).all(1)
    if not finite.all():
        i = int(np.argmin(finite))
        raise InputError(f"environment {i}: the action {array[i].tolist()} is not finite")
    return array


def transition(
    state: CanvasState, actions: NDArray[np.float32], game: TransitionContext
) -> Transition:
    """Place one atom on each canvas, as far as the rules allow.

    Args:
        state: B canvases, none with an empty bag.
        actions: ``(B, 5)`` float32, finite: focus slot, index into the elements, and dx, dy, dz in
            Å from the focal atom; indices are rounded to the nearest integer. On an empty canvas
            the atom goes to the origin, whatever focus and displacement are.
        game: elements, rules and rewards.

    Returns:
        The transition. What is refused is not evaluated; the others cost one call of the reward.
    """
    moves = _decode(state, actions, game)
    reason = _check(state, moves, game.rules)
    reward = np.full(len(state), game.rules.min_reward)
    terms = {name: np.zeros(len(state)) for name in game.reward.terms}
    placed = np.flatnonzero(reason == Reason.GOING_ON)
    if not len(placed):
        return Transition(state, reward, reason, terms)

    after = _place(state[placed], moves, placed)
    outcome = _evaluate(after, moves.number[placed], state.energy[placed], game)
    reason[placed], reward[placed] = outcome.reason, outcome.reward
    for name, values in outcome.terms.items():
        terms[name][placed] = values
    kept = _ACCEPTED[outcome.reason] | (game.rules.keep_rejected & ~_FAILED[outcome.reason])
    failures = {int(placed[i]): text for i, text in outcome.failures.items()}
    state = state.updated(placed[kept], outcome.state[kept])
    return Transition(state, reward, reason, terms, failures)


def _evaluate(
    after: CanvasState, numbers: Ints, energy: Floats, game: TransitionContext
) -> Transition:
    """What placed atoms lead to, if they stay where they are.

    Args:
        after: n canvases, each with its new atom.
        numbers: ``(n,)`` int64, atomic numbers of the new atoms.
        energy: ``(n,)`` float64, eV, of the canvases before.
        game: rules and reward.
    """
    molecules = MoleculeBatch.from_padded(
        torch.from_numpy(after.numbers), torch.from_numpy(after.positions).double()
    )
    payment = game.binding.compute_reward(Placements(molecules, numbers, energy))
    after = replace(after, energy=payment.energy)
    reason, failures = _judge(payment, after, game), dict(payment.failures)
    terms = {name: np.zeros(len(after)) for name in game.reward.terms}
    accepted = np.flatnonzero(_ACCEPTED[reason])
    if len(accepted):
        placed = Placed(
            molecules,
            after.n_fixed,
            after.shape,
            payment.reward,
            after.energy,
            payment.uncertainty,
            payment.properties,
            game.binding.model,
        )
        if len(accepted) < len(after):
            placed = placed[accepted]
        for name, values in game.reward.compute_reward(
            placed, reason[accepted] == Reason.COMPLETE
        ).items():
            terms[name][accepted] = values
            failed = accepted[~np.isfinite(values)]
            reason[failed] = Reason.REWARD_FAILED
            failures |= {
                int(i): f"{name} is not a finite number for {molecules[int(i)].bags()[0]}"
                for i in failed
            }
    stands = _ACCEPTED[reason]
    for values in terms.values():
        values[~stands] = 0.0
    reward = np.where(stands, sum(terms.values()), game.rules.min_reward)
    return Transition(after, reward, reason, terms, failures)


def _decode(state: CanvasState, actions: NDArray[np.float32], game: TransitionContext) -> _Moves:
    rows = np.arange(len(state))
    focus, element = np.rint(actions[:, 0]), np.rint(actions[:, 1])
    empty = state.n_atoms == 0
    on_atom = (focus >= 0) & (focus < state.n_atoms)
    known = (element >= 0) & (element < len(game.elements))
    focus = np.where(on_atom, focus, 0).astype(np.int64)
    element = np.where(known, element, 0).astype(np.int64)
    within = (np.abs(actions[:, 2:]) <= np.float32(game.rules.max_displacement)).all(1)
    displacement = np.where((within & ~empty)[:, None], actions[:, 2:], np.float32(0))
    return _Moves(
        element=element,
        number=game.elements[element],
        position=state.positions[rows, focus] + displacement,
        in_bag=known & (state.bag[rows, element] > 0),
        on_atom=on_atom | empty,
        in_bounds=within | empty,
    )


def _check(state: CanvasState, moves: _Moves, rules: Rules) -> Ints:
    """``(B,)`` int64: the first reason to refuse each move, else ``GOING_ON``."""
    width = int(state.n_atoms.max(initial=1))
    numbers = state.numbers[:, :width]
    vectors = state.positions[:, :width] - moves.position[:, None]
    squared = np.square(vectors).sum(-1)
    filled = numbers > 0
    contact = rules.clash_fraction * (covalent_radii[numbers] + covalent_radii[moves.number, None])
    contact = np.maximum(contact, rules.clash_distance)
    clash = (filled & (squared < contact**2)).any(1)
    if rules.solo_distance is None:
        solo = np.zeros(len(state), bool)
    else:
        partner = filled & ~MONOVALENT[numbers] & (squared < rules.solo_distance**2)
        solo = MONOVALENT[moves.number] & (state.n_atoms > 0) & ~partner.any(1)
    return np.select(
        [~moves.in_bag, ~moves.on_atom, ~moves.in_bounds, clash, solo],
        [
            Reason.ELEMENT_NOT_IN_BAG,
            Reason.FOCUS_ON_AN_EMPTY_SLOT,
            Reason.OUT_OF_BOUNDS,
            Reason.CLASH,
            Reason.SOLO_ATOM,
        ],
        Reason.GOING_ON,
    ).astype(np.int64)


def _place(before: CanvasState, moves: _Moves, rows: NDArray[np.intp]) -> CanvasState:
    """Take the atoms of ``moves[rows]`` out of the bags and put them on the canvases ``before``.

    A bag that is empty then is filled again, if it has a refill left.
    """
    numbers, positions, bag = before.numbers.copy(), before.positions.copy(), before.bag.copy()
    canvas, slot = np.arange(len(before)), before.n_atoms
    numbers[canvas, slot] = moves.number[rows]
    positions[canvas, slot] = moves.position[rows]
    bag[canvas, moves.element[rows]] -= 1
    refilled = ~bag.any(1) & (before.refills > 0)
    bag[refilled] = before.refill[refilled]
    refills = before.refills - refilled
    return replace(before, numbers=numbers, positions=positions, bag=bag, refills=refills)


def _judge(payment: RewardOutput, after: CanvasState, game: TransitionContext) -> Ints:
    """``(n,)`` int64: why the episode of each placed atom ends, else ``GOING_ON``."""
    rules = game.rules
    high = np.inf if rules.max_reward is None else rules.max_reward
    unsure = np.inf if rules.max_uncertainty is None else rules.max_uncertainty
    limit = np.inf if game.max_steps is None else game.max_steps
    return np.select(
        [
            ~np.isfinite(payment.reward),
            payment.reward < rules.min_reward,
            payment.reward > high,
            payment.uncertainty > unsure,
            ~after.bag.any(1),
            after.n_atoms - after.n_fixed >= limit,
        ],
        [
            Reason.ENERGY_FAILED,
            Reason.ENERGY_RISE_TOO_LARGE,
            Reason.ENERGY_DROP_TOO_LARGE,
            Reason.UNCERTAIN,
            Reason.COMPLETE,
            Reason.STEP_LIMIT,
        ],
        Reason.GOING_ON,
    ).astype(np.int64)

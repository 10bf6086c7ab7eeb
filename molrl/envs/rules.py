"""Transition function of the environments: one step of many canvases at a time."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from molrl.chemistry.monovalent import MONOVALENT
from molrl.envs.config import Rules
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.rewards import EnergyDifference, PlacedAtoms, Placements, Reward, RewardOutput

ACTION_SIZE = 5

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Reason(IntEnum):
    """Reason for which an episode ended; ``REASON_TEXTS`` has the text of each."""

    ONGOING = 0
    ELEMENT_NOT_IN_BAG = 1
    FOCUS_ON_AN_EMPTY_SLOT = 2
    OUT_OF_BOUNDS = 3
    CLASH = 4
    MONOVALENT_ATOM = 5
    ENERGY_FAILED = 6
    ENERGY_RISE_TOO_LARGE = 7
    ENERGY_DROP_TOO_LARGE = 8
    REWARD_FAILED = 9
    COMPLETE = 10
    STEP_LIMIT = 11
    UNCERTAIN = 12


REASON_TEXTS = np.array([r.name.lower().replace("_", " ") if r else "" for r in Reason], object)
_ACCEPTED = np.isin(list(Reason), [Reason.ONGOING, Reason.COMPLETE, Reason.STEP_LIMIT])
_FAILED = np.isin(list(Reason), [Reason.ENERGY_FAILED, Reason.REWARD_FAILED])


@dataclass(frozen=True)
class TransitionContext:
    """Input of a transition besides the state and the actions.

    Attributes:
        elements: ``(E,)`` int64, atomic numbers that an action chooses from, ascending.
        rules: rules for placing atoms and for ending an episode.
        energy_difference: energy differences, which decide whether an atom is rejected.
        reward: reward of accepted atoms.
        max_steps: largest number of atoms placed in an episode, or None.
    """

    elements: Ints
    rules: Rules
    energy_difference: EnergyDifference
    reward: Reward
    max_steps: int | None = None


@dataclass(frozen=True)
class Transition:
    """Result of B actions.

    Attributes:
        state: canvases after the actions; a refused action leaves its canvas as it was.
        reward: ``(B,)`` float64, eV.
        reason: ``(B,)`` int64, a :class:`Reason`; 0 where the episode has not ended.
        terms: name of each reward term to its value times its weight, ``(B,)`` float64, eV; 0 where
            the action was refused or the atom rejected.
        failures: index of each canvas whose energy or reward failed, with the cause.
    """

    state: CanvasState
    reward: Floats
    reason: Ints
    terms: dict[str, Floats]
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def truncated(self) -> Bools:
        """``(B,)`` bool: the episode was truncated at the limit of steps."""
        truncated: Bools = self.reason == Reason.STEP_LIMIT
        return truncated

    @property
    def terminated(self) -> Bools:
        """``(B,)`` bool: the episode ended for another reason."""
        ended: Bools = self.reason != Reason.ONGOING
        return ended & ~self.truncated

    @property
    def reason_texts(self) -> NDArray[np.object_]:
        """``(B,)`` str: texts of the reasons, "" where the episode has not ended."""
        texts = REASON_TEXTS[self.reason]
        for i, failure in self.failures.items():
            texts[i] = f"{texts[i]}: {failure}"
        return texts


@dataclass(frozen=True)
class _DecodedActions:
    """Decoded actions; indices are in range even where the action is not valid."""

    element: Ints  # (B,) index into the bag
    number: Ints  # (B,) atomic number
    position: NDArray[np.float32]  # (B, 3) Å
    in_bag: Bools  # (B,)
    on_atom: Bools  # (B,) the focus is an atom, or the canvas is empty
    in_bounds: Bools  # (B,) the displacement is within the action space


def checked_actions(actions: object, n: int, ignored: Bools | None = None) -> NDArray[np.float32]:
    """Return actions as an array after checking them.

    Args:
        actions: ``(n, 5)`` finite numbers.
        n: number of environments.
        ignored: ``(n,)`` bool, environments whose action is not used.

    Returns:
        ``(n, 5)`` float32; ignored rows are 0.

    Raises:
        InputError: if the shape is wrong or a number is not finite; the message has the index of
            the environment.
    """
    try:
        given = np.asarray(actions)
    except (TypeError, ValueError):  # of different lengths, among others
        given = np.array(None)
    if given.dtype.kind not in "fiu":  # NumPy would convert words, and parts of others
        raise InputError(f"actions must be ({n}, {ACTION_SIZE}) numbers, not {given.dtype}")
    with np.errstate(over="ignore"):
        array = np.array(given, dtype=np.float32)
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
    state: CanvasState, actions: NDArray[np.float32], context: TransitionContext
) -> Transition:
    """Place one atom on each canvas, where the rules allow it.

    Args:
        state: B canvases, none with an empty bag.
        actions: ``(B, 5)`` float32, finite: focus slot, index into the elements, and dx, dy, dz in
            Å from the focal atom; indices are rounded to the nearest integer. On an empty canvas
            the atom is placed at the origin, whatever the focus and the displacement are.
        context: elements, rules and reward.

    Returns:
        The transition. Refused actions are not evaluated; all others together cost one call of the
        energy model.
    """
    decoded = _decode(state, actions, context)
    reason = _check_actions(state, decoded, context.rules)
    reward = np.full(len(state), context.rules.min_reward)
    terms = {name: np.zeros(len(state)) for name in context.reward.terms}
    placed = np.flatnonzero(reason == Reason.ONGOING)
    if not len(placed):
        return Transition(state, reward, reason, terms)

    after = _place(state[placed], decoded, placed)
    outcome = _evaluate(after, decoded.number[placed], state.energy[placed], context)
    reason[placed], reward[placed] = outcome.reason, outcome.reward
    for name, values in outcome.terms.items():
        terms[name][placed] = values
    kept = _ACCEPTED[outcome.reason] | (context.rules.keep_rejected & ~_FAILED[outcome.reason])
    failures = {int(placed[i]): text for i, text in outcome.failures.items()}
    state = state.updated(placed[kept], outcome.state[kept])
    return Transition(state, reward, reason, terms, failures)


def _evaluate(
    after: CanvasState, numbers: Ints, energy: Floats, context: TransitionContext
) -> Transition:
    """Return the transition to ``after`` as if all placed atoms stayed on their canvases.

    Args:
        after: n canvases, each with its new atom.
        numbers: ``(n,)`` int64, atomic numbers of the new atoms.
        energy: ``(n,)`` float64, eV, of the canvases before.
        context: rules and reward.
    """
    molecules = after.to_molecules()
    output = context.energy_difference.compute_reward(Placements(molecules, numbers, energy))
    after = replace(after, energy=output.energy)
    reason, failures = _check_termination(output, after, context), dict(output.failures)
    terms = {name: np.zeros(len(after)) for name in context.reward.terms}
    accepted = np.flatnonzero(_ACCEPTED[reason])
    if len(accepted):
        placed = PlacedAtoms(
            molecules,
            after.n_fixed,
            after.shape,
            output.reward,
            after.energy,
            output.properties,
            context.energy_difference.model,
        )
        if len(accepted) < len(after):
            placed = placed[accepted]
        finished = reason[accepted] == Reason.COMPLETE
        of_terms, failed = context.reward.compute_reward(placed, finished)
        for name, values in of_terms.items():
            terms[name][accepted] = values
        for i, cause in failed.items():
            reason[accepted[i]] = Reason.REWARD_FAILED
            failures[int(accepted[i])] = cause
    # a term may have failed for an atom that was accepted
    accepts = _ACCEPTED[reason]
    for values in terms.values():
        values[~accepts] = 0.0
    reward = np.where(accepts, sum(terms.values()), context.rules.min_reward)
    return Transition(after, reward, reason, terms, failures)


def _decode(
    state: CanvasState, actions: NDArray[np.float32], context: TransitionContext
) -> _DecodedActions:
    rows = np.arange(len(state))
    focus, element = np.rint(actions[:, 0]), np.rint(actions[:, 1])
    empty = state.n_atoms == 0
    on_atom = (focus >= 0) & (focus < state.n_atoms)
    known = (element >= 0) & (element < len(context.elements))
    focus = np.where(on_atom, focus, 0).astype(np.int64)
    element = np.where(known, element, 0).astype(np.int64)
    within = (np.abs(actions[:, 2:]) <= np.float32(context.rules.max_displacement)).all(1)
    displacement = np.where((within & ~empty)[:, None], actions[:, 2:], np.float32(0))
    return _DecodedActions(
        element=element,
        number=context.elements[element],
        position=state.positions[rows, focus] + displacement,
        in_bag=known & (state.bag[rows, element] > 0),
        on_atom=on_atom | empty,
        in_bounds=within | empty,
    )


def _check_actions(state: CanvasState, decoded: _DecodedActions, rules: Rules) -> Ints:
    """Return ``(B,)`` int64: the first reason to refuse each action, else ``ONGOING``."""
    width = int(state.n_atoms.max(initial=1))
    numbers = state.numbers[:, :width]
    vectors = state.positions[:, :width] - decoded.position[:, None]
    squared = np.square(vectors).sum(-1)
    filled = numbers > 0
    radii = covalent_radii[numbers] + covalent_radii[decoded.number, None]
    contact = np.maximum(rules.clash_fraction * radii, rules.clash_distance)
    clash = (filled & (squared < contact**2)).any(1)
    if rules.monovalent_distance is None:
        unbound = np.zeros(len(state), bool)
    else:
        partner = filled & ~MONOVALENT[numbers] & (squared < rules.monovalent_distance**2)
        unbound = MONOVALENT[decoded.number] & (state.n_atoms > 0) & ~partner.any(1)
    return np.select(
        [~decoded.in_bag, ~decoded.on_atom, ~decoded.in_bounds, clash, unbound],
        [
            Reason.ELEMENT_NOT_IN_BAG,
            Reason.FOCUS_ON_AN_EMPTY_SLOT,
            Reason.OUT_OF_BOUNDS,
            Reason.CLASH,
            Reason.MONOVALENT_ATOM,
        ],
        Reason.ONGOING,
    ).astype(np.int64)


def _place(before: CanvasState, decoded: _DecodedActions, rows: NDArray[np.intp]) -> CanvasState:
    """Move the atoms of ``decoded[rows]`` from the bags to the canvases ``before``.

    A bag that is empty then is refilled, if it has a refill left.
    """
    numbers, positions, bag = before.numbers.copy(), before.positions.copy(), before.bag.copy()
    canvas, slot = np.arange(len(before)), before.n_atoms
    numbers[canvas, slot] = decoded.number[rows]
    positions[canvas, slot] = decoded.position[rows]
    bag[canvas, decoded.element[rows]] -= 1
    refilled = ~bag.any(1) & (before.refills > 0)
    bag[refilled] = before.refill[refilled]
    refills = before.refills - refilled
    return replace(before, numbers=numbers, positions=positions, bag=bag, refills=refills)


def _check_termination(
    output: RewardOutput, after: CanvasState, context: TransitionContext
) -> Ints:
    """Return ``(n,)`` int64: why the episode of each placed atom ends, else ``ONGOING``."""
    rules = context.rules
    max_reward = np.inf if rules.max_reward is None else rules.max_reward
    uncertain = np.zeros(len(after), bool)
    if rules.max_uncertainty is not None:
        uncertain = np.array(output.properties["uncertainty"]) > float(rules.max_uncertainty)
    max_steps = np.inf if context.max_steps is None else context.max_steps
    return np.select(
        [
            ~np.isfinite(output.reward),
            output.reward < rules.min_reward,
            output.reward > max_reward,
            uncertain,
            ~after.bag.any(1),
            after.n_atoms - after.n_fixed >= max_steps,
        ],
        [
            Reason.ENERGY_FAILED,
            Reason.ENERGY_RISE_TOO_LARGE,
            Reason.ENERGY_DROP_TOO_LARGE,
            Reason.UNCERTAIN,
            Reason.COMPLETE,
            Reason.STEP_LIMIT,
        ],
        Reason.ONGOING,
    ).astype(np.int64)

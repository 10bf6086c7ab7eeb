"""States that a greedy agent visits when a model is its reward."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from molrl.bags import Bag
from molrl.energy.interface import EnergyModel
from molrl.fitting.data.placements import interaction_energies, placements
from molrl.structures.structure import Structure

_TEMPERATURES = (0.03, 3.0)  # eV, of the choice among placements


def greedy_episodes(
    model: EnergyModel,
    bags: Sequence[Bag],
    n_placements: int,
    seed: int,
    guard: float,
) -> list[Structure]:
    """Build each bag atom by atom, each time choosing among random placements by their energies.

    A placement is chosen with probability proportional to exp(-E / T), E its energy by the model.
    T is drawn once an episode, log-uniform from 0.03 to 3 eV: a temperature range from agents that
    are trained to agents that are not. An episode ends early where the guard leaves no room.

    Args:
        model: the energy model used for the reward.
        bags: one episode each.
        n_placements: random placements tried at each step.
        seed: of all random choices.
        guard: smallest distance to any atom as a share of the covalent radii's sum.

    Returns:
        Every state of two atoms or more of all episodes, of kind ``greedy``.
    """
    streams = [np.random.default_rng([seed, i]) for i in range(len(bags))]
    states = {
        i: _first_atom(bag, f"walk:{bag.formula}:greedy-{seed}-{i}", rng)
        for i, (bag, rng) in enumerate(zip(bags, streams, strict=True))
    }
    temperatures = [np.exp(rng.uniform(*np.log(_TEMPERATURES))) for rng in streams]
    visited = []
    while states:
        tried = {}
        for i, state in states.items():
            left = list((Counter(bags[i].numbers) - Counter(state.numbers.tolist())).elements())
            some = left and placements(state, np.array(left), n_placements, streams[i], guard)
            if some:
                tried[i] = some
        if not tried:
            break
        energies = interaction_energies(model, [s for some in tried.values() for s in some])
        ends = np.cumsum([len(some) for some in tried.values()])
        states = {
            i: some[_choose(energy, temperatures[i], streams[i])]
            for (i, some), energy in zip(tried.items(), np.split(energies, ends[:-1]), strict=True)
            if np.isfinite(energy).any()
        }
        visited += [state.at(state.positions, "greedy") for state in states.values()]
    return visited


def _first_atom(bag: Bag, name: str, rng: np.random.Generator) -> Structure:
    heavy = [z for z in bag.numbers if z > 1] or bag.numbers
    return Structure(np.array([rng.choice(heavy)]), np.zeros((1, 3)), "greedy", name)


def _choose(energy: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    share = np.exp(-(energy - np.nanmin(energy)) / temperature)
    share = np.nan_to_num(share)
    return int(rng.choice(len(share), p=share / share.sum()))

"""What a greedy agent builds when a model pays it: the states that training will visit."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from molrl.bags import Bag
from molrl.energy.interface import EnergyModel
from molrl.fitting.data.placements import interaction_energies, placements
from molrl.fitting.data.structures import Structure

_COLDEST, _HOTTEST = 0.03, 3.0  # eV


def greedy_episodes(
    model: EnergyModel,
    bags: Sequence[Bag],
    n_placements: int,
    seed: int,
    guard: float,
) -> list[Structure]:
    """Build each bag atom by atom, each time choosing among random placements by what they pay.

    A placement is chosen with probability exp(-E / T), E its energy by the model; T is drawn once
    an episode, log-uniform from 0.03 to 3 eV, so that there are masters and beginners. An episode
    ends early where the guard leaves no room.

    Args:
        model: what pays.
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
    widths = [np.exp(rng.uniform(np.log(_COLDEST), np.log(_HOTTEST))) for rng in streams]
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
            i: some[_choose(energy, widths[i], streams[i])]
            for (i, some), energy in zip(tried.items(), np.split(energies, ends[:-1]), strict=True)
            if np.isfinite(energy).any()
        }
        visited += [state.at(state.positions, "greedy") for state in states.values()]
    return visited


def _first_atom(bag: Bag, name: str, rng: np.random.Generator) -> Structure:
    heavy = [z for z in bag.numbers if z > 1] or bag.numbers
    return Structure(np.array([rng.choice(heavy)]), np.zeros((1, 3)), "greedy", name)


def _choose(energy: np.ndarray, width: float, rng: np.random.Generator) -> int:
    share = np.exp(-(energy - np.nanmin(energy)) / width)
    share = np.nan_to_num(share)
    return int(rng.choice(len(share), p=share / share.sum()))

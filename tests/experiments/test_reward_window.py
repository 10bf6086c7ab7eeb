"""The benchmark of the default rules: its orders, and what it counts as ended."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from molrl.envs.config import Rules

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

import reward_window as benchmark

ETHANOL = molecule("CH3CH2OH")


def build(order, seed=0):
    numbers, positions = ETHANOL.numbers, ETHANOL.positions
    rows = benchmark.draw_order(numbers, positions, order, np.random.default_rng(seed))
    return rows, benchmark.Episode("shipped", order, numbers[rows], positions[rows])


@pytest.mark.parametrize("order", benchmark.ORDERS)
def test_draw_order_places_every_atom_once_without_breaking_a_rule(order):
    for seed in range(5):
        rows, episode = build(order, seed)
        assert sorted(rows.tolist()) == list(range(len(ETHANOL)))
        assert not episode.clashes(Rules())
        assert not episode.has_far_monovalent(Rules())


def test_draw_order_prefers_what_its_name_says():
    assert (build("heavy first")[1].numbers[:3] > 1).all()
    first = build("hydrogens early")[1].numbers
    n_hydrogens = {6: (2, 3), 8: (1,)}[int(first[0])]
    assert (first[1 : 1 + n_hydrogens[0]] == 1).all()


def test_episode_finds_clashes_and_far_monovalent_atoms():
    _, episode = build("heavy first")
    assert replace(episode, positions=0.5 * episode.positions).clashes(Rules())
    assert replace(episode, positions=2.0 * episode.positions).has_far_monovalent(Rules())
    late = replace(episode, numbers=episode.numbers[::-1], positions=episode.positions[::-1])
    assert late.has_far_monovalent(Rules())


def test_endings_are_counted_by_rule_and_by_the_rightness_of_energies():
    _, episode = build("along bonds")
    rewards, energy = np.full(8, 4.0), np.full(8, -3.0)
    reference = benchmark.Steps(rewards, energy, np.full(8, -np.inf))
    high = np.where(np.arange(8) == 3, 25.0, rewards)
    wrong = benchmark.Steps(high, energy + 0.2, np.full(8, 0.6))
    right = benchmark.Steps(rewards, energy + 0.05, np.full(8, -0.5))
    rules = Rules().resolved(offers_uncertainty=True)
    row = benchmark.endings_row([episode] * 2, [wrong, right], [reference] * 2, rules)
    assert row["ended by max_reward, %"] == row["ended by max_uncertainty, %"] == 50
    assert row["ended by min_reward, %"] == row["ended by clash, %"] == 0
    assert (row["right, %"], row["right ones ended, %"]) == (50, 0)
    assert row["wrong ones ended by max_uncertainty, %"] == 100

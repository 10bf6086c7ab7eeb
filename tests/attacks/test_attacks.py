"""The searches of attacks, on a small shipped model."""

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.attacks.descent import descend
from molrl.attacks.episodes import GuardedCanvases, search_episodes
from molrl.attacks.evolution import evolve
from molrl.attacks.hopping import Walkers, grow, hop
from molrl.attacks.room import Room, is_behind_guard
from molrl.bags import Bag
from molrl.energy import load_energy
from molrl.molecules import MoleculeBatch
from molrl.structures.structure import Structure

GUARD = 0.65


@pytest.fixture(scope="module")
def model():
    return load_energy("mace-small")


def rng():
    return np.random.default_rng(3)


def test_room_push_brings_atoms_behind_the_guard_and_within_reach():
    numbers = torch.tensor([[6] + [1] * 8])
    room = Room.of(numbers, GUARD, reach=1.4)
    start = torch.from_numpy(rng().normal(scale=0.5, size=(1, 9, 3)))
    for scale in (1, 4):
        x, allowed = room.push(scale * start)
        assert allowed.all()
        assert is_behind_guard(numbers[0].numpy(), x[0].numpy(), GUARD)
        assert (x[0].norm(dim=-1) <= room.furthest[0] + 1e-3).all()


def test_room_leaves_padding_aside():
    x = torch.tensor([[[0.0, 0, 0], [1.2, 0, 0], [0, 0, 0]]]).double()
    assert Room.of(torch.tensor([[8, 8, 0]]), GUARD).allows(x).tolist() == [True]
    assert Room.of(torch.tensor([[8, 8, 1]]), GUARD).allows(x).tolist() == [False]


def test_descend_lowers_energies_behind_the_guard_and_beside_padding(model):
    numbers = torch.tensor([[8, 1, 1, 1, 1], [8, 1, 1, 0, 0]])
    x = torch.tensor([[0, 0, 0], [1.2, 0, 0], [-1.2, 0, 0], [0, 1.2, 0], [0, 0, 1.2]]).double()
    x = x.expand(2, -1, -1)
    room = Room.of(numbers, GUARD)
    start, end = (descend(model, numbers, x, room, steps) for steps in (0, 20))
    assert (end.energy < start.energy - 0.1).all()
    found = model.evaluate(MoleculeBatch.from_padded(numbers, end.positions)).energy
    assert found.tolist() == pytest.approx(end.energy.tolist(), abs=1e-3)
    assert room.allows(end.positions).all()


def test_descend_gives_no_energy_to_what_is_not_allowed(model):
    numbers = torch.tensor([[8, 1]])
    x = torch.tensor([[[0, 0, 0], [0.3, 0, 0]]]).double()
    assert descend(model, numbers, x, Room.of(numbers, GUARD), 3).energy.tolist() == [np.inf]


def test_grown_and_hopped_atoms_are_behind_the_guard():
    numbers, random = np.array([8, 6, 6, 1, 1, 1, 1]), rng()
    x = grow(numbers, GUARD, random)
    for _ in range(10):
        x = hop(numbers, x, GUARD, random)
        assert is_behind_guard(numbers, x, GUARD)
    x[1] = x[0] + 0.1
    assert not is_behind_guard(numbers, x, GUARD)


def test_walkers_begin_anew_without_an_energy_and_hop_from_minima():
    walkers = Walkers([Bag("H2O"), Bag("CH4")], GUARD, seed=1)
    first = walkers.start()
    assert [b.formula for b in first.bags()] == ["H2O", "CH4"]
    minima = MoleculeBatch.from_ase([molecule("H2O"), molecule("CH4")])
    walkers.accept(minima, np.array([-1.0, np.nan]))
    water, methane = walkers.start().arrays()
    again = walkers.start().arrays()
    assert not np.allclose(water[1], again[0][1])
    np.testing.assert_array_equal(methane[1], again[1][1])


def test_walkers_go_down_not_far_up_and_begin_anew_where_they_are_told():
    walkers = Walkers([Bag("H2O")], GUARD, seed=1)
    low, high = MoleculeBatch.from_ase(molecule("H2O")), MoleculeBatch.from_ase(molecule("H2O"))
    high.positions[1] *= 1.3
    for ends, energy, left in ((high, 0.0, 0.0), (low, -1.0, -1.0), (high, 50.0, -1.0)):
        walkers.accept(ends, np.array([energy]))
        assert walkers._energy.tolist() == [left]
    walkers.accept(low, np.array([-2.0]), anew=np.array([True]))
    grown, again = (walkers.start().positions for _ in range(2))
    assert torch.equal(grown, again)  # a place to begin at, and no hop from a minimum


def test_evolve_finds_lower_energies_behind_the_guard_and_the_same_again(model):
    numbers = np.array([6, 8, 1, 1])
    start = Structure(numbers, np.array([[0, 0, 0], [1.9, 0, 0], [0, 1.6, 0], [0, 0, 1.6]]), "", "")
    (end,), (again,) = (evolve(model, [start], GUARD, 5) for _ in range(2))
    np.testing.assert_array_equal(end.positions, again.positions)
    energy = [
        float(model.evaluate(MoleculeBatch.from_arrays([(numbers, s.positions)])).energy)
        for s in (start, end)
    ]
    assert energy[1] < energy[0] - 0.5
    assert is_behind_guard(numbers, end.positions, GUARD - 1e-3)
    assert end.kind == "overbound"


def test_searched_episodes_hold_the_bag_behind_the_guard_in_order_of_their_return(model):
    empty = GuardedCanvases.empty(model, GUARD)
    beam = search_episodes(empty, Bag("CH4O"), 3, rng())
    assert Bag(beam.canvases.numbers) == Bag("CH4O")
    best = beam.canvases.positions[0].astype(float)
    assert is_behind_guard(beam.canvases.numbers, best, GUARD - 1e-4)
    molecules = MoleculeBatch.from_arrays([(beam.canvases.numbers, best)])
    energy = model.evaluate(molecules).energy - model.isolated_energy(molecules)
    assert beam.total[0] == pytest.approx(-float(energy), abs=1e-3)
    assert beam.total[0] == beam.total.max()

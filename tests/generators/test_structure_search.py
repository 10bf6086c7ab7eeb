"""Random structure search and basin hopping."""

import numpy as np
import pytest
import torch

from molrl import testing
from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.energy import CountedEnergy, load_energy
from molrl.errors import InputError
from molrl.generation import NotCompleted, load_generator
from molrl.generators.search.generator import FORCE_TOLERANCE, BasinHopping, RandomSearch
from molrl.generators.search.moves import hop
from molrl.generators.search.placement import (
    _close_rings,
    is_apart,
    place_atoms,
    relative_distances,
)
from molrl.generators.search.walkers import HoppingWalker
from molrl.molecules import MoleculeBatch
from molrl.tasks import Instance, parse_task

SEARCHES = [RandomSearch, BasinHopping]
NITRILE = {"kind": "scaffold", "scaffold": "*C#N", "bag": "CH3"}
LINKER = {"kind": "linker", "fragments": ["*C", "*C"], "bag": "CH2"}


@pytest.fixture(scope="module")
def small():
    return load_energy("mace-small")


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_search_keeps_the_contract_of_generators(search, small):
    assert type(load_generator(search.name, energy=small)) is search
    testing.check_generator(search(small))


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_search_counts_every_energy_and_attempt(search, small):
    model = CountedEnergy(small)
    # Few steps, so that some relaxations do not converge.
    made = search(model, max_steps=25).generate("C2H3N", n=4, seed=0)
    assert made.energy_calls == model.evaluations
    starts = list(search(small, max_steps=25).frames("C2H3N", n=4, seed=0))[::2]
    assert made.attempts == sum(map(len, starts)) > 4
    assert (made.network_calls, made.returns) == (0, None)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_search_finds_molecules_at_minima(search, small):
    made = search(small).generate("C2H6O", n=3, seed=1)
    assert validity(made.molecules).valid.all()
    forces = small.evaluate(made.molecules, forces=True).forces
    assert forces.norm(dim=-1).max() <= 1.01 * FORCE_TOLERANCE


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
@pytest.mark.parametrize("task", [NITRILE, LINKER], ids=["scaffold", "linker"])
def test_search_keeps_fixed_atoms_where_they_are(search, task, small):
    made = search(small).generate(task, n=2, seed=0)
    fixed = parse_task(task).instance.fixed
    for numbers, positions in made.molecules.arrays():
        assert numbers[: len(fixed)].tolist() == fixed.numbers.tolist()
        assert np.array_equal(positions[: len(fixed)], fixed.positions)
    assert set(validity(made.molecules).smiles) <= {"CC#N", "[C-]#[N+]C", "CCC"}


def test_random_search_makes_each_molecule_by_itself(small):
    search = RandomSearch(small)
    few, many = (search.generate("CH4O", n, seed=3).molecules for n in (1, 3))
    assert torch.allclose(few.positions, many[0].positions, atol=1e-2)


def test_random_search_draws_a_bag_for_each_molecule(small):
    task = {"kind": "bags", "bags": ["H2O", "CH4"], "held_out": []}
    bags = RandomSearch(small).generate(task, n=6, seed=0).molecules.bags()
    assert set(bags) == {Bag("H2O"), Bag("CH4")}


@pytest.mark.parametrize(
    ("search", "task", "said"),
    [
        (RandomSearch, "CH3", "CH3 with charge 0 is none"),
        (RandomSearch, "CH6", "CH6 has no closed-shell molecule"),
        (RandomSearch, {"kind": "cluster"}, "do not bond to each other"),
        (RandomSearch, {"kind": "shape"}, "fills no shape"),
        (BasinHopping, {"kind": "bags"}, "draws bags; use random-search"),
    ],
)
def test_search_refuses_what_it_cannot_make(search, task, said, small):
    with pytest.raises(InputError, match=said):
        search(small).generate(task, n=1, seed=0)


def test_search_refuses_a_charge_that_the_model_does_not_take(small):
    with pytest.raises(InputError, match="use gfn2"):
        RandomSearch(small, charge=1)


def test_search_finds_an_ion():
    made = RandomSearch("gfn2", charge=1).generate("H4N", n=1, seed=0)
    assert made.molecules.charge.tolist() == [1]
    assert validity(made.molecules).smiles == ["[NH4+]"]


def test_search_ends_with_the_reason_when_attempts_are_used_up(small):
    with pytest.raises(NotCompleted, match="101 times: the relaxation did not converge"):
        RandomSearch(small, max_steps=1).generate("H2O", n=1, seed=0)


def test_place_atoms_keeps_separations_and_composition():
    for formula in ("C4H7N", "C7H10O2", "F6S"):
        for seed in range(5):
            made = place_atoms(Instance(Bag(formula)), np.random.default_rng(seed))
            assert Bag(made.numbers.tolist()) == Bag(formula)
            assert is_apart(made.numbers, made.positions, 0.7)
            nearest = relative_distances(made.numbers, made.positions).min(-1)
            assert (nearest <= 1.3).all()


def test_place_atoms_finds_room_for_any_atoms():
    far = {"kind": "linker", "fragments": ["*C", "*C"], "gap": 19.0, "bag": "CH2"}
    for instance in (parse_task(far).instance, Instance(Bag("CsH")), Instance(Bag("XeF8"))):
        made = place_atoms(instance, np.random.default_rng(0))
        assert len(made.numbers) == instance.n_atoms


@pytest.mark.parametrize("formula", ["C6", "S8", "CO2", "C4N2"])
def test_place_atoms_pairs_valences_where_no_atom_is_monovalent(formula, monkeypatch):
    closed = []

    def close(x, *others):
        closed.append(len(x))
        return _close_rings(x, *others)

    monkeypatch.setattr("molrl.generators.search.placement._close_rings", close)
    bag = Bag(formula)
    place_atoms(Instance(bag), np.random.default_rng(0))
    assert closed
    assert set(closed) == {bag.n_atoms}


def test_place_atoms_leaves_few_valences_open():
    instance, rng = Instance(Bag("C4H7N")), np.random.default_rng(0)
    batch = MoleculeBatch.from_arrays(
        (made.numbers, made.positions) for made in (place_atoms(instance, rng) for _ in range(50))
    )
    assert (validity(batch).n_fragments == 1).mean() > 0.9
    assert validity(batch).valid.mean() > 0.5


def test_hop_moves_what_is_not_fixed_and_nothing_else():
    rng = np.random.default_rng(0)
    start = place_atoms(parse_task(NITRILE).instance, rng)
    for _ in range(50):
        moved = hop(start, rng)
        assert np.array_equal(moved.positions[: start.n_fixed], start.positions[: start.n_fixed])
        assert not np.array_equal(moved.positions, start.positions)
        assert is_apart(moved.numbers, moved.positions, 0.65)


def test_hopping_walker_goes_down_and_seldom_far_up():
    instance, rng = Instance(Bag("H2O")), np.random.default_rng(0)
    low, high = (place_atoms(instance, rng) for _ in range(2))
    walker = HoppingWalker(instance, rng, temperature=0.1)
    walker.accept(high, 1.0)
    walker.accept(low, 0.0)
    walker.accept(high, 5.0)
    assert torch.equal(walker.tensors()["positions"], torch.from_numpy(low.positions))
    assert walker.state()["energy"] == 0.0

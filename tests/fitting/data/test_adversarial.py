from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from molrl.bags import Bag
from molrl.chemistry.molecule_set import split_of
from molrl.energy import load_energy
from molrl.energy.interface import EnergyModel
from molrl.fitting.data.adversarial import half_built_molecules, placement_attack
from molrl.fitting.data.episodes import greedy_episodes
from molrl.fitting.data.placements import interaction_energies
from molrl.neighbors import neighbor_pairs


class Hole(EnergyModel):
    """GFN2-xTB with a hole: molecules with two atoms closer than 0.6 Å have -10,000 eV."""

    name = "hole"
    hash = "hole"

    def __init__(self):
        self._inner = load_energy("gfn2")
        self.elements = (1, 6, 7, 8)

    def _evaluate(self, molecules, wanted):
        out = self._inner._evaluate(molecules, wanted)
        pairs = neighbor_pairs(molecules.positions, molecules.n_atoms, 0.6)
        holed = molecules.molecule[pairs[0]].unique()
        energy = out.energy.index_fill(0, holed, -1e4)
        return replace(out, energy=energy, failures={})


@pytest.fixture(scope="module")
def reference():
    return load_energy("gfn2")


def test_placement_attack_on_the_reference_finds_no_error(reference):
    report = placement_attack(reference, reference, 6, 20, seed=0)
    assert len(report.errors) + report.failed == 6
    assert np.abs(report.errors).max() < 1e-6


def test_placement_attack_finds_a_hole_unless_guarded(reference):
    open_ = placement_attack(Hole(), reference, 6, 60, seed=0, guard=0.0)
    assert open_.summary()["worst_error"] < -100
    assert open_.summary()["overbound_share"] > 0.5
    guarded = placement_attack(Hole(), reference, 6, 60, seed=0, guard=0.65)
    assert guarded.summary()["mean_absolute_error"] < open_.summary()["mean_absolute_error"]


def test_placement_attack_repeats_with_its_seed(reference):
    a = placement_attack(reference, reference, 4, 20, seed=3)
    b = placement_attack(reference, reference, 4, 20, seed=3)
    assert [s.identity for s in a.structures] == [s.identity for s in b.structures]
    for x, y in zip(a.structures, b.structures, strict=True):
        np.testing.assert_allclose(y.positions, x.positions, rtol=0, atol=1e-6)


def test_placement_attack_puts_the_lowest_energy_first(reference):
    report = placement_attack(reference, reference, 4, 30, seed=1)
    energies = interaction_energies(reference, report.structures)
    by_molecule = {}
    for structure, energy in zip(report.structures, energies, strict=True):
        by_molecule.setdefault(structure.identity, []).append(energy)
    for best, *others in by_molecule.values():
        assert all(best <= other for other in others)


@pytest.mark.parametrize("split", ["train", "test"])
def test_half_built_molecules_keep_to_their_split(split):
    starts = half_built_molecules(12, seed=0, split=split)
    assert len({start.identity for start in starts}) == 12
    assert all(split_of(start.identity) == split for start in starts)


def test_greedy_episodes_build_the_bag_atom_by_atom(reference):
    bags = [Bag("H2O"), Bag("CH2O"), Bag("NH3")]
    states = greedy_episodes(reference, bags, n_placements=40, seed=0, guard=0.65)
    for bag in bags:
        own = [s for s in states if s.identity.startswith(f"walk:{bag.formula}:")]
        assert [len(s) for s in own] == list(range(2, bag.n_atoms + 1))
        assert Bag(own[-1].numbers) == bag
        for before, after in pairwise(own):
            assert np.array_equal(after.positions[:-1], before.positions)

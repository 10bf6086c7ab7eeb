from dataclasses import replace

import numpy as np
import pytest
from ase.data import covalent_radii

from molrl.energy import load_energy
from molrl.fitting.active.gradient_attack import descend, gradient_attack, gradient_search
from molrl.fitting.data.adversarial import half_built_molecules, random_placements
from molrl.fitting.data.placements import FLOOR, interaction_energies
from molrl.structures.structure import Structure


@pytest.fixture(scope="module")
def model():
    return load_energy("mace")


@pytest.fixture(scope="module")
def molecules():
    return half_built_molecules(10, seed=0, split="test")


@pytest.fixture(scope="module")
def placed(molecules):
    """A few random placements on each molecule, in one list."""
    _, tried = random_placements(molecules, 4, seed=0, guard=0.65)
    return [structure for some in tried for structure in some]


def nearest(structure):
    """The smallest distance of the last atom in Å, and as a share of the radii's sum."""
    gaps = np.linalg.norm(structure.positions[:-1] - structure.positions[-1], axis=-1)
    radii = covalent_radii[structure.numbers[:-1]] + covalent_radii[structure.numbers[-1]]
    return gaps.min(), (gaps / radii).min()


def test_descend_finds_lower_energies_than_as_many_random_placements(model, molecules):
    _, tried = random_placements(molecules, 40, seed=1, guard=0.65)
    random = np.array([interaction_energies(model, some).min() for some in tried])
    search = gradient_search(model, molecules, 4, seed=1, guard=0.65)
    found = interaction_energies(model, [some[0] for some in search.picks])
    assert (found - random).mean() < -0.3


@pytest.mark.parametrize("guard", [0.65, 0.0])
def test_descend_never_ends_higher_nor_inside_the_guard(model, placed, guard):
    ends = descend(model, placed, guard)
    before, after = interaction_energies(model, placed), interaction_energies(model, ends)
    assert (after <= before + 1e-4).all()
    assert (after < before - 0.1).mean() > 0.8
    for start, end in zip(placed, ends, strict=True):
        gap, share = nearest(end)
        assert gap >= FLOOR - 1e-9
        assert share >= guard - 1e-9
        assert np.array_equal(start.positions[:-1], end.positions[:-1])


# GFN2-xTB is in float64: what float32 rounds off grows along a way that slides and turns.
def test_descend_of_a_batch_is_that_of_each_structure(placed):
    model = load_energy("gfn2")
    together = descend(model, placed[:6], 0.65)
    for start, end in zip(placed[:6], together, strict=True):
        (alone,) = descend(model, [start], 0.65)
        assert np.allclose(alone.positions, end.positions, atol=1e-2)


def test_descend_turns_with_the_molecule(placed):
    from scipy.spatial.transform import Rotation

    model = load_energy("gfn2")
    turn = Rotation.random(rng=np.random.default_rng(0)).as_matrix()
    ends = descend(model, placed[:6], 0.65)
    turned = descend(model, [s.at(s.positions @ turn.T, s.kind) for s in placed[:6]], 0.65)
    for a, b in zip(ends, turned, strict=True):
        assert np.allclose(a.positions @ turn.T, b.positions, atol=1e-2)


def test_gradient_attack_reports_as_the_placement_attack_does(model):
    report = gradient_attack(model, load_energy("gfn2"), 4, 2, seed=3)
    assert len(report.errors) + report.failed == 4
    assert set(report.summary()) >= {"mean_error", "worst_error", "overbinding_99"}
    assert {s.kind for s in report.structures} == {"adversarial"}


def test_descend_follows_the_energy_of_the_charge():
    hydrogen = Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 0.9]]), "placed", "[H][H]")
    both = [hydrogen, replace(hydrogen, charge=1)]
    neutral, cation = descend(load_energy("gfn2"), both, 0.3)
    assert nearest(neutral)[0] < 0.85 < 0.95 < nearest(cation)[0]
    assert cation.charge == 1

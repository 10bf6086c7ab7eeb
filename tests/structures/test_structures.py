from dataclasses import replace

import numpy as np
import pytest
from ase.data import covalent_radii
from hypothesis import given, settings
from hypothesis import strategies as st

from molrl.bags import Bag
from molrl.chemistry.enumeration import random_molecules
from molrl.chemistry.identity import canonical_smiles
from molrl.molecules import MoleculeBatch
from molrl.structures.build import build_random_walk, make_pair, place_atom, take_prefix
from molrl.structures.distort import place_beside, press_together, pull_apart, rattle, strain, twist
from molrl.structures.structure import NEAREST, Structure, distances, find_bonds

MOLS = random_molecules(30, seed=5)
WHOLE = [
    Structure(numbers, positions, "relaxed", canonical_smiles(mol))
    for mol, (numbers, positions) in zip(MOLS, MoleculeBatch.from_rdkit(MOLS).arrays(), strict=True)
]
whole = st.sampled_from([s for s in WHOLE if len(s) > 3])
streams = st.integers(0, 10_000).map(np.random.default_rng)
fast = settings(max_examples=40, deadline=None)


def in_one_piece(structure):
    reached = np.eye(len(structure), dtype=bool)[0]
    for _ in range(len(structure)):
        reached |= find_bonds(structure)[reached].any(0)
    return reached.all()


def nearest_share(structure):
    """The smallest distance as a share of the sum of covalent radii."""
    radii = covalent_radii[structure.numbers]
    return (distances(structure.positions) / (radii[:, None] + radii)).min()


@fast
@given(whole, streams)
def test_take_prefix_gives_a_connected_part(structure, rng):
    prefix = take_prefix(structure, rng)
    assert 2 <= len(prefix) < len(structure)
    assert prefix.identity == structure.identity
    gaps = np.linalg.norm(prefix.positions[:, None] - structure.positions, axis=-1)
    atoms = gaps.argmin(1)
    assert (gaps.min(1) == 0).all()
    assert len(set(atoms.tolist())) == len(prefix)
    assert np.array_equal(structure.numbers[atoms], prefix.numbers)
    assert in_one_piece(prefix)


def test_take_prefix_gives_all_sorts():
    methanol = next(s for s in WHOLE if s.identity == "CO")
    rng = np.random.default_rng(0)
    seen = {Bag(take_prefix(methanol, rng).numbers).formula for _ in range(300)}
    assert {"CO", "CH", "HO", "CHO", "CH2", "CH3", "CH3O", "CH2O"} <= seen


@fast
@given(whole, streams, st.sampled_from([1, 6, 7, 8]), st.sampled_from([0.65, 0.5]))
def test_place_atom_keeps_the_guard(structure, rng, number, guard):
    prefix = take_prefix(structure, rng)
    more = place_atom(prefix, number, rng, guard)
    if more is None:
        return
    assert len(more) == len(prefix) + 1
    assert np.array_equal(more.positions[:-1], prefix.positions)
    gaps = np.linalg.norm(more.positions[:-1] - more.positions[-1], axis=-1)
    radii = covalent_radii[prefix.numbers] + covalent_radii[number]
    assert (gaps >= guard * radii - 1e-9).all()
    assert gaps.min() <= 2.5 + 1e-9


@fast
@given(st.sampled_from(["CH4O", "C2H6O", "NH3", "CO2", "C3H5NO3"]), streams)
def test_build_random_walk_keeps_the_guard_and_the_bag(formula, rng):
    bag = Bag(formula)
    built = build_random_walk(bag.numbers, "walk:0", rng, guard=0.65)
    assert 1 <= len(built) <= bag.n_atoms
    assert all(bag[z] >= n for z, n in Bag(built.numbers).items())
    assert built.numbers[0] > 1
    if len(built) > 1:
        assert nearest_share(built) >= 0.65 - 1e-9


@fast
@given(whole, streams)
def test_press_together_moves_one_atom_close_to_another(structure, rng):
    pressed = press_together(structure, rng)
    if pressed is None:
        return
    moved = (pressed.positions != structure.positions).any(-1)
    assert moved.sum() == 1
    assert distances(pressed.positions).min() > NEAREST - 1e-9
    assert nearest_share(pressed) <= 0.98 + 1e-9


@fast
@given(whole, streams)
def test_pull_apart_keeps_the_shape_of_the_pieces(structure, rng):
    apart = pull_apart(structure, rng)
    if apart is None:
        return
    before, after = distances(structure.positions), distances(apart.positions)
    same = np.isclose(before, after) | np.isinf(before)
    sides = np.unique(same, axis=0)
    assert len(sides) == 2
    assert (sides.sum(0) == 1).all()


@fast
@given(whole, streams)
def test_twist_keeps_bond_lengths(structure, rng):
    turned = twist(structure, rng)
    if turned is None:
        return
    bonded = find_bonds(structure)
    before, after = distances(structure.positions), distances(turned.positions)
    assert np.allclose(before[bonded], after[bonded])
    assert (np.isclose(before, after) | np.isinf(before)).mean() > 0.3  # the sides keep their shape


@fast
@given(whole, whole, streams)
def test_place_beside_does_not_overlap(a, b, rng):
    both = place_beside(a, b, rng)
    between = distances(both.positions)[: len(a), len(a) :]
    assert 1.2 - 1e-9 <= between.min() <= 5.2 + 1e-9
    assert np.allclose(distances(both.positions[len(a) :]), distances(b.positions))


@fast
@given(whole, streams, st.floats(0.02, 0.3))
def test_rattle_moves_by_about_the_width(structure, rng, width):
    moved = rattle(structure, rng, width, "distorted").positions - structure.positions
    assert 0.3 * width < moved.std() < 2 * width


@fast
@given(whole, streams, st.floats(0.001, 0.1))
def test_strain_stretches_by_its_size_at_most(structure, rng, size):
    moved = strain(structure, rng, size, "distorted")
    pairs = np.triu_indices(len(structure), 1)
    shares = distances(moved.positions)[pairs] / distances(structure.positions)[pairs]
    assert np.abs(shares - 1).max() <= size + 1e-9
    assert not np.allclose(shares, 1, rtol=1e-5)


def test_make_pair_is_named_by_elements_and_distance():
    structure = make_pair([8, 6], 1.25)
    assert structure.numbers.tolist() == [6, 8]
    assert distances(structure.positions)[0, 1] == pytest.approx(1.25)
    assert structure.identity == make_pair([6, 8], 1.25).identity


def test_structure_carries_its_parts():
    methanol = next(s for s in WHOLE if s.identity == "CO")
    both = replace(methanol, part=np.array([0, 0, 1, 1, 1, 1]))
    assert both.at(both.positions + 1.0, "moved").part is both.part
    assert both.only([5, 0], "half-built").part.tolist() == [1, 0]
    more = both.plus(np.array([1]), np.full((1, 3), 9.0), "placed")
    assert more.part.tolist() == [0, 0, 1, 1, 1, 1, 2]
    assert methanol.plus(np.array([1]), np.full((1, 3), 9.0), "placed").part is None

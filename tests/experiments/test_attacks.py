"""The parts of the benchmarks of attacks and interactions, on cases with known results."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from molrl.attacks.episodes import search_episodes
from molrl.bags import Bag
from molrl.energy import load_energy
from molrl.molecules import MoleculeBatch

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from energy_torsions import STRETCHES, bond_error, find, torsion_row
from hacked_episodes import EnvCanvases, actions_of, design_env, endings, honest_actions, replay
from isomers import BestIsomer
from kept_rows import KeptRows
from packing import packed, placed
from reference_or_bound import Reference, gfn2_or_bound
from reward_hacking import summary
from side_by_side import interactions, summary_rows

ETHANE = ("C-C", "[CH3:1][CH3:2]")


@pytest.fixture(scope="module")
def mace():
    return load_energy("mace")


@pytest.fixture(scope="module")
def ethane():
    return find([ETHANE], load_energy("gfn2"))[0]


def rng():
    return np.random.default_rng(3)


def test_interactions_are_zero_between_molecules_out_of_reach(mace):
    water = molecule("H2O")
    far = water.copy()
    far.positions += 20
    near = water.copy()
    near.positions += [0, 0, 2.6]
    found = interactions(mace, [water + far, water + near], [[3, 3], [3, 3]])
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert abs(found[1]) > 0.01


def test_placed_molecule_has_its_nearest_atom_at_the_distance():
    fixed, moved = molecule("C6H6"), molecule("CH3OH")
    way = np.array([0.6, 0.0, 0.8])
    out = placed(fixed, moved, way, 2.5)
    gaps = np.linalg.norm(out.positions[:, None] - fixed.positions, axis=-1)
    assert gaps.min() == pytest.approx(2.5)


def test_packed_molecules_touch_and_keep_their_shapes():
    water = molecule("H2O")
    cluster = packed([water] * 5, rng())
    distances = cluster.get_all_distances()
    between = distances + 100 * np.kron(np.eye(5), np.ones((3, 3)))
    assert between.min() == pytest.approx(2.1)
    assert distances[:3, :3] == pytest.approx(water.get_all_distances())


def test_rotated_bond_turns_one_side_only(ethane):
    first, second = ethane.ends
    turned = ethane.rotated(60)
    assert turned.positions[~ethane.moved] == pytest.approx(ethane.atoms.positions[~ethane.moved])
    assert turned.get_distance(first, second) == pytest.approx(
        ethane.atoms.get_distance(first, second)
    )
    assert ethane.rotated(120).get_all_distances().sum() != pytest.approx(
        turned.get_all_distances().sum()
    )


def test_stretched_bond_has_its_length_and_rigid_sides(ethane):
    first, second = ethane.ends
    longer = ethane.stretched(1.2)
    length = ethane.atoms.get_distance(first, second)
    assert longer.get_distance(first, second) == pytest.approx(1.2 * length)
    side = np.flatnonzero(ethane.moved)
    assert longer[side].get_all_distances() == pytest.approx(ethane.atoms[side].get_all_distances())


def test_bond_of_a_ring_is_refused():
    with pytest.raises(ValueError, match="ring"):
        find([("ring", "[CH2:1]1[CH2:2]C1")], load_energy("gfn2"))


def test_torsion_minimum_counts_where_symmetry_makes_it_equal():
    right = 0.2 * (1 - np.cos(np.deg2rad(2 * np.arange(0, 360, 10))))  # minima at 0 and 180
    shifted = np.roll(right, 18) + 1e-3 * np.abs(np.arange(36) - 18)
    row = torsion_row({"gfn2": right, "model": shifted}, "model")
    assert row["minimum"]
    assert row["error"] == pytest.approx(np.ptp(shifted) - 0.4)
    wrong = torsion_row({"gfn2": right, "model": -right}, "model")
    assert not wrong["minimum"]


def test_bond_error_is_relative_to_the_length():
    right = (STRETCHES - 1) ** 2
    assert bond_error({"gfn2": right, "model": right + 7}, "model") == pytest.approx(0)
    assert bond_error({"gfn2": right, "model": 2 * right}, "model") > 0


def test_episode_searched_in_the_environment_is_replayed_with_its_return(mace):
    env = design_env("CH4", mace)
    env.reset(seed=0)
    found = search_episodes(EnvCanvases(env, env.state), Bag("CH4"), 3, rng())
    steps = zip(found.numbers, found.placements[0], strict=True)
    actions = np.concatenate([actions_of(env, z, step[None]) for z, step in steps])
    returned, reason, _ = replay(env, actions)
    assert reason == "complete"
    assert returned == pytest.approx(found.total[0], abs=1e-3)


def test_honest_episode_of_ethanol_is_complete(mace):
    ethanol = molecule("CH3CH2OH")
    found = [endings(mace, [ethanol] * 3, np.random.default_rng(seed)) for seed in range(2)]
    assert [dict(one) for one in found] == [{"complete": 3}] * 2


def test_honest_actions_rebuild_the_molecule(mace):
    water = molecule("H2O")
    env = design_env("H2O", mace)
    actions = honest_actions(env.elements, water, np.array([[0, 1], [0, 2]]), rng())
    _, reason, canvas = replay(env, actions)
    assert reason == "complete"
    built = canvas.to_ase()[0]
    assert sorted(built.get_all_distances().ravel()) == pytest.approx(
        sorted(water.get_all_distances().ravel()), abs=1e-5
    )


def test_summary_rows_have_a_column_for_each_model():
    rows = summary_rows({"old": {"MAE": 2.0}, "new": {"MAE": 1.0}}, {"MAE": "<= 1"})
    assert rows == [{"figure": "MAE", "target": "<= 1", "old": 2.0, "new": 1.0}]


def test_reference_knows_no_error_above_a_bound():
    found = Reference(np.array([-5.0, -5.0, -5.0, np.nan]), np.array([False, True, True, False]))
    energy = np.array([-3.0, -3.0, -9.0, -9.0])
    assert found.error(energy) == pytest.approx([2, 0, -4, np.nan], nan_ok=True)
    # Above -6, both the energy and the bounds refute; above -4, the claim below its bound does.
    assert found.refutes(energy, -6.0).all()
    assert found.refutes(energy, -4.0).tolist() == [False, False, True, True]


def test_gfn2_or_bound_marks_what_does_not_converge():
    apart = Atoms("CH", [[0, 0, 0], [0, 0, 3.5]])
    found = gfn2_or_bound(MoleculeBatch.from_ase([molecule("H2O"), apart]))
    assert found.bound.tolist() == [False, True]
    assert np.isfinite(found.energy).all()


def test_best_isomer_return_is_that_of_its_energy(mace):
    best = BestIsomer.of(mace, "C2H6O")
    ethanol = MoleculeBatch.from_ase(molecule("CH3CH2OH"))
    assert best.reward == pytest.approx(float(mace.isolated_energy(ethanol)[0]) - best.energy)
    assert best.energy <= float(mace.evaluate(ethanol).energy[0])


def test_kept_rows_are_made_once(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return [{"bag": "CH4O", "hacked": 0, "above": None}]

    path = tmp_path / "runs" / "rows.jsonl"
    first = KeptRows(path).get("hash episodes CH4O", make)
    assert KeptRows(path).get("hash episodes CH4O", make) == first
    assert len(calls) == 1
    KeptRows(path).get("hash episodes C2H6O", make)
    assert len(calls) == 2


def test_summary_of_attacks_has_only_what_was_measured():
    rows = [{"false": 1, "false with the default rules": 0, "relaxations": 50}]
    assert summary({"minima": rows, "crowds": []}) == {
        "minima: false, %": 2.0,
        "minima: false with the default rules": 0,
    }

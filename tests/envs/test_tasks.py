"""Tasks besides the single bag: initial state, options, invalid input and reward."""

import gymnasium as gym
import numpy as np
import pytest

from molrl.bags import Bag, is_closed_shell
from molrl.chemistry.fragments import load_fragment
from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.files import write_extxyz
from molrl.molecules import MoleculeBatch


def make(task, energy, **config):
    return MolDesignEnv(task={"kind": task}, energy=energy, **config)


def bag_of(env, obs):
    counts = zip(env.elements, obs["bag"].tolist(), strict=True)
    return Bag(dict(counts)).formula


def episodes(env, n, **options):
    env.reset(seed=3)
    return [bag_of(env, env.reset(options=options or None)[0]) for _ in range(n)]


class TestBags:
    BAGS = ("CH4", "CH2O", "H2O", "CHN")

    def test_bags_are_drawn_uniformly(self, morse):
        drawn = episodes(make("bags", morse(), bags=self.BAGS, held_out=[]), 400)
        counts = [drawn.count(bag) for bag in self.BAGS]
        assert sum(counts) == 400
        assert min(counts) > 70

    def test_cycled_bags_come_in_turn_from_a_random_one(self, morse):
        env = make("bags", morse(), bags=self.BAGS, order="cycled")
        drawn = episodes(env, 8)
        assert drawn[:4] == drawn[4:]
        at = self.BAGS.index(drawn[0])
        assert drawn[:4] == [*self.BAGS[at:], *self.BAGS[:at]]
        starts = {bag_of(env, env.reset(seed=seed)[0]) for seed in range(40)}
        assert starts == set(self.BAGS)

    def test_cycled_bags_differ_between_environments(self, morse):
        envs = MolDesignVectorEnv(
            16, task={"kind": "bags"}, energy=morse(), bags=self.BAGS, order="cycled", held_out=[]
        )
        assert len({tuple(bag) for bag in envs.reset(seed=0)[0]["bag"].tolist()}) > 1

    def test_held_out_bags_are_drawn_only_by_option(self, morse):
        env = make("bags", morse(), bags=self.BAGS, held_out=["C2H6", "C2H2"])
        assert set(episodes(env, 60)) == set(self.BAGS)
        assert set(episodes(env, 60, held_out=True)) == {"C2H6", "C2H2"}
        assert bag_of(env, env.reset(options={"bag": "C3H4"})[0]) == "C3H4"

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"bags": []}, "at least 1"),
            ({"bags": ["CH4", "Hx"]}, "Hx"),
            ({"bags": ["CH4", "H2"]}, "no heavy atom"),
            ({"bags": ["CH4"], "held_out": ["CH4"]}, "in both bags and held_out"),
            ({"bags": ["CH4"], "held_out": ["SiH4"], "elements": ["H", "C"]}, "holds Si"),
            ({"order": "shuffled"}, "order"),
        ],
    )
    def test_bags_refuse_bad_configs(self, config, message, morse):
        with pytest.raises(InputError, match=message):
            make("bags", morse(), **config)

    def test_bags_refuse_bad_options(self, morse):
        env = make("bags", morse(), bags=self.BAGS, held_out=[])
        for options, message in [
            ({"held_out": True}, "no bags are held out"),
            ({"hold_out": True}, "did you mean 'held_out'"),
        ]:
            with pytest.raises(InputError, match=message):
                env.reset(options=options)


class TestStochasticBag:
    def test_stochastic_bags_have_all_sizes_and_are_closed_shell(self, morse):
        env = make("stochastic", morse(), reference="C2H4NF", min_size=4, max_size=6)
        drawn = [Bag(bag) for bag in episodes(env, 300)]
        assert {bag.n_atoms for bag in drawn} == {4, 5, 6}
        assert all(is_closed_shell(bag) for bag in drawn)
        assert {z for bag in drawn for z in bag} == {1, 6, 7, 9}

    def test_stochastic_bags_use_the_generator_of_the_environment(self, morse):
        env = make("stochastic", morse())
        first = episodes(env, 20)
        np.random.seed(0)  # noqa: NPY002 - the global generator must not matter
        assert episodes(env, 20) == first
        env.reset(seed=4)
        assert [bag_of(env, env.reset()[0]) for _ in range(20)] != first

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"min_size": 6, "max_size": 5}, "min_size 6 and max_size 5"),
            ({"max_size": 26}, "at most canvas_size 25"),
            ({"reference": "CH4", "min_size": 2, "max_size": 2}, "is a closed-shell"),
            ({"reference": "SiH4"}, "does not know Si"),
            ({"reference": "C8H17F", "elements": ["H", "C"]}, "holds F"),
        ],
    )
    def test_stochastic_bag_refuses_bad_configs(self, config, message, morse):
        with pytest.raises(InputError, match=message):
            make("stochastic", morse(), **config)


class TestCluster:
    def test_cluster_refills_the_bag_until_all_are_placed(self, morse):
        env = make("cluster", morse(depth=0.1), n_solvent=3)
        obs, info = env.reset(seed=0)
        assert obs["numbers"].tolist()[:5] == [6, 8, 1, 1, 0]
        assert info["n_atoms"] == 4
        assert obs["refills"].tolist() == [2]
        reasons, refills = [], []
        for molecule in range(3):
            for i, element in enumerate((3, 0, 0)):
                shift = [2.5, 0, 0] if i == 0 else [0.3, 0.93 * (-1) ** i, 0]
                focus = (1 if molecule == 0 else 4 + 3 * (molecule - 1)) if i == 0 else -1
                focus = focus if focus >= 0 else 4 + 3 * molecule
                obs, _, _, _, info = env.step(np.array([focus, element, *shift], np.float32))
                reasons.append(info["reason"])
                refills.append(obs["refills"].item())
                assert env.observation_space.contains(obs)
        assert reasons == [""] * 8 + ["complete"]
        assert refills == [2, 2, 1, 1, 1, 0, 0, 0, 0]

    def test_cluster_distance_is_measured_from_the_solute(self, morse):
        env = make("cluster", morse(depth=0.0), solute="CC")
        obs, _ = env.reset()
        solute = obs["positions"][:8].copy()
        obs, reward, _, _, info = env.step(np.array([0, 3, 1.9, 1.8, 2.1], np.float32))
        nearest = np.linalg.norm(solute - obs["positions"][8], axis=1).min()
        assert info["reward_distance"] == pytest.approx(-0.272 * nearest, rel=1e-6)
        assert reward == pytest.approx(info["reward_distance"] + info["reward_energy"])
        assert info["reward_energy"] == pytest.approx(0.0, abs=1e-9)

    def test_cluster_options_set_solute_and_solvent(self, morse, tmp_path):
        water = load_fragment("O")
        write_extxyz(
            tmp_path / "water.extxyz",
            MoleculeBatch.from_arrays([(water.numbers, water.positions + 7.0)]),
        )
        env = make("cluster", morse())
        obs, _ = env.reset(options={"solute": str(tmp_path / "water.extxyz"), "bag": "H3N"})
        assert obs["numbers"].tolist()[:4] == [8, 1, 1, 0]
        np.testing.assert_allclose(obs["positions"][:3].mean(0), 0.0, atol=1e-6)
        assert bag_of(env, obs) == "H3N"
        assert env.reset()[0]["numbers"].tolist()[:5] == [6, 8, 1, 1, 0]

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"n_solvent": 8}, "the canvas takes 2"),
            ({"n_solvent": 0}, "n_solvent"),
            ({"solute": "C(("}, "invalid SMILES"),
            ({"solute": "nowhere.extxyz"}, "does not exist"),
            ({"solute": ""}, "a SMILES or the name of a file"),
            ({"solute": "[SiH4]"}, "does not know Si, which is among the fixed atoms"),
        ],
    )
    def test_cluster_refuses_bad_configs(self, config, message, morse):
        with pytest.raises(InputError, match=message):
            make("cluster", morse(), **config)


class TestScaffoldAndLinker:
    def test_scaffold_return_is_the_binding_energy(self, rebuild):
        toluene = load_fragment("*C")
        env = gym.make("MolDesignScaffold-v0", scaffold="*C", bag="CH3", energy="gfn2")
        _, info = env.reset()
        model = env.unwrapped.energy_model
        scaffold = MoleculeBatch.from_arrays([(toluene.numbers, toluene.positions)])
        assert info["energy"] == pytest.approx(model.evaluate(scaffold).energy.item(), abs=1e-3)
        ((atom, outwards),) = toluene.ends
        carbon = toluene.positions[atom] + 1.53 * outwards
        side = np.cross(outwards, [0.3, 0.5, 0.8])
        side /= np.linalg.norm(side)
        other = np.cross(outwards, side)
        hydrogens = [
            carbon + 0.36 * outwards + 1.03 * (np.cos(a) * side + np.sin(a) * other)
            for a in (0.3, 0.3 + 2.0944, 0.3 + 4.1888)
        ]
        rewards, reason = rebuild(env, [6, 1, 1, 1], [carbon, *hydrogens])
        assert reason == "complete"
        assert 15 < sum(rewards) < 25  # a C-C bond and three C-H bonds

    @pytest.mark.parametrize(
        ("kind", "n_fixed"), [("scaffold", 11), ("linker", 13), ("bags", None)]
    )
    def test_observation_counts_fixed_atoms(self, morse, kind, n_fixed):
        obs, _ = make(kind, morse()).reset(seed=0)
        count = obs["n_fixed"].tolist() if "n_fixed" in obs else None
        assert count == (None if n_fixed is None else [n_fixed])
        assert n_fixed in {None, np.count_nonzero(obs["numbers"])}

    def test_scaffold_does_not_move(self, morse, build):
        env, rng = make("scaffold", morse()), np.random.default_rng(0)
        start, _ = env.reset(seed=0)
        obs, ended = start, False
        while not ended:
            obs, _, ended, _, _ = env.step(build(rng, obs))
            np.testing.assert_array_equal(obs["numbers"][:11], start["numbers"][:11])
            np.testing.assert_array_equal(obs["positions"][:11], start["positions"][:11])

    def test_linker_open_valences_point_at_each_other_across_the_gap(self, morse):
        env = make("linker", morse(), fragments=["*C", "*C"], gap=2.6)
        obs, _ = env.reset()
        assert obs["numbers"].tolist()[:9] == [6, 1, 1, 1, 6, 1, 1, 1, 0]
        first, second = obs["positions"][[0, 4]]
        np.testing.assert_allclose(second - first, [2.6, 0, 0], atol=1e-5)
        for carbon, hydrogens, side in [(first, slice(1, 4), -1), (second, slice(5, 8), 1)]:
            assert (side * (obs["positions"][hydrogens] - carbon)[:, 0] > 0.2).all()

    def test_linker_reward_is_larger_for_a_connected_molecule(self, rebuild, morse):
        env = make("linker", morse(depth=0.5), fragments=["*C", "*C"], gap=2.5)
        obs, _ = env.reset()
        first, second = obs["positions"][[0, 4]].astype(float)
        carbon = (first + second) / 2 + [0, 0.9, 0]
        atoms = [carbon, np.add(carbon, [0, 0.62, 0.89]), np.add(carbon, [0, 0.62, -0.89])]
        rewards, reason = rebuild(env, [6, 1, 1], atoms)
        assert reason == "complete"
        assert 4.5 < rewards[-1] < 7
        apart = [carbon, np.add(carbon, [0, 1.9, 0.2]), np.add(carbon, [0, 0.62, -0.89])]
        rewards, reason = rebuild(env, [6, 1, 1], apart)
        assert reason == "complete"
        assert rewards[-1] < 2

    def test_scaffold_accepts_a_bag_of_one_hydrogen(self, morse):
        env = make("scaffold", morse(), scaffold="*C", bag="H")
        assert bag_of(env, env.reset()[0]) == "H"

    @pytest.mark.parametrize(
        ("task", "config", "message"),
        [
            ("scaffold", {"scaffold": "*"}, "besides its attachment points"),
            ("scaffold", {"bag": "C15H1"}, "the canvas takes 14"),
            ("scaffold", {"scaffold": "[H]", "bag": "H"}, "no heavy atom"),
            ("linker", {"fragments": ["*C"]}, "fragments"),
            ("linker", {"fragments": ["*C", "C"]}, "must have an attachment point"),
            ("linker", {"gap": 0.0}, "gap"),
            ("linker", {"gap": 21.0}, "gap"),
            ("scaffold", {"reward": {"shape": 1.0}}, "requires a task with a shape"),
        ],
    )
    def test_scaffold_and_linker_refuse_bad_configs(self, task, config, message, morse):
        with pytest.raises(InputError, match=message):
            make(task, morse(), **config)


class TestShape:
    def test_shape_points_are_observed_and_one_is_the_origin(self, morse):
        env = make("shape", morse(), n_points=32)
        obs, _ = env.reset()
        assert obs["points"].shape == (32, 3)
        assert np.linalg.norm(obs["points"], axis=1).min() == 0.0
        obs, _, _, _, info = env.step(np.array([0, 1, 0, 0, 0], np.float32))
        assert info["reward_shape"] == 0.0

    def test_shape_option_sets_the_points_of_one_episode(self, morse):
        env = make("shape", morse(), n_points=32)
        ring = env.reset()[0]["points"]
        line = env.reset(options={"shape": {"kind": "line", "length": 6.0}})[0]["points"]
        assert np.ptp(line[:, 0]) == pytest.approx(6.0)
        assert not line[:, 1:].any()
        np.testing.assert_array_equal(env.reset()[0]["points"], ring)

    def test_shape_reward_is_larger_for_a_filled_ring(self, rebuild, morse):
        reward = {"shape": 1.0, "coverage": 5.0}
        env = make("shape", morse(depth=0.0), bag="C6", reward=reward)
        angles = np.arange(6) * np.pi / 3
        around = 1.4 * np.stack([np.cos(angles) - 1, np.sin(angles), 0 * angles], axis=1)
        rewards, reason = rebuild(env, [6] * 6, around)
        assert reason == "complete"
        assert sum(rewards) == pytest.approx(5.0)
        away = 1.6 * np.outer(np.arange(6), [0, 0, 1])
        assert sum(rebuild(env, [6] * 6, away)[0]) < -10

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"shape": "rnig"}, "did you mean 'ring'"),
            ({"shape": {"kind": "ring", "radius": 400.0}}, "reaches farther"),
            ({"n_points": 0}, "n_points"),
            ({"reward": {"distance": 1.0}}, "requires a task with fixed atoms"),
        ],
    )
    def test_shape_refuses_bad_configs(self, config, message, morse):
        with pytest.raises(InputError, match=message):
            make("shape", morse(), **config)


def test_complex_options_set_all_four_bags():
    env = gym.make("MolDesignComplex-v0").unwrapped
    for bag in ("SF6", "SOF4", "IF5", "SOF6"):
        obs, _ = env.reset(options={"bag": bag})
        assert Bag(bag_of(env, obs)) == Bag(bag)


def test_complex_return_is_larger_for_octahedral_sf6(rebuild):
    env = gym.make("MolDesignComplex-v0")
    axes = np.vstack([np.eye(3), -np.eye(3)])
    whole, reason = rebuild(env, [16, *[9] * 6], [np.zeros(3), *(1.56 * axes)])
    assert reason == "complete"
    flat = [[np.cos(a), np.sin(a), 0.0] for a in np.arange(6) * np.pi / 3]
    crowded, _ = rebuild(env, [16, *[9] * 6], [np.zeros(3), *(1.9 * np.array(flat))])
    assert sum(whole) > sum(crowded) + 1.0

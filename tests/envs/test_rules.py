"""Rules: refused actions, rejected atoms, the end of an episode and its reward."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molrl.envs.config import MAX_UNCERTAINTY, Rules
from molrl.envs.design import MolDesignEnv
from molrl.errors import InputError

MIN_REWARD = Rules().min_reward
HYDROGEN, CARBON, NITROGEN, OXYGEN = range(4)  # columns of the default elements


def environment(energy, **config):
    env = MolDesignEnv(energy=energy, **config)
    env.reset(seed=0)
    return env


def act(env, focus, element, x=0.0, y=0.0, z=0.0):
    return env.step(np.array([focus, element, x, y, z], np.float32))


def same_canvas(a, b):
    return all(np.array_equal(a[key], b[key]) for key in a)


def test_step_places_the_first_atom_at_the_origin(morse):
    obs, reward, terminated, truncated, info = act(
        environment(morse()), 17, CARBON, 99.0, -3.0, 1.0
    )
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert obs["numbers"].tolist() == [6] + 24 * [0]
    assert not obs["positions"].any()
    assert info == {"energy": -13.6 * 6, "n_atoms": 1, "reason": "", "reward_energy": 0.0}


def test_step_rounds_indices_to_the_nearest(morse):
    env = environment(morse())
    act(env, 0, 1.49)
    obs, _, terminated, _, _ = act(env, -0.49, 2.51, 1.3)
    assert not terminated
    assert obs["numbers"][:2].tolist() == [6, 8]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ((0, CARBON, 1.4), "element not in bag"),
        ((0, 4, 1.4), "element not in bag"),
        ((0, -1, 1.4), "element not in bag"),
        ((0, 3e9, 1.4), "element not in bag"),
        ((2, NITROGEN, 1.4), "focus on an empty slot"),
        ((25, NITROGEN, 1.4), "focus on an empty slot"),
        ((-1, NITROGEN, 1.4), "focus on an empty slot"),
        ((1e30, NITROGEN, 1.4), "focus on an empty slot"),
        ((0, NITROGEN, 2.51), "out of bounds"),
        ((0, NITROGEN, 0, 0, -1e30), "out of bounds"),
        ((0, NITROGEN, 0.9), "clash"),
        ((0, NITROGEN), "clash"),
        ((1, NITROGEN, 0.0, -1.3), "clash"),  # with the atom that is not the focus
        ((0, HYDROGEN, -2.01), "monovalent atom"),
        ((0, CARBON, 0.1), "element not in bag"),  # the first reason is the one named
    ],
)
def test_step_refused_keeps_the_canvas_and_gives_min_reward(action, reason, morse):
    env = environment(morse(), bag="CH3NO")
    act(env, 0, CARBON)
    before = act(env, 0, OXYGEN, 0.0, 1.4)[0]
    calls = env.energy_model.calls
    obs, reward, terminated, truncated, info = act(env, *action)
    assert info["reason"] == reason
    assert (reward, terminated, truncated) == (MIN_REWARD, True, False)
    assert same_canvas(obs, before)
    assert env.energy_model.calls == calls
    assert env.endings == {reason: 1}


def test_clash_fraction_is_of_the_covalent_radii(morse):
    for length, refused in [(0.926, False), (0.922, True)]:  # 0.65 (0.76 + 0.66) = 0.923
        env = environment(morse())
        act(env, 0, CARBON)
        assert (act(env, 0, OXYGEN, 0, length)[4]["reason"] == "clash") == refused


def test_monovalent_atom_needs_a_partner_unless_it_is_first(morse):
    env = environment(morse(), bag="CH4O")
    assert not act(env, 0, HYDROGEN)[2]
    assert act(env, 0, HYDROGEN, 0.74)[4]["reason"] == "monovalent atom"
    env.reset()
    act(env, 0, HYDROGEN)
    assert not act(env, 0, CARBON, 1.1)[2]
    env = environment(morse(), bag="CHF3", rules={"monovalent_distance": None})
    act(env, 0, HYDROGEN)
    assert not act(env, 0, 4, 1.1)[2]


def test_episode_is_complete_when_the_bag_is_empty(morse):
    env = environment(morse(), bag="CO")
    act(env, 0, CARBON)
    obs, reward, terminated, _, info = act(env, 0, OXYGEN, 1.2)
    assert reward == pytest.approx(4.0)
    assert terminated
    assert info["reason"] == "complete"
    assert not obs["bag"].any()
    assert not obs["element_mask"].any()
    assert env.endings == {"complete": 1}


@pytest.mark.parametrize(
    ("depth", "length", "reason"),
    [(4.0, 0.2, "energy rise too large"), (31.0, 1.2, "energy drop too large")],
)
def test_atom_outside_the_reward_limits_is_rejected(depth, length, reason, morse):
    loose = {"clash_fraction": 0, "clash_distance": 0.1}
    env = environment(morse(depth), bag="CO", rules=loose)
    before = act(env, 0, CARBON)[0]
    obs, reward, terminated, _, info = act(env, 0, OXYGEN, length)
    assert info["reason"] == reason
    assert (reward, terminated) == (MIN_REWARD, True)
    assert same_canvas(obs, before)
    assert info["energy"] == -13.6 * 6


def test_failed_energy_ends_the_episode_and_is_counted(morse):
    env = environment(morse(max_atoms=1), bag="CO", rules="molgym")
    before = act(env, 0, CARBON)[0]
    obs, reward, terminated, _, info = act(env, 0, OXYGEN, 1.2)
    assert info["reason"].startswith("energy failed: the energy of morse")
    assert (reward, terminated) == (pytest.approx(-16.3268, abs=1e-3), True)
    assert same_canvas(obs, before)
    assert np.isfinite(info["energy"])
    assert env.endings == {"energy failed": 1}


class TestUncertain:
    @pytest.fixture
    def unsure(self, morse):
        class Unsure(morse):
            """The more uncertain, the larger the molecule."""

            offers_uncertainty = True
            scored = 0  # molecules whose uncertainty was computed

            def _evaluate(self, molecules, wanted):
                output = super()._evaluate(molecules, wanted)
                if wanted.uncertainty:
                    output.uncertainty = molecules.n_atoms.double() - 2
                    self.scored += int((molecules.n_atoms > 0).sum())
                return output

        return Unsure()

    def test_max_uncertainty_rejects_uncertain_atoms(self, unsure):
        env = environment(unsure, bag="CO2", rules={"max_uncertainty": 0.5})
        act(env, 0, CARBON)
        before, _, terminated, _, _ = act(env, 0, OXYGEN, 1.2)
        assert not terminated
        obs, reward, terminated, _, info = act(env, 0, OXYGEN, -1.2)
        assert info["reason"] == "uncertain"
        assert (reward, terminated) == (MIN_REWARD, True)
        assert same_canvas(obs, before)
        assert env.endings == {"uncertain": 1}
        assert env.energy_model.calls == unsure.scored == 2  # in the call that gives the energy

    def test_max_uncertainty_by_default_is_a_number_where_the_model_offers_one(self, unsure):
        env = environment(unsure, bag="CO2")
        assert env.problem.context.rules.max_uncertainty == MAX_UNCERTAINTY
        act(env, 0, CARBON)
        act(env, 0, OXYGEN, 1.2)
        assert act(env, 0, OXYGEN, -1.2)[4]["reason"] == "uncertain"

    def test_max_uncertainty_by_default_limits_no_model_without_one(self, morse):
        env = environment(morse(), bag="CO2")
        assert env.problem.context.rules.max_uncertainty is None
        act(env, 0, CARBON)
        act(env, 0, OXYGEN, 1.2)
        assert act(env, 0, OXYGEN, -1.2)[4]["reason"] == "complete"

    def test_rules_written_as_json_keep_max_uncertainty_by_default(self):
        assert Rules.of(json.loads(Rules().model_dump_json())) == Rules()
        assert Rules().max_uncertainty == "auto"

    def test_uncertainty_is_not_computed_without_a_limit(self, unsure):
        env = environment(unsure, bag="CO", rules={"max_uncertainty": None})
        act(env, 0, CARBON)
        assert act(env, 0, OXYGEN, 1.2)[4]["reason"] == "complete"
        assert unsure.scored == 0

    def test_max_uncertainty_refuses_models_without_uncertainty(self, morse):
        with pytest.raises(InputError, match="'morse' offers no uncertainty"):
            environment(morse(), rules={"max_uncertainty": 0.5})


class TestMolGymRules:
    """Rules of Simm et al. 2020, as in their code."""

    def test_molgym_rules_have_the_published_values(self):
        rules = Rules.named("molgym")
        assert rules.min_reward == pytest.approx(-0.6 * 27.2114, abs=1e-3)
        assert rules.max_reward is rules.max_uncertainty is None
        assert rules.monovalent_distance == 2.0

    @pytest.mark.parametrize(("length", "refused"), [(0.599, True), (0.601, False)])
    def test_molgym_clash_distance_is_the_same_for_all_elements(self, length, refused, morse):
        env = environment(morse(), bag="CO", rules="molgym")
        act(env, 0, CARBON)
        assert (act(env, 0, OXYGEN, length)[4]["reason"] == "clash") == refused

    def test_molgym_rules_allow_distant_polyvalent_atoms(self, morse):
        env = environment(morse(), bag="CO", rules="molgym")
        act(env, 0, CARBON)
        assert act(env, 0, OXYGEN, 2.4, 2.4, 2.4)[4]["reason"] == "complete"

    @pytest.mark.parametrize("element", [HYDROGEN, 4])
    def test_molgym_rules_refuse_two_monovalent_atoms_alone(self, element, morse):
        env = environment(morse(), bag="CH2F2", rules="molgym")
        act(env, 0, HYDROGEN)
        assert act(env, 0, element, 1.0)[4]["reason"] == "monovalent atom"

    def test_molgym_rules_keep_a_rejected_atom(self, morse):
        env = environment(morse(depth=8.0), bag="CO", rules="molgym")
        act(env, 0, CARBON)
        obs, reward, terminated, _, info = act(env, 0, OXYGEN, 0.61)
        assert info["reason"] == "energy rise too large"
        assert (reward, terminated) == (Rules.named("molgym").min_reward, True)
        assert obs["numbers"][:2].tolist() == [6, 8]
        assert not obs["bag"].any()

    def test_molgym_rules_have_no_largest_reward(self, morse):
        env = environment(morse(depth=100.0), bag="CO", rules="molgym")
        act(env, 0, CARBON)
        assert act(env, 0, OXYGEN, 1.2)[1] == pytest.approx(100.0)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rules=st.sampled_from(["default", "molgym"]))
def test_step_conserves_atoms(seed, rules, morse, scramble):
    env, rng = environment(morse(), bag="C2H4NOF", rules=rules), np.random.default_rng(seed)
    obs, _ = env.reset(seed=0)
    bag, ended, total = obs["bag"].copy(), False, 0.0
    while not ended:
        before = obs
        obs, reward, ended, truncated, info = env.step(scramble(rng, obs))
        total += reward
        assert env.observation_space.contains(obs)
        placed = [np.count_nonzero(obs["numbers"] == z) for z in env.elements]
        assert (obs["bag"] + placed).tolist() == bag.tolist()
        assert info["n_atoms"] == np.count_nonzero(obs["numbers"]) == sum(placed)
        assert np.isfinite([reward, info["energy"], *obs["positions"].flat]).all()
        refused = info["n_atoms"] == np.count_nonzero(before["numbers"])
        assert same_canvas(obs, before) == refused
        assert ended == bool(info["reason"])
        assert ended or not refused
        assert not truncated
    assert (info["reason"] == "complete") == (
        not obs["bag"].any() and reward > env.config.rules.min_reward
    )
    if info["reason"] == "complete":
        atoms = sum(-13.6 * z for z in obs["numbers"])
        assert total == pytest.approx(atoms - info["energy"], abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_step_does_not_change_its_arguments(seed, morse, scramble):
    env, rng = environment(morse()), np.random.default_rng(seed)
    obs, _ = env.reset()
    for _ in range(3):
        action = scramble(rng, obs)
        kept = (action.copy(), {key: array.copy() for key, array in obs.items()})
        next_obs, _, ended, _, _ = env.step(action)
        assert np.array_equal(action, kept[0])
        assert same_canvas(obs, kept[1])
        assert not any(np.shares_memory(next_obs[key], obs[key]) for key in obs)
        obs = env.reset()[0] if ended else next_obs

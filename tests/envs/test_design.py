"""Single environment: configuration, invalid input, rendering and pickling."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from molrl.bags import Bag
from molrl.energy.gfn2 import GFN2Energy
from molrl.envs.config import EnvConfig, Rules
from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError

FIRST = np.array([0, 1, 0, 0, 0], np.float32)

BAD_CONFIGS = [
    ({"bga": "CH4O"}, "unexpected keyword argument 'bga'; did you mean 'bag'"),
    ({"bag": "H2"}, "bag H2 has no heavy atom"),
    ({"bag": "HF"}, "no heavy atom"),
    ({"bag": "Cl2"}, "no heavy atom"),
    ({"bag": ""}, "invalid formula"),
    ({"bag": "CH4o"}, "invalid formula"),
    ({"bag": "Qq2"}, "unknown element"),
    ({"bag": "C0H4"}, "invalid count"),
    ({"bag": 7}, "a bag must be a formula such as CH4O"),
    ({"bag": None}, "a bag must be a formula such as CH4O"),
    ({"bag": ["C", "O"]}, "a bag must be a formula such as CH4O"),
    ({"bag": "C10H22"}, "bag C10H22 has 32 atoms; the canvas takes 25"),
    ({"bag": "CH4O", "canvas_size": 5}, "the canvas takes 5"),
    ({"bag": "CH4O", "elements": ["C", "H"]}, "bag CH4O holds O; elements are H C"),
    ({"bag": "SiH4"}, "does not know Si; known are: H C N O F"),
    ({"elements": ["H", "C", "N", "O", "Si"]}, "does not know Si"),
    ({"elements": "HCNO"}, "elements must be a list"),
    ({"elements": []}, "elements must be a list"),
    ({"elements": ["H", "Xx"]}, "elements: unknown element 'Xx'"),
    ({"elements": ["H", 0]}, "elements: unknown element 0"),
    ({"elements": ["H", 1.5]}, "elements: unknown element 1.5"),
    ({"energy": "maze"}, "did you mean 'mace'"),
    ({"energy": None}, "energy"),
    ({"canvas_size": 0}, "canvas_size must be greater than or equal to 1, not 0"),
    ({"canvas_size": "25"}, "canvas_size must be a valid integer, not '25'"),
    ({"rules": "molgim"}, "unknown rules 'molgim'; did you mean 'molgym'"),
    ({"rules": 3}, "rules must be a name or a mapping"),
    ({"rules": {"min_rewrad": -1}}, "did you mean 'min_reward'"),
    ({"rules": {"min_reward": 1.0}}, "min_reward must be less than 0, not 1.0"),
    ({"rules": {"min_reward": float("nan")}}, "min_reward"),
    ({"rules": {"max_reward": -1}}, "max_reward must be greater than 0, not -1"),
    ({"rules": {"clash_fraction": 0}}, "two atoms in one place"),
    ({"rules": {"max_displacement": 0}}, "max_displacement"),
    ({"render_mode": "rgb"}, "unknown render mode 'rgb'; known are: ansi, rgb_array"),
]


@pytest.mark.parametrize("env_class", [MolDesignEnv, MolDesignVectorEnv])
@pytest.mark.parametrize(("config", "message"), BAD_CONFIGS, ids=str)
def test_environment_refuses_bad_configs_in_one_line(config, message, env_class, morse):
    with pytest.raises(InputError) as error:
        env_class(**{"energy": morse()} | config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("num_envs", [0, -1, 1.5, "2", None, True])
def test_vector_env_refuses_bad_num_envs(num_envs, morse):
    with pytest.raises(InputError, match="num_envs"):
        MolDesignVectorEnv(num_envs, energy=morse())


def test_vector_env_refuses_unknown_autoreset_mode(morse):
    with pytest.raises(InputError, match="did you mean 'NextStep'"):
        MolDesignVectorEnv(1, energy=morse(), autoreset_mode="NextStp")


def test_elements_default_to_hcno_and_those_of_the_bag(morse):
    assert MolDesignEnv(energy=morse()).elements == (1, 6, 7, 8)
    assert MolDesignEnv(energy=morse(), bag="CF4").elements == (1, 6, 7, 8, 9)
    given = MolDesignEnv(energy=morse(), bag="CF4", elements=["F", "C"])
    assert given.elements == (6, 9)
    assert given.reset()[0]["bag"].tolist() == [1, 4]
    assert given.action_space.high[1] == 1


def test_rules_are_read_from_names_mappings_and_rules():
    assert EnvConfig().rules == Rules() == Rules.named("default")
    assert EnvConfig(rules="molgym").rules == Rules.named("molgym")
    assert EnvConfig(rules={"max_reward": 20}).rules == Rules(max_reward=20)
    assert EnvConfig(rules=Rules(max_reward=20)).rules.max_reward == 20
    assert EnvConfig(task=Bag("OCH4")).task.bag == "CH4O"


def test_rules_read_the_old_name_of_monovalent_distance():
    rules = Rules(monovalent_distance=1.5)
    assert Rules.of({"solo_distance": 1.5}) == rules
    assert Rules.model_validate_json('{"solo_distance": 1.5}') == rules
    assert EnvConfig(rules={"solo_distance": None}).rules.monovalent_distance is None
    assert "solo_distance" not in rules.model_dump()
    with pytest.raises(InputError, match="solo_distance"):
        Rules.of({"solo_distance": 1.5, "monovalent_distance": 1.5})
    with pytest.raises(InputError, match="solo_distance must be greater than 0, not -1"):
        Rules.of({"solo_distance": -1})


def test_env_config_survives_json():
    config = EnvConfig(task="CH4O", elements=["O", "C", "H"], rules="molgym", canvas_size=7)
    assert EnvConfig.model_validate_json(config.model_dump_json()) == config


def test_reset_sets_the_bag_of_one_episode(morse):
    env = MolDesignEnv(energy=morse(), bag="CH4O")
    assert env.reset(options={"bag": "C2H6O"})[0]["bag"].tolist() == [6, 2, 0, 1]
    assert env.reset()[0]["bag"].tolist() == [4, 1, 0, 1]
    assert env.reset(options={})[0]["bag"].tolist() == [4, 1, 0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bags": "CH4"}, "reset: unknown option 'bags'; did you mean 'bag'"),
        ({"bag": "H2"}, "no heavy atom"),
        ({"bag": "CF4"}, "holds F; elements are H C N O"),
        ({"bag": "C20H20"}, "the canvas takes 25"),
        ({"bag": 4}, "a bag must be a formula"),
        ({"bag": "c"}, "invalid formula"),
    ],
)
def test_reset_refuses_bad_options_and_changes_nothing(options, message, morse):
    for env in (MolDesignEnv(energy=morse()), MolDesignVectorEnv(1, energy=morse())):
        env.reset()
        with pytest.raises(InputError, match=message):
            env.reset(options=options)
        obs, *_ = env.step(FIRST if isinstance(env, MolDesignEnv) else FIRST[None])
        assert obs["numbers"].sum() == 6


@pytest.mark.parametrize(
    "action",
    [
        np.full(5, np.nan, np.float32),
        [0, 1, np.inf, 0, 0],
        [0, 1, 0, 0],
        np.zeros((1, 5)),
        None,
        "place an atom",
        {"focus": 0},
        [0, 1, [0], 0, 0],
        3,
    ],
    ids=str,
)
def test_step_refuses_invalid_actions_and_changes_nothing(action, morse):
    env = MolDesignEnv(energy=morse())
    env.reset()
    with pytest.raises(InputError, match="action"):
        env.step(action)
    obs, _, terminated, _, _ = env.step(FIRST)
    assert obs["numbers"].sum() == 6
    assert not terminated


def test_step_names_the_expected_shape_of_an_action(morse):
    env = MolDesignEnv(energy=morse())
    env.reset()
    with pytest.raises(InputError, match=r"an action must have shape \(5,\), not \(4,\)"):
        env.step([0, 1, 0, 0])


def test_step_needs_an_episode(morse):
    env = MolDesignEnv(energy=morse(), bag="CO")
    with pytest.raises(ResetNeeded):
        env.step(FIRST)
    env.reset()
    env.step([0, 0, 0, 0, 0])
    with pytest.raises(ResetNeeded):
        env.step(FIRST)
    env.reset()
    env.step(FIRST)


def test_observation_space_contains_the_farthest_positions(morse):
    env = MolDesignEnv(energy=morse(), bag="C25", rules={"min_reward": -1e6})
    env.reset()
    for i in range(25):
        obs, *_, info = env.step(np.array([i - 1, 1, 2.5, -2.5, 2.5], np.float32))
        assert env.observation_space.contains(obs)
    assert info["reason"] == "complete"


def test_pickle_of_env_contains_no_named_model():
    env = MolDesignEnv(energy="gfn2")
    twin = pickle.loads(pickle.dumps(env))
    assert twin.energy_model.model is env.energy_model.model
    assert len(pickle.dumps(env)) < 20_000


def test_pickle_of_env_contains_a_given_model(morse):
    env = MolDesignEnv(energy=morse(depth=7.0), bag="CO")
    twin = pickle.loads(pickle.dumps(env))
    twin.reset()
    twin.step(FIRST)
    assert twin.step([0, 3, 1.2, 0, 0])[1] == pytest.approx(7.0)
    assert twin.energy_model.model is not env.energy_model.model


def test_ansi_render_shows_atoms_bag_and_energy(morse):
    env = gym.make("MolDesign-v0", bag="CH4O", energy=morse(), render_mode="ansi")
    env.reset()
    assert "bag left: H4 C1 O1" in env.render()
    env.step(FIRST)
    env.step(np.array([0, 3, 1.2, 0, 0], np.float32))
    lines = env.render().splitlines()
    assert lines[1].split() == ["0", "C", "0.000", "0.000", "0.000"]
    assert lines[2].split() == ["1", "O", "1.200", "0.000", "0.000"]
    assert "bag left: H4" in lines[3]
    assert "energy: -194.400 eV   last reward: 4.000 eV" in lines[4]
    assert MolDesignEnv(energy=morse()).render() is None


def test_rgb_render_changes_with_each_atom(morse):
    env = MolDesignEnv(bag="CO", energy=morse(), render_mode="rgb_array")
    env.reset()
    empty = env.render()
    env.step(FIRST)
    assert not np.array_equal(env.render(), empty)


def test_given_model_keeps_spec_and_pickle_usable():
    energy = GFN2Energy(n_workers=1)
    env = gym.make("MolDesign-v0", bag="CO", energy=energy)
    assert env.spec.kwargs["bag"] == "CO"
    twin = pickle.loads(pickle.dumps(env))
    bond = np.array([0, 3, 1.2, 0, 0], np.float32)
    rewards = []
    for one in (env, twin):
        one.reset()
        one.step(FIRST)
        rewards.append(one.step(bond)[1])
        one.unwrapped.energy_model.close()
    assert rewards[0] == pytest.approx(rewards[1], abs=1e-5)

"""Vector environment: energy calls per step, autoreset modes, returned arrays."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from molrl.agents.random import random_actions
from molrl.envs.config import Rules
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError

CARBON, OXYGEN = 1, 3  # columns of the default elements
FIRST, BOND, CLASH = [0, CARBON, 0, 0, 0], [0, OXYGEN, 1.2, 0, 0], [0, OXYGEN, 0.1, 0, 0]


def step(envs, *actions):
    return envs.step(np.array(actions, np.float32))


@pytest.fixture
def envs(morse):
    envs = MolDesignVectorEnv(3, bag="CO", energy=morse())
    envs.reset(seed=0)
    return envs


def test_make_vec_returns_the_vector_env_with_its_autoreset_mode(morse):
    for mode in AutoresetMode:
        envs = gym.make_vec("MolDesign-v0", 2, energy=morse(), autoreset_mode=mode.value)
        assert isinstance(envs, MolDesignVectorEnv)
        assert envs.autoreset_mode == envs.metadata["autoreset_mode"] == mode
    assert MolDesignVectorEnv(2, energy=morse()).autoreset_mode == AutoresetMode.NEXT_STEP


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(255), [np.int64(3), 9], np.array([3, 9])])
def test_reset_accepts_numpy_seeds_as_ints(morse, seed):
    config = {"task": {"kind": "stochastic"}, "energy": morse()}
    plain = np.asarray(seed).tolist()
    one, other = MolDesignVectorEnv(2, **config), MolDesignVectorEnv(2, **config)
    assert data_equivalence(one.reset(seed=seed), other.reset(seed=plain), exact=True)
    assert one.np_random_seed == other.np_random_seed
    first = plain if isinstance(plain, int) else plain[0]
    single, same = (gym.make("MolDesignStochastic-v0", energy=morse()) for _ in range(2))
    drawn = single.reset(seed=np.int64(first)), same.reset(seed=first)
    assert data_equivalence(*drawn, exact=True)
    assert single.unwrapped.np_random_seed == first


def test_step_makes_one_call_with_only_the_needed_canvases(envs):
    model = envs.energy_model
    step(envs, FIRST, FIRST, FIRST)
    assert (model.calls, model.evaluations) == (0, 0)
    _, rewards, *_ = step(envs, BOND, CLASH, BOND)
    assert (model.calls, model.evaluations) == (1, 2)
    np.testing.assert_allclose(rewards, [4.0, Rules().min_reward, 4.0])
    step(envs, BOND, BOND, BOND)  # all three reset
    step(envs, CLASH, FIRST, FIRST)
    step(envs, CLASH, CLASH, CLASH)
    assert (model.calls, model.evaluations) == (1, 2)


def test_step_with_a_failed_energy_does_not_affect_others(morse):
    envs = MolDesignVectorEnv(3, bag="CO2", energy=morse(max_atoms=2), autoreset_mode="Disabled")
    envs.reset()
    step(envs, FIRST, FIRST, [0, OXYGEN, 0, 0, 0])
    step(envs, BOND, BOND, [0, OXYGEN, 1.2, 0, 0])
    envs.reset(options={"reset_mask": np.array([True, False, False])})
    step(envs, FIRST, [0, OXYGEN, -1.2, 0, 0], [0, CARBON, -1.2, 0, 0])
    assert envs.endings == {"energy failed": 2}
    assert np.isfinite(
        envs.reset(options={"reset_mask": np.array([0, 1, 1], bool)})[1]["energy"]
    ).all()


def test_autoreset_next_step_resets_on_the_next_step(envs):
    step(envs, FIRST, FIRST, FIRST)
    obs, _, terminated, _, infos = step(envs, BOND, CLASH, BOND)
    assert terminated.all()
    assert infos["reason"].tolist() == ["complete", "clash", "complete"]
    assert obs["numbers"][:, :2].tolist() == [[6, 8], [6, 0], [6, 8]]
    obs, rewards, terminated, _, infos = envs.step(np.full((3, 5), np.nan, np.float32))
    assert not obs["numbers"].any()
    assert not rewards.any()
    assert not terminated.any()
    assert infos["reason"].tolist() == ["", "", ""]


def test_autoreset_same_step_keeps_the_final_observation(morse):
    envs = MolDesignVectorEnv(3, bag="CO", energy=morse(), autoreset_mode="SameStep")
    envs.reset()
    assert not any("final" in key for key in step(envs, FIRST, FIRST, FIRST)[4])
    envs.reset()
    infos = step(envs, FIRST, FIRST, [0, 0, 0, 0, 0])[4]
    assert infos["final_info"]["reason"].tolist() == [None, None, "element not in bag"]
    obs, _, terminated, _, infos = step(envs, BOND, CLASH, FIRST)
    assert terminated.tolist() == [True, True, False]
    assert obs["numbers"][:, 0].tolist() == [0, 0, 6]
    assert infos["final_obs"][0]["numbers"][:2].tolist() == [6, 8]
    assert infos["final_obs"][2] is None
    assert infos["final_info"]["n_atoms"].tolist() == [2, 1, 0]
    assert infos["n_atoms"].tolist() == [0, 0, 1]


def test_autoreset_disabled_waits_for_a_reset_mask(morse):
    envs = MolDesignVectorEnv(3, bag="CO", energy=morse(), autoreset_mode="Disabled")
    with pytest.raises(ResetNeeded):
        envs.reset(options={"reset_mask": np.array([True, False, False])})
    envs.reset()
    step(envs, FIRST, FIRST, [0, 0, 0, 0, 0])
    with pytest.raises(ResetNeeded, match=r"\[2\]"):
        step(envs, BOND, BOND, BOND)
    options = {"reset_mask": np.array([False, False, True]), "bag": "CO2"}
    obs, infos = envs.reset(options=options)
    assert set(options) == {"reset_mask", "bag"}
    assert obs["bag"][:, OXYGEN].tolist() == [1, 1, 2]
    assert obs["numbers"][:, 0].tolist() == [6, 6, 0]
    assert infos["_energy"].tolist() == [False, False, True]
    assert step(envs, BOND, BOND, FIRST)[2].tolist() == [True, True, False]


@pytest.mark.parametrize(
    "mask",
    [[True] * 3, np.ones(2, bool), np.ones(3), np.zeros(3, bool), np.ones((3, 1), bool), "all"],
)
def test_reset_refuses_bad_reset_masks(envs, mask):
    with pytest.raises(InputError, match="reset_mask must be a bool array"):
        envs.reset(options={"reset_mask": mask})


def test_reset_sets_the_bags_of_one_episode(morse):
    envs = MolDesignVectorEnv(2, bag="CO", energy=morse())
    assert envs.reset(options={"bag": "C2H6O"})[0]["bag"].tolist() == [[6, 2, 0, 1]] * 2
    obs, _ = envs.reset(options={"bag": ["CO", "CH4"]})
    assert obs["bag"].tolist() == [[0, 1, 0, 1], [4, 1, 0, 0]]
    step(envs, [0, 2, 0, 0, 0], [0, 2, 0, 0, 0])
    assert step(envs, FIRST, FIRST)[0]["bag"].tolist() == [[0, 1, 0, 1]] * 2
    with pytest.raises(InputError, match="3 bags for 2 environments"):
        envs.reset(options={"bag": ["CO"] * 3})


def test_step_returns_new_arrays(envs):
    kept = [envs.reset(), *(step(envs, FIRST, FIRST, BOND) for _ in range(4))]
    arrays = [list(leaves(result)) for result in kept]
    for i, some in enumerate(arrays):
        for others in arrays[i + 1 :]:
            assert not any(np.shares_memory(a, b) for a in some for b in others)
    for array in arrays[-1]:
        array[...] = 1
    obs = step(envs, FIRST, FIRST, FIRST)[0]
    assert envs.observation_space.contains(obs)
    assert (obs["numbers"] != 1).all()


def leaves(item):
    if isinstance(item, np.ndarray):
        yield item
    elif isinstance(item, dict):
        for value in item.values():
            yield from leaves(value)
    elif isinstance(item, tuple):
        for value in item:
            yield from leaves(value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_step_names_the_environment_of_a_bad_action(envs, bad):
    step(envs, FIRST, FIRST, FIRST)
    actions = np.array([BOND, BOND, BOND])
    actions[1, 3] = bad
    with pytest.raises(InputError, match="environment 1: the action"):
        envs.step(actions)
    assert envs.energy_model.calls == 0
    assert step(envs, BOND, BOND, BOND)[1].tolist() == pytest.approx([4.0] * 3)


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (5,), (3, 5, 1), (0, 5)])
def test_step_refuses_actions_of_another_shape(envs, shape):
    with pytest.raises(InputError, match="actions must have shape"):
        envs.step(np.zeros(shape, np.float32))


def test_step_needs_a_reset(morse):
    with pytest.raises(ResetNeeded):
        step(MolDesignVectorEnv(1, energy=morse()), FIRST)


def test_pickled_vector_env_continues_as_the_original(envs):
    step(envs, FIRST, FIRST, FIRST)
    twin = pickle.loads(pickle.dumps(envs))
    actions = np.array([BOND, CLASH, BOND], np.float32)
    for _ in range(3):
        assert data_equivalence(envs.step(actions), twin.step(actions), exact=True)


def test_render_draws_every_canvas(morse):
    envs = MolDesignVectorEnv(2, bag="CO", energy=morse(), render_mode="rgb_array")
    envs.reset()
    step(envs, FIRST, FIRST)
    frames = envs.render()
    assert [frame.shape[2] for frame in frames] == [3, 3]
    assert np.array_equal(*frames)
    assert frames[0].dtype == np.uint8
    assert MolDesignVectorEnv(2, energy=morse()).render() is None


def test_gymnasium_vector_wrappers_accept_the_vector_env(morse):
    envs = MolDesignVectorEnv(2, bag="CO", energy=morse())
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=0)
    step(envs, FIRST, FIRST)
    infos = step(envs, BOND, CLASH)[4]
    np.testing.assert_allclose(infos["episode"]["r"], [4.0, Rules().min_reward], atol=1e-4)
    listed = gym.wrappers.vector.DictInfoToList(MolDesignVectorEnv(2, bag="CO", energy=morse()))
    listed.reset()
    assert [info["n_atoms"] for info in step(listed, FIRST, FIRST)[4]] == [1, 1]


def test_forked_environments_do_not_mix_their_energies():
    config = {"bag": "CO", "energy": "gfn2"}
    native = gym.make_vec("MolDesign-v0", 3, **config)
    native.reset()
    step(native, FIRST, FIRST, FIRST)
    bonds = [[0, OXYGEN, length, 0, 0] for length in (1.1, 1.2, 1.3)]
    expected = step(native, *bonds)[1]  # the processes of this model are running when it forks
    forked = gym.make_vec("MolDesign-v0", 3, vectorization_mode="async", **config)
    forked.reset()
    for _ in range(5):
        step(forked, FIRST, FIRST, FIRST)
        np.testing.assert_allclose(step(forked, *bonds)[1], expected, atol=1e-4)
        step(forked, *bonds)  # resets
    forked.close()


def test_max_episode_steps_is_max_steps(morse):
    envs = MolDesignVectorEnv(1, bag="CH4", energy=morse(), max_episode_steps=1)
    envs.reset(seed=0)
    assert step(envs, FIRST)[3].tolist() == [True]
    with pytest.raises(InputError, match="give one of them"):
        MolDesignVectorEnv(1, bag="CO", energy=morse(), max_episode_steps=10, max_steps=5)


def test_max_episode_steps_of_minus_1_is_no_limit(morse):
    envs = gym.make_vec("MolDesign-v0", 1, bag="CO", energy=morse(), max_episode_steps=-1)
    assert envs.config.max_steps is None


def test_refused_seeds_change_no_generator(morse):
    envs = MolDesignVectorEnv(3, bag="CO", energy=morse())
    envs.reset(seed=[4, 5, 6])
    with pytest.raises(gym.error.Error):
        envs.reset(seed=[7, 8, -3])
    assert envs.np_random_seed == (4, 5, 6)


def test_arguments_may_be_numpy_numbers_arrays_and_sets(morse):
    given = {"canvas_size": np.int64(9), "max_steps": np.int32(5), "elements": np.array([1, 6, 8])}
    envs = MolDesignVectorEnv(np.int64(2), bag="CO", energy=morse(), **given)
    assert (envs.num_envs, envs.config.canvas_size, envs.config.max_steps) == (2, 9, 5)
    assert (
        envs.elements
        == MolDesignVectorEnv(1, bag="CO", energy=morse(), elements={1, 6, 8}).elements
    )
    observation, _ = envs.reset(options={"bag": np.array(["CO", "CH4"])})
    assert observation["bag"].tolist() == [[0, 1, 1], [4, 1, 0]]


def test_random_actions_places_what_the_masks_allow(envs):
    rng, observation = np.random.default_rng(0), envs.reset(seed=0)[0]
    actions = random_actions(observation, rng)
    assert actions.shape == (3, 5)
    of_one = {key: array[0] for key, array in observation.items()}
    assert envs.single_action_space.contains(random_actions(of_one, rng))
    observation, _, terminated, _, infos = envs.step(actions)
    assert not terminated.any()  # every first atom is taken
    assert infos["n_atoms"].tolist() == [1, 1, 1]
    envs.step(random_actions(observation, rng))
    refused = {"element not in bag", "focus on an empty slot", "out of bounds"}
    assert not refused & set(envs.endings)


def test_vector_env_observation_space_contains_the_farthest_atoms(morse):
    rules = {"max_displacement": 2.2, "monovalent_distance": None}
    envs = MolDesignVectorEnv(1, bag="C20", energy=morse(depth=0.0), rules=rules)
    obs, _ = envs.reset(seed=0)
    for i in range(20):
        assert envs.observation_space.contains(obs)
        obs, *_ = step(envs, [max(0, i - 1), CARBON, *([np.float32(2.2)] * 3)])

"""The vector environment equals SyncVectorEnv and single environments, step for step."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv

N_ENVS, N_STEPS = 4, 200


def assert_same(a, b):
    """Equal in structure and kind; floats of energies to 1e-4 eV, all else exactly."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype == object:
            for x, y in zip(a, b, strict=True):
                assert_same(x, y)
        elif a.dtype == np.float64:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)
        else:
            np.testing.assert_array_equal(a, b)
    elif isinstance(a, float):
        assert a == pytest.approx(b, abs=1e-4)
    else:
        assert a == b


def rows(obs):
    return [{key: array[i] for key, array in obs.items()} for i in range(N_ENVS)]


def environments(energy, mode, **config):
    config = ({} if "task" in config else {"bag": "CH3NO"}) | config | {"energy": energy}
    native = MolDesignVectorEnv(N_ENVS, autoreset_mode=mode, **config)
    sync = SyncVectorEnv([lambda: MolDesignEnv(**config)] * N_ENVS, autoreset_mode=mode)
    return native, sync


def play(native, sync, mode, actor, n_steps=N_STEPS):
    """Step both, resetting by mask in mode Disabled; return the number of episodes."""
    rng, episodes = np.random.default_rng(1), 0
    start = native.reset(seed=5)
    assert_same(start, sync.reset(seed=5))
    obs = start[0]
    for _ in range(n_steps):
        actions = np.stack([actor(rng, row) for row in rows(obs)])
        ours = native.step(actions)
        assert_same(ours, sync.step(actions))
        assert native.observation_space.contains(ours[0])
        obs, ended = ours[0], ours[2] | ours[3]
        episodes += int(ended.sum())
        if mode == AutoresetMode.DISABLED and ended.any():
            again = native.reset(options={"reset_mask": ended})
            assert_same(again, sync.reset(options={"reset_mask": ended}))
            obs = again[0]
    return episodes


@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_env_equals_sync_for_any_actions(mode, morse, scramble):
    assert play(*environments(morse(), mode), mode, scramble) > 50


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("actor", ["build", "scramble"])
def test_vector_env_equals_sync_in_every_task(mode, actor, task, morse, request):
    limited = {"max_steps": 3} if actor == "build" else {}
    native, sync = environments(morse(depth=1.0), mode, **task, **limited)
    assert play(native, sync, mode, request.getfixturevalue(actor), n_steps=60) > 20


def test_vector_env_equals_sync_with_seeds_and_options(morse):
    native, sync = environments(morse(), AutoresetMode.NEXT_STEP, task={"kind": "bags"})
    seeds = [7, 3, 7, 11]
    start = native.reset(seed=seeds)
    assert_same(start, sync.reset(seed=seeds))
    assert native.np_random_seed == sync.np_random_seed == tuple(seeds)
    assert [g.bit_generator.state for g in native.np_random] == [
        g.bit_generator.state for g in sync.np_random
    ]
    assert_same({key: array[0] for key, array in start[0].items()}, rows(start[0])[2])
    for options in ({"held_out": True}, {"bag": "C2H6"}, None):
        assert_same(native.reset(options=options), sync.reset(options=options))


@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_env_equals_sync_when_energies_fail(mode, morse, build):
    energy = morse(max_atoms=4)
    native, sync = environments(energy, mode)
    assert play(native, sync, mode, build) > 50
    assert native.endings["energy failed"] > 20


@pytest.mark.parametrize("energy", ["gfn2", "mace"])
def test_vector_env_equals_sync_with_shipped_energies(energy, build):
    mode = AutoresetMode.NEXT_STEP
    native, sync = environments(energy, mode)
    assert play(native, sync, mode, build) > 50
    assert native.endings["complete"] > 5


def test_vector_env_equals_single_environments(morse, build):
    config = {"bag": "CH3NO", "energy": morse()}
    native = gym.make_vec("MolDesign-v0", N_ENVS, autoreset_mode="SameStep", **config)
    singles = [gym.make("MolDesign-v0", **config) for _ in range(N_ENVS)]
    rng = np.random.default_rng(2)
    obs = native.reset(seed=0)[0]
    for row, env in zip(rows(obs), singles, strict=True):
        assert_same(row, env.reset(seed=0)[0])
    for _ in range(N_STEPS):
        actions = np.stack([build(rng, row) for row in rows(obs)])
        obs, rewards, terminated, _, infos = native.step(actions)
        for i, env in enumerate(singles):
            last, reward, ended, _, info = env.step(actions[i])
            assert rewards[i] == pytest.approx(reward, abs=1e-4)
            assert terminated[i] == ended
            ours, mine = (infos["final_info"], infos["final_obs"][i]) if ended else (infos, None)
            assert_same(
                info,
                {key: ours[key][i].item() if key != "reason" else ours[key][i] for key in info},
            )
            assert_same(rows(obs)[i] if mine is None else mine, last)
            if ended:
                assert_same(rows(obs)[i], env.reset()[0])

import warnings

import numpy as np
import pytest
import torch

from molrl.agents.config import PolicyConfig
from molrl.agents.generator import draw_actions
from molrl.agents.imitation_config import CloningConfig, ImitationConfig
from molrl.agents.training import AgentTraining
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import observe
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError

SMALL = PolicyConfig(width=16, channels=4, degree=2, lobes=1)


def training(task, config, total_steps):
    env = MolDesignVectorEnv(4, "SameStep", task=task, energy="mace-small")
    return AgentTraining(env, SMALL, config, total_steps, seed=0)


def molecules_of(network, problem, n=40):
    """Return the molecules that a policy completes."""
    rng = np.random.default_rng(0)
    state = problem.initial_state([problem.draw(rng, problem.task) for _ in range(n)])
    complete, active = np.zeros(n, bool), np.arange(n)
    while len(active):
        noise = rng.random((len(active), network.n_noise))
        actions = draw_actions(network, observe(state[active], problem.layout), noise)
        outcome = transition(state[active], actions, problem.context)
        state = state.updated(active, outcome.state)
        complete[active] = outcome.reason == Reason.COMPLETE
        active = active[outcome.reason == Reason.ONGOING]
    return state[np.flatnonzero(complete)].to_molecules()


def test_cloning_makes_no_more_steps_than_asked_for():
    made = training("H2O", CloningConfig(batch_size=16, batches=50), 40)
    made.run(lambda step, figures: None)
    assert made.algorithm.steps == 48  # three batches


def test_cloned_policy_builds_the_molecule_it_saw():
    config = CloningConfig(batch_size=64, learning_rate=0.01, batches=20)
    made = training("H2O", config, 10_240)
    losses = []
    made.run(lambda step, figures: losses.append(figures["imitation_loss"]))
    assert losses[-1] < losses[0] - 2
    built = molecules_of(made.network, made.env.problem)
    assert len(built) >= 36
    assert validity(built).valid.mean() >= 0.9


def test_cloning_learns_from_molecules_of_the_task_only():
    made = training({"kind": "bags", "bags": ["C3H6O", "CH4O"], "held_out": []}, CloningConfig(), 1)
    seen = {isomer.smiles for isomer in made.algorithm._molecules}
    known = shipped_molecules().of_split("train")
    wanted = {"CO", *known.isomers("C3H6O").identities}
    assert seen == wanted
    assert len(wanted) > 3


def test_cloning_without_a_molecule_of_the_task_is_refused():
    with pytest.raises(InputError, match="none of the molecules is of C12H2, of the train split"):
        training("C12H2", CloningConfig(), 1)
    with pytest.raises(InputError, match="cloning trains on bags only"):
        training({"kind": "cluster"}, CloningConfig(), 1)


def test_imitation_refuses_molecules_none_of_which_is_of_the_task():
    with pytest.raises(InputError, match="imitation: none of the molecules is of C12H2"):
        training("C12H2", ImitationConfig(molecules=("shipped",)), 1)


def test_training_with_a_smaller_last_minibatch_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        training("CH4O", ImitationConfig(num_envs=4), 1)


def test_imitation_begins_with_given_molecules():
    made = training("C3H8O", ImitationConfig(molecules=("shipped",)), 100)
    isomers = made.algorithm.model.archive.isomers
    known = shipped_molecules().isomers("C3H8O")
    assert {isomer.smiles for isomer in isomers} == set(known.identities)
    energies = made.env.energy_model.evaluate(known.molecules).energy
    expected = dict(zip(known.identities, energies.tolist(), strict=True))
    for isomer in isomers:
        assert isomer.energy == pytest.approx(expected[isomer.smiles], abs=1e-3)


def test_matrices_between_features_are_updated_by_muon_and_all_other_weights_by_adam():
    made = training("H2O", CloningConfig(batch_size=16, batches=2), 32)
    theirs = [set(map(id, group["params"])) for group in made.algorithm._optimizer.param_groups]
    named = dict(made.network.named_parameters())
    assert {id(parameter) for parameter in named.values()} == theirs[0] | theirs[1]
    assert not theirs[0] & theirs[1]
    assert id(named["encoder.layers.1.sender.2.weight"]) in theirs[1]
    for name in ("encoder.element.weight", "encoder.layers.1.sender.2.bias", "focus_head.2.weight"):
        assert id(named[name]) in theirs[0]


def test_critic_is_not_changed_by_cloning():
    made = training("H2O", CloningConfig(batch_size=16, batches=2), 32)
    before = made.network.critic[-1].weight.detach().clone()
    made.run(lambda step, figures: None)
    assert torch.equal(made.network.critic[-1].weight, before)

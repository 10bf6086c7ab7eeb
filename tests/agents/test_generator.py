"""Trained agents as generators: their files, headers and returns."""

import sys

import pytest
import torch

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.generator import AgentGenerator, save_agent
from molrl.agents.interface import PolicyNetwork
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.runs.weights import load_weights, save_weights
from molrl.tasks.bag import BagTask


@pytest.fixture
def policy(tmp_path):
    """Return a function that changes the header of the file of an untrained policy."""
    envs = MolDesignVectorEnv(2, bag="CO", energy="mace-small", autoreset_mode="SameStep")
    training = AgentTraining(
        envs, PolicyConfig(width=16, channels=4, degree=2, layers=1), PPOConfig(num_envs=2), 8, 0
    )
    save_agent(tmp_path, training.network, training.header)

    def change(**fields):
        tensors, header = load_weights(tmp_path / "policy.json", "covariant")
        own = {key: header[key] for key in header if key not in ("sha256", "header_sha256")}
        save_weights(tmp_path / "policy.json", tensors, own | fields)
        return tmp_path / "policy.json"

    return change


def test_agent_generator_does_not_import_code_of_a_header(policy, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('a header has run code')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = policy(reward={"energy": 1.0, "mine": {"call": "trap:f", "weight": 2.0}})
    made = AgentGenerator(path).generate("CO", 2, seed=0)
    assert made.molecules.n_atoms.tolist() == [2, 2]
    assert "trap" not in sys.modules


def test_agent_generator_does_not_change_the_global_random_state(policy):
    path = policy()
    before = torch.get_rng_state()
    AgentGenerator(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_agent_generator_evaluates_no_energy_without_a_reward(policy):
    path = policy(energy="absent", energy_hash="gone")
    made = AgentGenerator(path).generate("CO", 3, seed=0)
    assert (made.returns, made.energy_calls) == (None, 0)
    with pytest.raises(InputError, match="unknown energy model 'absent'"):
        AgentGenerator(path, reward={"energy": 1.0})


def test_agent_generator_refuses_temperatures_that_are_none(policy):
    with pytest.raises(InputError, match=r"temperature must be 0\.001 to 100, not 0"):
        AgentGenerator(policy(), temperature=0)
    network = AgentGenerator(policy())._network
    with pytest.raises(InputError, match="CovariantNetwork has no temperature; leave it out"):
        PolicyNetwork.act_tempered(network, {}, torch.zeros(1, 9), 0.5)


def test_agent_generator_returns_are_of_the_given_reward(policy):
    path = policy()
    made = AgentGenerator(path, reward={"energy": 2.0}).generate("CO", 3, seed=0)
    single = AgentGenerator(path, reward={"energy": 1.0}).generate("CO", 3, seed=0).returns
    complete = [(a, b) for a, b in zip(made.returns, single, strict=True) if b > 0]
    assert len(complete) == 3
    for a, b in complete:
        assert a == pytest.approx(2 * b)
    assert made.energy_calls > 0


def test_agent_generator_refuses_what_the_reward_or_the_elements_do_not_fit(policy):
    own = {"relative_energy": {"references": {"CO": -40.0}}}
    with pytest.raises(InputError, match="no reference energy for C2"):
        AgentGenerator(policy(), reward=own).generate("C2", 1, seed=0)
    with pytest.raises(InputError, match="CSi holds Si, and the covariant policy knows H C N O; t"):
        AgentGenerator(policy()).generate("SiC", 1, seed=0)


def test_agent_generator_reads_headers_with_the_old_name_of_a_rule(policy):
    generator = AgentGenerator(policy(rules={"solo_distance": 1.2}))
    made = generator.generate("CO", 1, seed=0)
    assert made.molecules.n_atoms.tolist() == [2]


def test_agent_generator_reads_headers_with_a_bag_for_the_task(policy):
    path = policy()
    tensors, header = load_weights(path, "covariant")
    assert header["task"] == {"kind": "bag", "bag": "CO"}
    old = {key: header[key] for key in header if key not in ("sha256", "header_sha256", "task")}
    save_weights(path, tensors, old | {"bag": "CO"})
    assert AgentGenerator(path).header.task == BagTask(bag="CO")


def test_agent_generator_makes_other_kinds_of_tasks(policy):
    scaffold = {"kind": "scaffold", "scaffold": "*C", "bag": "HO"}
    made = AgentGenerator(policy()).generate(scaffold, 2, seed=0)
    assert made.molecules.n_atoms.tolist() == [6, 6]
    bags = AgentGenerator(policy()).generate({"kind": "bags", "bags": ["CO", "C2"]}, 4, seed=0)
    assert {bag.formula for bag in bags.molecules.bags()} <= {"CO", "C2"}


def test_agent_generator_completes_bags_that_the_episodes_of_the_training_did_not(policy):
    made = AgentGenerator(policy(max_steps=2)).generate("CO2", 2, seed=0)
    assert made.molecules.n_atoms.tolist() == [3, 3]


def test_agent_generator_says_once_that_a_task_is_larger_than_its_training(policy, capsys):
    generator = AgentGenerator(policy())
    generator.generate("C2", 1, seed=0)
    assert capsys.readouterr().err == ""
    for _ in range(2):
        generator.generate("CO2", 1, seed=0)
    said = "molrl: the covariant policy was trained on up to 2 heavy atoms, and CO2 has 3; few"
    assert [line[: len(said)] for line in capsys.readouterr().err.splitlines()] == [said]


def test_agent_generator_says_once_that_fixed_atoms_are_of_unknown_elements(policy, capsys):
    generator = AgentGenerator(policy())
    scaffold = {"kind": "scaffold", "scaffold": "*Br", "bag": "C"}
    for _ in range(2):
        generator.generate(scaffold, 1, seed=0)
    said = "molrl: the covariant policy was not trained on Br, which is among the fixed atoms; few"
    assert [line[: len(said)] for line in capsys.readouterr().err.splitlines()] == [said]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"kind": "shape"}, "does not observe points to fill, which a task of kind shape has"),
        ({"kind": "cluster"}, "does not observe refills of the bag"),
    ],
    ids=["shape", "cluster"],
)
def test_agent_generator_refuses_tasks_that_its_policy_does_not_observe(policy, task, message):
    with pytest.raises(InputError, match=message):
        AgentGenerator(policy()).generate(task, 1, seed=0)

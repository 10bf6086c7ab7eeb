"""Tasks as plain data: parsing, errors, instances, and where they are taken."""

import pickle
from typing import Literal

import gymnasium as gym
import numpy as np
import pytest
import torch

from molrl.agents.random import RandomAgent
from molrl.bags import Bag
from molrl.chemistry.training_set import HELD_OUT
from molrl.envs.config import EnvConfig, Rules, default_options
from molrl.envs.design import MolDesignEnv
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.tasks import TASKS, Instance, Task, parse_task
from molrl.tasks.bag import BagTask
from molrl.tasks.formulas import FormulasTask
from molrl.tasks.scaffold import ScaffoldTask
from molrl.tasks.shape import ShapeTask

SCAFFOLD = {"kind": "scaffold", "scaffold": "*C", "bag": "CH3"}


class Alkane(Task):
    """Alkanes of random length."""

    kind: Literal["alkane"] = "alkane"
    max_carbons: int = 3

    def draw(self, rng):
        n = rng.integers(1, self.max_carbons, endpoint=True)
        return Instance(Bag({6: n, 1: 2 * n + 2}))

    @property
    def max_atoms(self):
        return 3 * self.max_carbons + 2


def test_parse_task_reads_formulas_bags_mappings_and_tasks():
    task = BagTask(bag="CH4O")
    for given in ("OCH4", Bag("CH4O"), {"bag": "CH4O"}, {"kind": "bag", "bag": "CH4O"}, task):
        assert parse_task(given) == task
    assert parse_task(SCAFFOLD) == ScaffoldTask(scaffold="*C", bag="CH3")


@pytest.mark.parametrize("kind", list(TASKS))
def test_parse_task_reads_back_what_each_kind_dumps(kind):
    task = parse_task({"kind": kind})
    task.draw(np.random.default_rng(0))
    again = parse_task(task.model_dump(mode="json"))
    assert again == task
    assert pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.array([[0.0, 0, 0], [1.5, 0, 0]]), [[0.0, 0, 0], [1.5, 0, 0]]),
        (torch.tensor([[0.0, 0, 0], [1.5, 0, 0]]), [[0.0, 0, 0], [1.5, 0, 0]]),
        ({"kind": "ring", "radius": np.float32(1.5)}, {"kind": "ring", "radius": 1.5}),
    ],
)
def test_shape_task_keeps_arrays_and_their_numbers_as_plain_data(given, plain):
    task = ShapeTask(shape=given, n_points=2)
    assert task.shape == plain
    assert parse_task(task.model_dump(mode="json")) == task
    assert task.instance.shape.shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "scafold"}, "unknown kind of task 'scafold'; did you mean 'scaffold'?"),
        ({"kind": 3}, "a kind of task must be a name such as bag, not 3"),
        ({"kind": "scaffold", "scafold": "*C"}, "unknown key 'scafold' of a task of kind scaffold"),
        ({"bag": 3}, "a bag must be a formula such as CH4O, not 3"),
        ({"kind": "stochastic", "max_size": 1001}, "max_size must be less than or equal to 1000"),
        ({"kind": "cluster", "n_solvent": 1001}, "n_solvent must be less than or equal to 1000"),
        ({"kind": "linker", "gap": "2.5"}, "gap must be a valid number, not '2.5'"),
        ({"kind": "bags", "bags": ["CH4", "Hx"]}, "unknown element 'Hx'"),
        ("scaffold", "invalid formula 'scaffold'"),
        (3, "a task must be a formula such as CH4O, or a mapping"),
        (None, "a task must be a formula"),
    ],
)
def test_parse_task_refuses_bad_data_in_one_line(data, message):
    with pytest.raises(InputError) as refused:
        parse_task(data)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_models_refuse_wrong_values_in_one_line():
    for build, message in [
        (lambda: Rules(clash_fraction="0.5"), "Rules: clash_fraction must be a valid number"),
        (lambda: Rules(keep_rejected=1), "Rules: keep_rejected must be a valid boolean, not 1"),
        (lambda: BagTask(bga="CH4"), "BagTask: unknown key 'bga'; did you mean 'bag'?"),
        (lambda: EnvConfig(task={"bag": "Qq"}), "EnvConfig: task.bag: invalid formula 'Qq'"),
    ]:
        with pytest.raises(InputError) as refused:
            build()
        assert str(refused.value).startswith(message)
        assert "\n" not in str(refused.value)


def test_instances_of_tasks_say_sizes_and_elements():
    cluster = parse_task({"kind": "cluster", "solute": "C=O", "n_solvent": 3})
    assert (cluster.max_atoms, cluster.instance.finished_bag) == (13, Bag("CH8O4"))
    assert cluster.single_bag is None
    assert parse_task("CH4").single_bag == Bag("CH4")
    assert parse_task({"kind": "bags"}).single_bag is None
    assert [parse_task(bag).is_odd for bag in ("CH4", "CH3")] == [False, True]
    assert parse_task({"kind": "scaffold", "scaffold": "c1ccccc1", "bag": "CH3"}).is_odd
    assert not parse_task({"kind": "stochastic"}).is_odd  # there is no list of its bags
    assert parse_task({"kind": "stochastic", "max_size": 12}).max_atoms == 12
    assert parse_task({"kind": "complex"}).default_elements == {8, 9, 16, 53}


def test_environments_take_models_mappings_formulas_and_keywords(morse):
    task = ScaffoldTask(scaffold="*C", bag="CH3")
    for given in (task, SCAFFOLD):
        assert MolDesignEnv(task=given, energy=morse()).task == task
        assert gym.make("MolDesign-v0", task=given, energy=morse()).unwrapped.task == task
        envs = gym.make_vec("MolDesign-v0", 2, task=given, energy=morse())
        assert envs.unwrapped.task == task
    keywords = {"scaffold": "*C", "bag": "CH3", "energy": morse()}
    assert gym.make("MolDesignScaffold-v0", **keywords).unwrapped.task == task
    assert gym.make_vec("MolDesignScaffold-v0", 2, **keywords).unwrapped.task == task
    assert MolDesignVectorEnv(2, task="CH4O", energy=morse()).task == BagTask(bag="CH4O")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "CH4", "bag": "CH4O"}, "the keyword 'bag' is in the task, too"),
        ({"task": BagTask(), "bag": "CH4O"}, "the keyword 'bag' is in the task, too"),
        ({"task": {"bag": "CH4"}, "bag": "CH4O"}, "the keyword 'bag' is in the task, too"),
        ({"task": SCAFFOLD, "solute": "O"}, "unexpected keyword argument 'solute'"),
        ({"task": SCAFFOLD | {"solute": "O"}}, "unknown key 'solute' of a task of kind scaffold"),
        ({"kind": "scaffold"}, "unexpected keyword argument 'kind'"),
        ({"task": 5}, "a task must be a formula"),
        ({"rules": {"clash_fraction": "0.5"}}, "clash_fraction must be a valid number, not '0.5'"),
    ],
    ids=str,
)
def test_environment_refuses_bad_tasks_in_one_line(arguments, message, morse):
    with pytest.raises(InputError) as refused:
        MolDesignEnv(energy=morse(), **arguments)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_environment_options_default_by_the_kind_of_the_task(morse):
    linker = MolDesignEnv(task={"kind": "linker"}, energy=morse()).config
    assert linker.reward == {"energy": 1.0, "valid": 5.0}
    assert EnvConfig(task={"kind": "complex"}).energy == "gfn2"
    assert default_options("CH4O") == {"energy": "mace", "reward": {"energy": 1.0}}


def test_custom_task_runs_as_a_model_and_by_name(morse, monkeypatch):
    envs = MolDesignVectorEnv(16, task=Alkane(max_carbons=2), energy=morse())
    obs, _ = envs.reset(seed=0)
    assert {tuple(bag) for bag in obs["bag"].tolist()} == {(4, 1, 0, 0), (6, 2, 0, 0)}
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))
    TASKS.register("alkane", Alkane)
    env = MolDesignEnv(task={"kind": "alkane"}, energy=morse(), max_carbons=2)
    assert env.task == Alkane(max_carbons=2)


def test_environment_refuses_an_instance_with_a_cell(morse):
    class Crystal(Alkane):
        def draw(self, rng):
            return Instance(Bag("CH4"), cell=np.eye(3))

    with pytest.raises(InputError, match="no periodic cell"):
        MolDesignEnv(task=Crystal(), energy=morse())


@pytest.mark.parametrize("task", ["CH2O", {"kind": "bags"}, SCAFFOLD], ids=str)
def test_random_agent_makes_molecules_of_each_task(task, morse):
    made = RandomAgent(morse(depth=0.0)).generate(task, n=3, seed=0)
    bags = [Bag(bag) for bag in made.molecules.bags()]
    instances = parse_task(task).instances()
    assert len(bags) == 3
    assert set(bags) <= {instance.finished_bag for instance in instances}


def test_formulas_task_draws_known_formulas_but_none_that_are_held_out():
    task = FormulasTask(min_heavy_atoms=3, max_heavy_atoms=4)
    bags = [instance.bag for instance in task.instances()]
    assert {sum(z > 1 for z in bag.numbers) for bag in bags} == {3, 4}
    assert "C2H6O" in {bag.formula for bag in bags}
    assert not {bag.formula for bag in bags} & HELD_OUT
    assert task.for_episode({"bag": "C3H8O"}).single_bag == Bag("C3H8O")  # if one asks for it


def test_formulas_task_without_a_formula_is_refused():
    with pytest.raises(InputError, match="no known formula has 30 to 31 heavy atoms"):
        FormulasTask(min_heavy_atoms=30, max_heavy_atoms=31).instances()

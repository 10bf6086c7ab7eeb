"""The tasks that all generators are asked for, and the figures of what they make."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import molrl
from molrl.chemistry.training_set import HELD_OUT, load_training_set
from molrl.tasks import parse_task

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

import qm7_20
from common_tasks import COUNTS, Outcome, fit, main, make_tasks, outcome, rows
from record import run_script


@pytest.fixture(scope="module")
def tasks():
    return make_tasks()


def test_common_tasks_are_100_whose_bags_are_those_of_real_molecules(tasks):
    assert Counter(task.kind for task in tasks) == COUNTS
    assert sum(COUNTS.values()) == 100
    real = {bag.formula for bag in load_training_set().of_split("test").molecules.bags()}
    assert {task.instances()[0].finished_bag.formula for task in tasks} <= real - HELD_OUT
    assert [str(task) for task in make_tasks()] == [str(task) for task in tasks]


def test_real_molecule_fits_the_shape_that_was_made_of_it(tasks):
    task = next(task for task in tasks if task.kind == "shape")
    (instance,) = task.instances()
    heavy = np.sort([z for z in instance.bag.numbers if z > 1])
    assert fit(instance, heavy, instance.shape.astype(float))
    assert not fit(instance, heavy, instance.shape + np.array([2.0, 0, 0]))
    moved = instance.shape.astype(float)
    moved[0] += 2 * (moved[0] - moved.mean(0))
    assert not fit(instance, heavy, moved)


def test_fixed_atoms_fit_in_any_order_while_they_stay():
    (instance,) = parse_task({"kind": "scaffold", "scaffold": "*C#N", "bag": "CH3"}).instances()
    fixed, turned = instance.fixed, slice(None, None, -1)
    assert fit(instance, fixed.numbers[turned], fixed.positions[turned])
    assert not fit(instance, fixed.numbers, fixed.positions[turned])


def test_tasks_that_a_generator_refuses_count_as_failed(tasks):
    shape, scaffold, _ = tasks[:3]
    generator = molrl.load_generator("covariant", device="cpu")
    found = [outcome(generator, task, 4) for task in (shape, scaffold)]
    assert "does not observe points to fill" in found[0].refusal
    assert found[1].made == found[1].fits == 4
    every, shapes, scaffolds = rows(found, 4)
    assert (every["tasks"], every["refused"], every["given up"]) == ("2 all", 1, 0)
    assert every["fits %"] == 50
    assert shapes["solved %"] == 0
    assert shapes["CPU s a molecule"] is None
    assert scaffolds["solved %"] == 100 * found[1].solved / 4


def test_task_that_a_generator_gives_up_counts_as_failed():
    (every, _) = rows([Outcome("linker", seconds=1.0)], 2)
    assert (every["given up"], every["valid %"]) == (1, 0)


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        (main, ["random", "-n", "0"], "-n and --tasks must be at least 1"),
        (main, ["run:a", "run:b"], "two methods of the same kind"),
        (qm7_20.main, ["qm7.extxyz", "--set", "temperature=0"], "temperature must be 0.001 to 100"),
        (qm7_20.main, ["qm7.extxyz", "--per-isomer", "0"], "--per-isomer must be at least 1"),
    ],
)
def test_scripts_refuse_bad_arguments_in_one_line(script, arguments, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        run_script(script)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert said in line

"""The check of a task: ours pass it, and each broken rule is named."""

from typing import Literal

import numpy as np
import pytest

from molrl import testing
from molrl.bags import Bag
from molrl.parts import TASKS
from molrl.tasks import Instance, Task
from molrl.tasks.bags import BagsTask


@pytest.mark.parametrize("kind", [kind for kind in TASKS if TASKS.source(kind) == "molrl"])
def test_check_task_passes_ours(kind):
    testing.check_task({"kind": kind})


def test_check_task_passes_bags_in_turn():
    testing.check_task(BagsTask(order="cycled"))


class Alkane(Task):
    """Alkanes of one or two carbon atoms."""

    kind: Literal["alkane"] = "alkane"

    def draw(self, rng):
        n = int(rng.integers(1, 3))
        return Instance(Bag({6: n, 1: 2 * n + 2}))

    @property
    def max_atoms(self):
        return 8


class Forgetful(Alkane):
    """A task whose sampler goes on from the beginning when it is restored."""

    def sampler(self):
        return Turns()


class Turns:
    def __init__(self):
        self.next = 0

    def draw(self, rng):
        self.next += 1
        return Instance(Bag(["CH4", "C2H6", "C3H8"][self.next % 3]))

    def sampler_state(self):
        return self.next

    def restore_sampler(self, state):
        pass


def test_check_task_passes_one_that_is_not_registered():
    testing.check_task(Alkane())


HYDROCARBON = property(lambda self: frozenset({1, 6}))
BROKEN = {
    "it draws instances, the same ones": {
        "draw": lambda self, rng: Instance(Bag({6: int(np.random.default_rng().integers(1, 99))}))
    },
    "it draws instances, the same ones for the same seed: it drew 'CH4'": {
        "draw": lambda self, rng: "CH4"
    },
    "the instances have the elements, at most max_atoms": {"max_atoms": property(lambda self: 5)},
    "the instances have the elements": {"elements": property(lambda self: frozenset({6}))},
    "the instances have the elements, at most max_atoms, and are in the list if any": {
        "instances": lambda self: [Instance(Bag("CH4"))]
    },
}


@pytest.mark.parametrize("rule", BROKEN)
def test_check_task_names_the_broken_rule(rule):
    own = {"__annotations__": {}, "__module__": __name__, "elements": HYDROCARBON}
    broken = type("Broken", (Alkane,), own | BROKEN[rule])
    with pytest.raises(AssertionError, match=rule):
        testing.check_task(broken())


def test_check_task_names_a_sampler_that_is_not_restored():
    with pytest.raises(AssertionError, match="a sampler that is restored goes on as the first"):
        testing.check_task(Forgetful())

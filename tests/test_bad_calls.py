"""Invalid arguments of calls are refused in one line that names them, and nothing is written."""

import gymnasium
import numpy as np
import pytest
import torch

import molrl
from molrl.agents.files import SHIPPED
from molrl.agents.generator import save_model
from molrl.agents.vec_env import SB3VecEnv, ScaledReward
from molrl.bags import Bag
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch
from molrl.parts import REGISTRIES
from molrl.tasks import Instance


def step(action):
    env = gymnasium.make("MolDesign-v0", bag="H2O", energy="gfn2", disable_env_checker=True)
    env.reset(seed=0)
    env.step(action)


def vector():
    return MolDesignVectorEnv(2, "SameStep", bag="H2O", energy="gfn2")


def unfit(kind):
    """Use what is registered under a name, but no part of this kind."""
    name = f"unfit-{kind}"
    molrl.register(kind, name, "math:pi", replace=True)
    try:
        given = {"task": {"kind": name}} if kind == "task" else {"bag": "H2O", kind: {name: 1.0}}
        gymnasium.make("MolDesign-v0", energy="gfn2", **given)
    finally:
        del REGISTRIES[kind]._entries[name]


CALLS = {
    "a NaN action": (lambda: step(np.full(5, np.nan, np.float32)), "action"),
    "an infinite action": (lambda: step(np.full(5, np.inf, np.float32)), "action"),
    "an action of another shape": (lambda: step(np.zeros(7, np.float32)), "action"),
    "an action of words": (lambda: step(np.array(["a"] * 5)), "action"),
    "no action": (lambda: step(None), "action"),
    "an empty bag": (lambda: Bag({}), "a bag holds 1 to 1000 atoms"),
    "a bag of antimatter": (lambda: Bag({6: -1}), "-1 atoms"),
    "an unknown environment option": (
        lambda: gymnasium.make("MolDesign-v0", bga="H2O", energy="gfn2"),
        "unexpected keyword argument 'bga'; did you mean 'bag'?",
    ),
    "an energy that is not a name": (
        lambda: molrl.load_energy(5),
        "an energy model must be a name",
    ),
    "an argument that is not taken": (lambda: molrl.load_energy("gfn2:x"), "takes nothing"),
    "a generator and a colon": (
        lambda: molrl.load_generator("covariant:"),
        "the argument after the colon is missing",
    ),
    "a negative seed": (
        lambda: molrl.load_generator("random").generate("CH4", n=1, seed=-1),
        "seed must be a whole number, at least 0, not -1",
    ),
    "half a molecule": (
        lambda: molrl.load_generator("simgen").generate("CH4", n=0.5, seed=0),
        "n must be a whole number, at least 1, not 0.5",
    ),
    "no molecule": (
        lambda: molrl.load_generator("diffusion").generate("CH4", n=0, seed=0),
        "n must be a whole number, at least 1, not 0",
    ),
    "a seed that is a word": (
        lambda: molrl.load_generator("random-search").generate("CH4", n=1, seed="a"),
        "seed must be a whole number, at least 0, not 'a'",
    ),
    "a run of another policy": (
        lambda: molrl.load_generator(f"internal:{SHIPPED['covariant']}"),
        "covariant.json has a policy of kind covariant, not internal; write run:",
    ),
    "a file that is a folder": (lambda: read_molecules("."), "is a folder"),
    "an action of complex numbers": (lambda: step(np.zeros(5, complex)), "action"),
    "an action of digits in words": (lambda: step(["0", "1", "0", "0", "0"]), "action"),
    "options that are no mapping": (
        lambda: vector().reset(options="x"),
        'options of reset must be a mapping such as {"bag": "CH4"}, not \'x\'',
    ),
    "a drawing that is no function": (
        lambda: gymnasium.make("MolDesign-v0", bag="H2O", energy="gfn2", draw=3),
        "draw must be a function of numbers and positions, not 3",
    ),
    "held out by a word": (
        lambda: gymnasium.make("MolDesignBags-v0", energy="gfn2").reset(
            options={"held_out": "yes"}
        ),
        "held_out must be True or False, not 'yes'",
    ),
    "a generator that is no name": (
        lambda: molrl.load_generator(None),
        "a generator must be a name such as random, not None",
    ),
    "an instance of a formula": (lambda: Instance("CH4"), "an instance has a Bag"),
    "a task that is no class of tasks": (lambda: unfit("task"), "must be a subclass of molrl.Task"),
    "a term that is no class": (lambda: unfit("reward"), "it must be a class of terms, not 3.14"),
    "a scale of 0": (lambda: ScaledReward(SB3VecEnv(vector()), 0.0), "a number above 0, eV"),
    "a scale that is a word": (
        lambda: ScaledReward(SB3VecEnv(vector()), "a"),
        "a number above 0, eV, not 'a'",
    ),
    "an adapter of a single environment": (
        lambda: SB3VecEnv(gymnasium.make("MolDesign-v0", bag="H2O", energy="gfn2")),
        "SB3VecEnv adapts MolDesignVectorEnv",
    ),
    "a model that is a word": (lambda: save_model("x", "y"), "a model of stable-baselines3"),
    "what was generated": (
        lambda: molrl.evaluate(molrl.load_generator("random").generate("O", n=1, seed=0)),
        "; give its .molecules",
    ),
    "a file in place of its molecules": (
        lambda: molrl.evaluate("a.sdf"),
        "not 'a.sdf'; read a file with molrl.read",
    ),
    "shapes that do not match": (
        lambda: MoleculeBatch(torch.ones(2), torch.zeros(3, 3), torch.tensor([2])),
        "positions must be (2, 3)",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_refuse_invalid_arguments_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, wanted = CALLS[name]
    with pytest.raises(InputError) as refused:
        call()
    line = str(refused.value)
    assert wanted in line
    assert "\n" not in line
    assert not list(tmp_path.iterdir())

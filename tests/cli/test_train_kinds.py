"""``molrl train`` on every kind of task, stopped and resumed to the same end, and what it made."""

import signal

import pytest
import yaml

import molrl
from molrl.agents.generator import AgentGenerator
from molrl.cli.main import main
from molrl.parts import TASKS

KINDS = {
    "bag": {"bag": "CO"},
    "bags": {"bags": ["CO", "C2", "H2O"], "held_out": []},
    "stochastic": {"reference": "CH2O", "min_size": 3, "max_size": 4},
    "formulas": {"max_heavy_atoms": 1},
    "cluster": {"solute": "C=O", "solvent": "H2O", "n_solvent": 2},
    "scaffold": {"scaffold": "*C", "bag": "H"},
    "linker": {"fragments": ["*C", "*C#N"], "bag": "CH2"},
    "shape": {"shape": "line", "n_points": 8, "bag": "CO"},
    "complex": {"bag": "SOF4"},
}
CONFIG = {
    "run_dir": "whole",
    "total_steps": 144,
    "checkpoint_every": 48,
    "energy": "gfn2",
    "policy": {"width": 16, "channels": 4, "degree": 2, "layers": 1},
    "algorithm": {"num_envs": 6, "n_steps": 8, "batch_size": 24, "n_epochs": 1},
    "evaluation": {"n_molecules": 1},
}


def test_kinds_are_all_tried():
    assert {*KINDS} == {kind for kind in TASKS if TASKS.source(kind) == "molrl"}


@pytest.mark.slow
@pytest.mark.bitwise
@pytest.mark.parametrize("kind", KINDS)
def test_train_on_every_kind_is_resumed_to_the_same_end(kind, here, run_signalled):
    config = CONFIG | {"task": {"kind": kind, **KINDS[kind]}}
    (here / "train.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", "train.yaml"]) == 0
    code, _ = run_signalled(signal.SIGTERM, 96, "train", "train.yaml", "run_dir=run")
    assert code == 143
    assert main(["resume", "run"]) == 0
    for name in ("metrics.csv", "policy.safetensors"):
        assert (here / "run" / name).read_bytes() == (here / "whole" / name).read_bytes(), name
    assert AgentGenerator("run").header.task.kind == kind


def test_train_on_several_bags_generates_each_of_them(here):
    config = CONFIG | {"task": {"kind": "bags", **KINDS["bags"]}}
    (here / "train.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", "train.yaml", "evaluation.n_molecules=4"]) == 0
    assert (here / "whole" / "summary.json").is_file()
    task = "{kind: bags, bags: [CO, C2], held_out: []}"
    asked = ["generate", "--method", "run:whole", "--task", task, "-n", "8", "-o", "made.extxyz"]
    assert main(asked) == 0
    formulas = {bag.formula for bag in molrl.read("made.extxyz").bags()}
    assert formulas == {"CO", "C2"}

"""Configs of commands: given by a task alone, documented by the help, checked without PyTorch."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from molrl.cli.configs import read_config, read_task
from molrl.cli.defaults import training_overrides
from molrl.cli.experiment import ExperimentConfig
from molrl.cli.keys import EXAMPLES
from molrl.cli.main import main, parse
from molrl.cli.parser import build_parser
from molrl.runs.config import config_from_overrides
from molrl.runs.folder import RunFolder
from molrl.tasks import parse_task

ROOT = Path(__file__).resolve().parents[2]


def config(*arguments):
    return read_config(build_parser().parse_args(["train", *arguments]), ExperimentConfig)


def test_train_takes_a_formula_instead_of_a_file(here):
    given = config("--bag", "CH4O")
    of_file = config(str(ROOT / "experiments" / "quickstart.yaml"))
    assert given.run_dir == Path("runs/train-CH4O")
    own = {"run_dir", "total_steps", "checkpoint_every", "evaluate_every"}
    assert given.model_dump(exclude=own) == of_file.model_dump(exclude=own)
    lengths = [(c.total_steps, c.checkpoint_every, c.evaluate_every) for c in (given, of_file)]
    assert lengths == [(60_000, 15_000, 10_000), (24_000, 6_000, 3_000)]


def test_train_puts_overrides_on_top_of_a_task(here):
    given = config("--bag", "C2H6O", "env.canvas_size=30", "run_dir=mine", "total_steps=1e3")
    assert (given.env.canvas_size, given.run_dir, given.total_steps) == (30, Path("mine"), 1000)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("CH4O", "train-CH4O"),
        ({"bag": "NO"}, "train-NO"),  # which is false in YAML
        ({"kind": "scaffold", "scaffold": "*C", "bag": "CH3"}, "train-scaffold-CH3"),
        ({"kind": "bags"}, "train-bags"),
    ],
)
def test_training_overrides_name_the_run_after_the_task(task, name):
    made = config_from_overrides(training_overrides(task), ExperimentConfig)
    assert made.run_dir == Path("runs", name)


def test_train_refuses_the_run_folder_of_a_formula_that_exists(here, capsys):
    run = RunFolder.create("runs/train-CH4O", config("--bag", "CH4O"), "train")
    run._file_lock.release()
    assert main(["train", "--bag", "CH4O"]) == 2
    err = capsys.readouterr().err
    assert "resume it with `molrl resume runs/train-CH4O`" in err
    assert "run_dir=runs/train-CH4O-2" in err


def keys_of(schema, prefix=""):
    for name, field in schema.model_fields.items():
        yield f"{prefix}{name}"
        if hasattr(field.default, "model_fields_set"):
            yield from keys_of(type(field.default), f"{prefix}{name}.")


def test_help_of_train_documents_every_key(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["train", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    keys = list(keys_of(ExperimentConfig))
    assert "env.rules.clash_fraction" in keys
    for key in keys:
        (at,) = (
            i
            for i, line in enumerate(lines)
            if line.startswith((f"  {key} ", f"  {key}=", f"  {key}. "))
        )
        assert len(lines[at].split()) > 1 or lines[at + 1].startswith(" " * 30), key
    assert "  evaluation.n_molecules=100  number of molecules to sample and evaluate." in lines
    assert any(line.startswith("  scaffold ") for line in lines)


def test_help_of_generate_names_no_option_that_does_not_exist(capsys):
    assert main(["generate", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "settings=" not in said
    assert "NAME= any field of molrl.generators.simgen.config.SimgenConfig" in said


def test_help_of_generate_lists_methods_with_their_options(capsys):
    assert main(["generate", "--help"]) == 0
    out = capsys.readouterr().out
    for method in ("\n  covariant  ", "\n  random  "):
        assert method in out
    assert "\n    distances=                smallest and largest distance from the focal" in out


def test_help_of_evaluate_says_what_each_figure_means(capsys):
    assert main(["evaluate", "--help"]) == 0
    out = capsys.readouterr().out
    assert "\n  return fraction             mean return over that of the best known isomer\n" in out


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_of_the_help_are_valid(line, here):
    """In a folder without runs: a user may have followed them before the tests."""
    copytree(ROOT / "experiments", here / "experiments", ignore=ignore_patterns("results"))
    arguments = parse(shlex.split(line)[1:])
    if arguments.schema == "molrl.cli.experiment:ExperimentConfig":
        assert read_config(arguments, ExperimentConfig)
    elif read_task(arguments):
        assert parse_task(read_task(arguments))
    for name in re.findall(r"[\w/]+\.yaml", line):
        assert Path(name).is_file()


LIGHT = [
    ["train", "--bag", "CH4O", "totl_steps=5"],
    ["train", "--task", "{kind: scaffold, scaffold: '*C', bag: CH3}", "env.canvas_size=0"],
    ["train", str(ROOT / "experiments" / "quickstart.yaml"), "run_dir=setup.py"],
    ["generate", "--method", "random", "--bag", "methanol", "-o", "x.sdf"],
    ["generate", "--method", "randon", "--bag", "CH4O", "-o", "x.sdf"],
    ["launch", "--slurm", "absent.yaml"],
    ["resume", "absent"],
    ["evaluate", "absent.sdf"],
    ["energy", "fit", "data=mine.extxyz", "run_dir=fit", "stps=5"],
    ["energy", "data", "output=data.npz", "seed=-1"],
    ["energy", "molecules", "outpt=x"],
    ["energy", "learn", "absent.yaml"],
    ["energy", "data", "--help"],
    ["train", "--help"],
    ["generate", "--help"],
]
# The exit code of each command and the heavy modules that are imported after it.
CODES = """
import json, sys
from molrl.cli.main import main

for arguments in json.loads(sys.argv[1]):
    code = main(arguments)
    heavy = {"torch", "rdkit", "e3nn", "stable_baselines3", "mace"} & set(sys.modules)
    print("code", code, *heavy)
"""


def test_commands_check_configs_without_heavy_imports(here):
    (here / "setup.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", CODES, json.dumps(LIGHT)], capture_output=True, text=True, check=True
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("code")]
    wanted = ["code 0" if "--help" in arguments else "code 2" for arguments in LIGHT]
    assert list(zip(LIGHT, said, strict=True)) == list(zip(LIGHT, wanted, strict=True))

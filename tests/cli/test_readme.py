"""The commands and the Python of the README and of docs/ run, on a reduced budget."""

import re
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from ase.build import molecule

from molrl.cli.main import main
from molrl.energy.networks.config import parse_network
from molrl.energy.networks.interface import build_network
from molrl.energy.networks.potential import Potential
from molrl.molecules import MoleculeBatch

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def python_blocks(page):
    """The Python of a page, each block by itself, under the name of the page and its number."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return {f"{page.stem}-{i}": block for i, block in enumerate(blocks)}


BLOCKS = python_blocks(README)
for page in sorted((ROOT / "docs").glob("*.md")):
    BLOCKS |= python_blocks(page) if page.name != "README.md" else {}
ENVIRONMENTS = {name: block for name, block in BLOCKS.items() if "gym.make(" in block}
OTHERS = {name: block for name, block in BLOCKS.items() if name not in ENVIRONMENTS}


@pytest.fixture
def command():
    """The arguments of ``molrl`` in the command that installs it and trains."""
    text = README.read_text(encoding="utf-8")
    (line,) = re.findall(r"^python3 -m venv .*/molrl (train .*)$", text, re.MULTILINE)
    return line.split()


def test_readme_quickstart_prints_the_summary(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    budget = [f"run_dir={tmp_path / 'run'}", "total_steps=1500", "evaluation.n_molecules=2"]
    assert main([*command, *budget]) == 0
    lines = capsys.readouterr().out.splitlines()
    for label in ("return fraction", "valid", "median strain energy", "evaluator"):
        assert any(line.startswith(label) for line in lines), label
    assert (tmp_path / "run" / "molecules.png").is_file()


def test_readme_shows_an_environment_and_a_training():
    blocks = python_blocks(README).values()
    assert any("gym.make(" in block for block in blocks)
    assert any(".learn(" in block for block in blocks)


def test_pages_show_every_environment():
    shown = "".join(ENVIRONMENTS.values())
    ids = [name for name in gym.registry if name.startswith("MolDesign")]
    assert [name for name in ids if f'"{name}"' not in shown] == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environments_of_the_pages_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one writes a file
    names = {}
    exec(ENVIRONMENTS[name], names)
    made = [value for value in names.values() if isinstance(value, gym.Env)]
    assert any(env.observation_space.contains(value) for env in made for value in names.values())


@pytest.mark.parametrize("name", OTHERS)
def test_python_of_the_pages_runs_on_a_reduced_budget(name):
    code = OTHERS[name]
    reduced = re.sub(r"\.learn\([\d_]+\)", ".learn(768)", code).replace("range(500)", "range(2)")
    assert reduced.count(".learn(768)") == code.count(".learn(")
    exec(reduced, {})


def test_network_of_the_pages_gives_energies_and_forces():
    (code,) = (block for block in BLOCKS.values() if 'register("network"' in block)
    exec(code.replace('"pairs"', '"readme-pairs"'), {})
    network = build_network(parse_network({"architecture": "readme-pairs"}), seed=0)
    water = MoleculeBatch.from_ase(molecule("H2O"))
    found = Potential(network, (0.0,) * 6).predict(network.graph(water, torch.float32))
    energy, forces = found.energy, found.forces
    assert energy.shape == (1,)
    assert forces.detach().abs().max() > 0
    torch.testing.assert_close(forces.detach().sum(0), torch.zeros(3), atol=1e-5, rtol=0)

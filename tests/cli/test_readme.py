"""The first command of the README does what it says, on a reduced budget."""

import re
from pathlib import Path

import pytest

from molrl.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command():
    """The arguments of ``molrl`` in the first command of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = next(line for line in text.splitlines() if line.startswith("python3 -m venv"))
    return re.search(r"\.venv/bin/molrl (.*)", first)[1].split()


def test_the_quickstart_ends_with_its_table(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    budget = [f"run_dir={tmp_path / 'run'}", "total_steps=1500", "evaluation.n_molecules=5"]
    assert main([*command, *budget]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("bag ")) :]
    for label in ("return fraction", "valid", "median energy above relaxed", "judge"):
        assert any(line.startswith(label) for line in table)
    assert (tmp_path / "run" / "molecules.png").is_file()


def blocks():
    """The Python of the README, each block as a new user would paste it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("code", [block for block in blocks() if "gym.make" in block])
def test_the_python_of_the_readme_runs(code):
    names = {}
    exec(code, names)
    assert names["env"].observation_space.contains(names["obs"])


@pytest.mark.parametrize("code", [block for block in blocks() if "gym.make" not in block])
def test_so_does_the_rest_on_a_reduced_budget(code):
    exec(code.replace("learn(30_000)", "learn(768)"), {})

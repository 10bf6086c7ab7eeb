"""The package as designed: layers, lazy imports, linked subpackages, one test command."""

import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from grimp import build_graph
from importlinter.api import read_configuration
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[1]


def python(code, folder=ROOT):
    """Run code in a fresh interpreter, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_imports_follow_the_layers(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert read_configuration()["contracts_options"]
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "code",
    ["import molrl", "import molrl.cli.main as m; m.main(['--help'])"],
    ids=["import", "help"],
)
def test_import_and_help_load_neither_torch_nor_sb3(code):
    heavy = "{'torch', 'stable_baselines3', 'mace', 'e3nn', 'rdkit', 'ase'}"
    said = python(f"{code}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))")
    assert said.splitlines()[-1] == "[]"


def test_import_registers_the_environments():
    code = "import gymnasium, molrl\nprint(gymnasium.spec('MolDesign-v0').to_json())"
    assert "molrl.envs.design:MolDesignEnv" in python(code)


@pytest.mark.skipif(not (ROOT / "envs").is_symlink(), reason="this tree came without links")
@pytest.mark.parametrize("name", ["envs", "agents"])
def test_linked_subpackages_refuse_a_bare_import(name):
    code = f"try:\n    import {name}\nexcept ImportError as error:\n    print(error)"
    assert python(code).startswith(f"import molrl.{name}, not {name}")


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python3 -m venv .*pytest.*$", readme, re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_imports_have_no_cycle():
    graph = build_graph("molrl", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError


def lines_of(folder):
    return {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py")
    }


def test_files_stay_short_and_packages_in_proportion():
    every = lines_of(ROOT / "molrl")
    assert {str(path): n for path, n in every.items() if n >= 400} == {}
    for package in (path for path in (ROOT / "molrl").iterdir() if (path / "__init__.py").exists()):
        share = sum(lines_of(package).values()) / sum(every.values())
        assert share <= 0.22, package.name

"""``molrl list``: what there is, what is missing, and why."""

import os
import subprocess
import sys

import pytest

from molrl.cli.main import main
from molrl.parts import REGISTRIES

CODE = """
import sys
from molrl.cli.main import main
code = main(["list"])
print("heavy", sorted({"torch", "mace", "rdkit", "ase"} & set(sys.modules)))
sys.exit(code)
"""


@pytest.fixture
def installed(tmp_path):
    """The environment of a process in which a package with two energies is installed."""
    folder = tmp_path / "mine-1.0.dist-info"
    folder.mkdir()
    head = "Metadata-Version: 2.4\nName: mine\nVersion: 1.0\nLicense-Expression: BSD-2-Clause\n"
    (folder / "METADATA").write_text(head)
    points = "[molrl.energy]\ngood = mine:Good\nbad = mine_missing:Bad\nmace = mine:Good\n"
    (folder / "entry_points.txt").write_text(points)
    (tmp_path / "mine.py").write_text("class Good: pass\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


def test_list_names_every_part_and_the_licences_of_models(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind, registry in REGISTRIES.items():
        for name in registry:
            assert any(line.split()[:2] == [kind, name] for line in lines), (kind, name)
    (off,) = (line for line in lines if line.split()[1] == "mace-off")
    assert off.endswith("not for commercial use")


def test_list_names_a_package_that_cannot_be_imported_and_loads_nothing_heavy(installed):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert ["energy", "good", "mine", "yes", "BSD-2-Clause"] in lines
    (bad,) = (line for line in lines if line[1] == "bad")
    assert bad[2:4] == ["mine", "no"]
    assert "ModuleNotFoundError: No module named 'mine_missing'" in bad[4]
    assert any("of mine: the name is taken by molrl" in line for line in done.stdout.splitlines())
    assert lines[-1] == ["heavy", "[]"]

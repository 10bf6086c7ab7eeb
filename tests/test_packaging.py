"""What is shipped: a wheel from a fresh clone holds the whole package under one name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tracked():
    """Paths of the committed files, as they are called within the package."""
    names = run("git", "ls-tree", "-r", "--name-only", "HEAD", folder=ROOT).splitlines()
    rooms = {"envs/": "molrl/envs/", "agents/": "molrl/agents/", "molrl/": "molrl/"}
    return {new + name[len(old) :] for name in names for old, new in rooms.items()
            if name.startswith(old) and name not in ("molrl/envs", "molrl/agents")}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names in the wheel that a fresh clone of the last commit builds."""
    folder = tmp_path_factory.mktemp("build")
    run("git", "clone", "-q", "--no-local", str(ROOT), "clone", folder=folder)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    run(*build, str(folder / "clone"), folder=folder)
    (path,) = folder.glob("molrl-*.whl")
    return set(zipfile.ZipFile(path).namelist())


def test_the_only_top_level_is_molrl(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"molrl"}


def test_every_committed_file_of_the_package_is_in_it_and_nothing_else(wheel, tracked):
    assert {name for name in wheel if name.startswith("molrl/")} == tracked


def test_the_rooms_and_what_ships_are_in_it(wheel):
    for name in ("envs/design.py", "agents/policy.py", "cli/main.py", "py.typed"):
        assert f"molrl/{name}" in wheel
    for model in ("mace", "mace-small"):
        for ending in ("json", "safetensors", "uncertainty.json", "uncertainty.safetensors"):
            assert f"molrl/energy/mace/shipped/{model}.{ending}" in wheel
    assert "molrl/chemistry/shipped/molecules.npz" in wheel

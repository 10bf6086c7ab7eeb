"""Every way to install molrl gives the whole package under one name."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKE = """
import gymnasium as gym, molrl
env = gym.make("MolDesign-v0", bag="CH4O")
env.reset(seed=0)
import molrl.agents.policy, molrl.cli.main
print(molrl.__file__)
"""
FIND = "import molrl; print(molrl.__file__)"
PURELIB = "import sysconfig; purelib = sysconfig.get_path('purelib')"
KINDS = ("zip", "sdist", "wheel", "without links")


def run(*command, folder):
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=alone
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone of the last commit, in a folder called molrl as its repository is.

    A tree without its history, such as an unpacked zip, is committed to a new repository first.
    """
    folder = tmp_path_factory.mktemp("beside")
    if (ROOT / ".git").exists():
        run("git", "clone", "-q", "--no-local", str(ROOT), "molrl", folder=folder)
        return folder / "molrl"
    environment = shutil.ignore_patterns(".venv")
    shutil.copytree(ROOT, folder / "molrl", symlinks=True, ignore=environment)
    author = ("-c", "user.name=molrl", "-c", "user.email=molrl@localhost")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "The tree"]):
        run("git", *command, folder=folder / "molrl")
    return folder / "molrl"


@pytest.fixture(scope="module")
def built(clone, tmp_path_factory):
    """A folder with the sdist of the clone and a wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", str(folder), str(clone), folder=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    """Names in the wheel."""
    (path,) = built.glob("molrl-*.whl")
    return set(zipfile.ZipFile(path).namelist())


@pytest.fixture(scope="module")
def tracked(clone):
    """Paths of the committed files of the package."""
    names = run("git", "ls-tree", "-r", "--name-only", "HEAD", "molrl", folder=clone)
    return set(names.splitlines())


@pytest.fixture
def source(request, clone, built, tmp_path):
    """What pip installs, by its kind."""
    if request.param == "zip":
        path = tmp_path / "molrl.zip"
        run("git", "archive", "--format=zip", "--prefix=molrl-main/", "-o", str(path), "HEAD",
            folder=clone)  # fmt: skip
        return path
    if request.param == "without links":
        options = ("-c", "core.symlinks=false")
        run("git", "clone", "-q", "--no-local", *options, str(clone), "plain", folder=tmp_path)
        assert (tmp_path / "plain" / "envs").read_text() == "molrl/envs"
        return tmp_path / "plain"
    (path,) = built.glob({"sdist": "molrl-*.tar.gz", "wheel": "molrl-*.whl"}[request.param])
    return path


def install(folder, *source):
    """Return the Python of a new environment with molrl and the dependencies of this one."""
    run(sys.executable, "-m", "venv", "--without-pip", "env", folder=folder)
    python = str(folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    packages = run(python, "-c", f"{PURELIB}; print(purelib)", folder=folder).strip()
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile")
    run(*pip, "--no-deps", "--no-build-isolation", "--no-index", *map(str, source), folder=folder)
    return python


@pytest.mark.parametrize("source", KINDS, indirect=True)
def test_install_from_each_kind_of_source_has_the_committed_files(source, clone, tracked, tmp_path):
    python = install(tmp_path, source)
    home = Path(run(python, "-c", FIND, folder=tmp_path).strip()).parent
    assert home.is_relative_to(tmp_path / "env")
    paths = [path for path in home.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files = {path.relative_to(home.parent).as_posix(): path.read_bytes() for path in paths}
    assert files == {name: (clone / name).read_bytes() for name in tracked}


@pytest.mark.parametrize("source", ["wheel"], indirect=True)
def test_installed_package_makes_an_environment(source, tmp_path):
    """One kind is enough: the files of all are the same."""
    python = install(tmp_path, source)
    home = Path(run(python, "-c", MAKE, folder=tmp_path).strip())
    assert home.is_relative_to(tmp_path / "env")


def test_editable_install_is_found_in_the_parent_folder_of_the_clone(clone, tmp_path):
    python = install(tmp_path, "-e", clone)
    script = clone.parent / "script.py"
    script.write_text(FIND)
    for arguments in (["-c", MAKE], [str(script)]):
        home = Path(run(python, *arguments, folder=clone.parent).strip())
        assert home == clone / "molrl" / "__init__.py"


def test_wheel_has_one_top_level_package(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"molrl"}


def test_wheel_has_exactly_the_committed_files(wheel, tracked):
    assert {name for name in wheel if name.startswith("molrl/")} == tracked


def test_wheel_has_subpackages_and_shipped_files(wheel):
    for name in ("envs/design.py", "agents/policy.py", "cli/main.py", "py.typed"):
        assert f"molrl/{name}" in wheel
    for model in ("mace", "mace-small"):
        for ending in ("json", "safetensors", "uncertainty.json", "uncertainty.safetensors"):
            assert f"molrl/energy/networks/shipped/{model}.{ending}" in wheel
    assert "molrl/chemistry/shipped/molecules.npz" in wheel


@pytest.mark.skipif(not (ROOT / "envs").is_symlink(), reason="this tree came without links")
def test_tree_has_two_links_at_the_top(clone):
    listed = run("git", "ls-tree", "-r", "HEAD", folder=clone).splitlines()
    links = {line.partition("\t")[2] for line in listed if line.startswith("120000")}
    assert links == {"envs", "agents"}
    for name in links:
        assert run("git", "show", f"HEAD:{name}", folder=clone) == f"molrl/{name}"

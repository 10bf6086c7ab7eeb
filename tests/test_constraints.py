"""constraints.txt pins one version of each dependency and extra of pyproject.toml."""

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def asked():
    """The dependencies and extras of the package, without the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = chain(project["dependencies"], *project["optional-dependencies"].values())
    requirements = [Requirement(line) for line in lines]
    return [one for one in requirements if one.name != project["name"]]


def pinned():
    """The lines of constraints.txt, without its comments."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and line[0] != "#"]


def test_constraints_list_each_dependency_once():
    wanted = {canonicalize_name(one.name) for one in asked()}
    assert sorted(canonicalize_name(one.name) for one in pinned()) == sorted(wanted)


@pytest.mark.parametrize("requirement", asked(), ids=str)
def test_constraints_pin_one_version_within_the_bounds(requirement):
    name = canonicalize_name(requirement.name)
    (pin,) = (one for one in pinned() if canonicalize_name(one.name) == name)
    (clause,) = pin.specifier
    assert clause.operator == "=="
    assert not clause.version.endswith("*")
    assert requirement.specifier.contains(clause.version)

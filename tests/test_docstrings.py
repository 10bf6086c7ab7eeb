"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil
from typing import ClassVar, Literal

import gymnasium as gym
import numpy as np
import pytest
import torch

import molrl

# What the examples take as imported, besides what their module has.
NAMES = {
    "molrl": molrl,
    "gym": gym,
    "np": np,
    "torch": torch,
    "ClassVar": ClassVar,
    "Literal": Literal,
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PACKAGES = sorted(each.name for each in pkgutil.iter_modules(molrl.__path__) if each.name[0] != "_")


def modules_of(package):
    """Yield the modules of a package; a worker is a program, which is not imported."""
    module = importlib.import_module(f"molrl.{package}")
    yield module
    for each in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{module.__name__}."):
        if not each.name.endswith("_worker"):
            yield importlib.import_module(each.name)


@pytest.mark.parametrize("package", PACKAGES)
def test_examples_give_what_they_say(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    for module in modules_of(package):
        for example in doctest.DocTestFinder().find(module, module.__name__):
            example.globs = {**NAMES, **example.globs}
            doctest.DocTestRunner(optionflags=FLAGS).run(example, out=said.append)
    assert said == []

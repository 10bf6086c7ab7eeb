"""The examples in the docstrings of molrl are right."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import molrl

ROOT = Path(molrl.__file__).parent
IMPORTED = {"molrl": molrl, "np": np, "torch": torch}  # as by the reader of an example
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WRONG = {
    "molrl.energy.calculator": "ASE returns np.True_ where the example says True",
    "molrl.energy.networks.mace.folded_layer": "MaceConfig and TurnedMessages are not imported",
}


def with_examples():
    """Return the names of the modules that have examples, those that are wrong marked."""
    files = sorted(path for path in ROOT.rglob("*.py") if ">>> " in path.read_text("utf-8"))
    names = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in files]
    marks = {name: pytest.mark.xfail(reason=why, strict=True) for name, why in WRONG.items()}
    names = [name.removesuffix(".__init__") for name in names]
    return [pytest.param(n, marks=marks[n]) if n in marks else n for n in names]


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_are_right(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    module = import_module(name)
    for test in doctest.DocTestFinder().find(module, name, extraglobs=IMPORTED):
        runner.run(test, out=printed.append)
    assert not runner.failures, "".join(printed)

"""The package imports and runs without what only some operating systems have."""

import subprocess
import sys

# A process without what Windows or macOS lack, as far as Python can remove it.
ELSEWHERE = """
import os, signal, sys
sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = None
for module, name in ((os, "sched_getaffinity"), (signal, "SIGUSR1")):
    vars(module).pop(name, None)

import importlib, pkgutil
from pathlib import Path
import molrl
for module in pkgutil.walk_packages(molrl.__path__, "molrl."):
    if module.name != "molrl.energy.pm6_worker":  # needs an extra
        importlib.import_module(module.name)

from ase.build import molecule
from molrl.runs.config import Config
from molrl.runs.folder import RunFolder
from molrl.runs.signals import stopping_at_once
folder = RunFolder.create(sys.argv[1], Config(), "train")
with stopping_at_once(), folder.lock_and_log():
    energy = molrl.load_energy("gfn2", "cpu").evaluate(molecule("H2O")).energy
    folder.write_summary({"energy": energy.item()})
print("done")
"""


def test_package_works_without_what_only_some_systems_have(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr

"""Imports of e3nn and mace-torch without side effects on the process.

e3nn 0.4.4 stores a ``slice`` in the constants that it loads at import, which torch's safe loader
refuses; it is allowed while e3nn is imported. mace-torch disables safe loading by an environment
variable when it is imported, and prints which accelerations are missing.

Not avoidable: mace-torch sets the variable itself, and other threads see it until it is restored
here, for less than a millisecond when ``mace`` is imported and for some hundredths of a second when
``mace.calculators`` is (foundation models). Warning filters are shared by all threads, so no thread
warns meanwhile.
"""

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

import torch

NO_WEIGHTS_ONLY = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_ONE_AT_A_TIME = RLock()
_VARIABLES = (NO_WEIGHTS_ONLY, "TORCHINDUCTOR_CACHE_DIR")  # set by mace-torch and its imports


@contextmanager
def contained() -> Iterator[None]:
    """Import mace-torch, build its networks or unpickle one inside; one thread at a time.

    The environment and the warning filters are restored at the end.
    """
    # With two threads at once, the second would restore what the first had changed.
    with _ONE_AT_A_TIME, _quiet(), _environment_kept():
        if "mace" not in sys.modules:
            _import_mace()
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations in torch that the pinned versions cause
        yield


@contextmanager
def _environment_kept() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _import_mace() -> None:
    """Import the parts of mace-torch with side effects first; the rest takes seconds."""
    with _environment_kept():
        package = importlib.import_module("mace")
    # Its module cg prints when it is imported, so it gets a ``print`` that does nothing.
    # To redirect the standard output instead would drop what other threads print.
    file = Path(str(package.__file__)).parent / "tools" / "cg.py"
    spec = importlib.util.spec_from_file_location("mace.tools.cg", file)
    if not (file.is_file() and spec and spec.loader):
        return  # another version of mace-torch, which may print a line
    module = importlib.util.module_from_spec(spec)
    vars(module)["print"] = lambda *_: None
    spec.loader.exec_module(module)
    sys.modules[spec.name] = module
    vars(importlib.import_module("mace.tools"))["cg"] = module


with _quiet(), torch.serialization.safe_globals([slice]):
    from e3nn import o3

__all__ = ["NO_WEIGHTS_ONLY", "contained", "o3"]

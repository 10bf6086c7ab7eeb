"""The small forms of the reliability benchmarks, each the command that gives the full figures."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks" / "reliability"


@pytest.mark.parametrize("name", ["kills", "damage", "hostile", "workers", "two_ranks"])
def test_everything_is_as_it_should_be(name):
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), "--small"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

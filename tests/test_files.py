import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.errors import InputError
from molrl.files import read_molecules, write_extxyz, write_sdf
from molrl.molecules import MoleculeBatch


@pytest.fixture
def batch():
    return MoleculeBatch.from_ase([molecule("CH3OH"), molecule("H2O")])


@pytest.mark.parametrize("kind", ["extxyz", "sdf"])
def test_read_molecules_reads_what_was_written(tmp_path, batch, kind):
    path = tmp_path / f"made.{kind}"
    if kind == "sdf":
        write_sdf(path, batch.to_rdkit())
    else:
        write_extxyz(path, batch, {"energy_above": np.array([0.1, 0.2]), "smiles": ["CO", "O"]})
    again = read_molecules(path)
    assert torch.equal(again.numbers, batch.numbers)
    assert torch.equal(again.n_atoms, batch.n_atoms)
    assert (again.positions - batch.positions).abs().max() < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


HOSTILE = {
    "a gap": "1\n\nH 0 0 0\n\n1\n\nH 0 0 0\n",
    "empty": "",
    "blank": "\n\n",
    "words": "methane\n\nC 0 0 0\n",
    "negative": "-1\n\n",
    "zero": "0\n\n",
    "huge": "10000000\n\nC 0 0 0\n",
    "absurd": "9" * 400 + "\n\nC 0 0 0\n",
    "short": "3\n\nC 0 0 0\n",
    "nan": "1\nProperties=species:S:1:pos:R:3\nC 0 0 nan\n",
    "inf": "1\nProperties=species:S:1:pos:R:3\nC 0 0 inf\n",
    "coincident": "2\nProperties=species:S:1:pos:R:3\nC 0 0 0\nC 0 0 0\n",
    "element": "1\nProperties=species:S:1:pos:R:3\nQq 0 0 0\n",
    "dummy": "1\nProperties=species:S:1:pos:R:3\nX 0 0 0\n",
    "columns": "1\nProperties=species:S:1:pos:R:3\nC 0 0\n",
    "wide": "1\nProperties=species:S:1:pos:R:3000000\nC 0 0 0\n",
}


class TooMuchWork(BaseException):
    """Not an ``Exception``, which a reader would take for a corrupted file."""


@contextmanager
def at_most(lines):
    """Limit the lines of Python that run."""
    left, before = lines, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal left
        left -= 1
        if left < 0:
            raise TooMuchWork(f"more than {lines} lines ran")
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """``read_molecules``, after its lazy imports."""
    path = tmp_path_factory.mktemp("good") / "good.extxyz"
    path.write_text("1\n\nH 0 0 0\n")
    assert len(read_molecules(path)) == 1
    return read_molecules


@pytest.mark.parametrize("name", HOSTILE)
def test_read_molecules_refuses_hostile_files_with_little_work(tmp_path, reader, name):
    path = tmp_path / "bad.extxyz"
    path.write_text(HOSTILE[name])
    with at_most(lines=20_000), pytest.raises(InputError, match=r"bad\.extxyz") as error:
        reader(path)
    assert "\n" not in str(error.value)


def test_read_molecules_refuses_other_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_molecules(tmp_path / "none.xyz")
    with pytest.raises(InputError, match="has an unknown suffix"):
        read_molecules(tmp_path / "some.pdb")
    (tmp_path / "binary.xyz").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match="is not a text file"):
        read_molecules(tmp_path / "binary.xyz")
    (tmp_path / "broken.sdf").write_text("nothing\n")
    with pytest.raises(InputError, match="corrupted"):
        read_molecules(tmp_path / "broken.sdf")

"""The functions at the top of the package."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ase.build import molecule

import molrl
from molrl.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def test_dir_lists_what_can_be_used():
    assert {*molrl.__all__} <= {*dir(molrl)}
    for name in molrl.__all__:
        assert getattr(molrl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        molrl.evaluat  # noqa: B018 - the look-up is what raises


@pytest.mark.parametrize("suffix", ["extxyz", "xyz", "sdf"])
def test_read_returns_what_write_wrote(tmp_path, suffix):
    hydroxide = molecule("OH")
    hydroxide.info["charge"] = -1
    batch = molrl.MoleculeBatch.from_ase([molecule("CH3OH"), hydroxide])
    molrl.write(tmp_path / f"made.{suffix}", batch)
    again = molrl.read(tmp_path / f"made.{suffix}")
    assert again.charge.tolist() == [0, -1]
    assert torch.equal(again.numbers, batch.numbers)
    assert torch.allclose(again.positions, batch.positions, atol=1e-3)


def test_write_refuses_an_unknown_suffix(tmp_path):
    batch = molrl.MoleculeBatch.from_ase(molecule("H2O"))
    with pytest.raises(InputError, match=r"made.pdb has an unknown suffix; give an \.extxyz"):
        molrl.write(tmp_path / "made.pdb", batch)


def test_write_refuses_molecules_in_place_of_the_path():
    with pytest.raises(InputError, match="give the path first, not Atoms"):
        molrl.write(molecule("H2O"), "made.sdf")


def test_evaluate_takes_ase_atoms_and_says_why_not_valid():
    broken = molecule("H2O")
    broken.positions[1] *= 5
    report = molrl.evaluate([molecule("CH3OH"), broken])
    assert report.valid.tolist() == [True, False]
    assert report.smiles[0] == "CO"
    assert report.reasons[0] == ""
    assert report.reasons[1]
    assert 0 <= report.strain[0] < 0.1
    assert report.summary()["n_molecules"] == 2
    with pytest.raises(InputError, match="no molecules to evaluate"):
        molrl.evaluate([])


def test_relax_takes_the_name_of_a_model():
    result = molrl.relax(molecule("H2O"), "mace")
    assert bool(result.converged)


def test_module_runs_the_command_line():
    command = [sys.executable, "-m", "molrl", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"molrl {molrl.__version__}\n")

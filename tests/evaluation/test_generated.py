"""Molecules that a generator made, written to a file."""

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.io import read

from molrl.evaluation.generated import write_generated
from molrl.generation import Generated
from molrl.molecules import MoleculeBatch


def test_write_generated_leaves_out_only_the_energies_that_there_are_not(tmp_path, capsys):
    francium = Atoms("FrH", [[0, 0, 0], [0, 0, 2.5]])
    molecules = MoleculeBatch.from_ase([francium, *120 * [molecule("H2O")]])
    made = Generated(molecules, attempts=121, energy_calls=0, network_calls=0, seconds=1.0)
    figures = write_generated(tmp_path / "made.extxyz", made)
    assert figures["n_failed"] == 1
    assert "1 of 121 molecules have no energy" in capsys.readouterr().err
    waters = read(tmp_path / "made.extxyz", "1:")
    assert np.isfinite([image.get_potential_energy() for image in waters]).all()

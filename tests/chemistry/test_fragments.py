"""What stands on a canvas: neutral, its open ends where they were."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

from molrl.chemistry.fragments import face_to_face, load_fragment
from molrl.errors import InputError


def test_an_open_end_points_away_along_its_bond():
    phenyl = load_fragment("*c1ccccc1")
    assert sorted(phenyl.numbers.tolist()) == [1] * 5 + [6] * 6
    ((atom, outwards),) = phenyl.ends
    assert phenyl.numbers[atom] == 6
    from_middle = phenyl.positions[atom] - phenyl.positions[phenyl.numbers == 6].mean(0)
    assert outwards @ from_middle / np.linalg.norm(from_middle) > 0.99


@pytest.mark.parametrize("written", ["[*]C", "[*:1]C", "[1*]C", "C*"])
def test_an_open_end_may_be_written_in_any_way(written):
    methyl = load_fragment(written)
    assert sorted(methyl.numbers.tolist()) == [1, 1, 1, 6]
    assert len(methyl.ends) == 1


def test_heavy_hydrogen_is_hydrogen_and_no_open_end():
    water = load_fragment("[2H]O[2H]")
    assert sorted(water.numbers.tolist()) == [1, 1, 8]
    assert not water.ends


def test_two_ends_face_each_other():
    both = face_to_face(load_fragment("*C"), load_fragment("*C#N"), 3.0)
    carbons = both.positions[both.numbers == 6]
    assert min(np.linalg.norm(a - b) for a in carbons[:1] for b in carbons[1:]) == pytest.approx(3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("C((", "is no SMILES"),
        ("[NH4+]", r"'\[NH4\+\]' has charge 1; what stands on a canvas is neutral"),
        ("c1ccccc1.*", "an open end"),
        ("C*C", "an open end"),
        ("*", "besides its open ends"),
        ("**", "besides its open ends"),
    ],
)
def test_what_cannot_stand_there_is_refused(source, message):
    with pytest.raises(InputError, match=message) as error:
        load_fragment(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("info", [{"charge": 1}, {"spin": 3}])
def test_a_file_of_an_ion_or_of_a_higher_spin_is_refused(tmp_path, info):
    path = tmp_path / "a.extxyz"
    atoms = molecule("NH3") if "charge" in info else molecule("CH2_s1A1d")
    atoms.info = info
    write(path, atoms)
    with pytest.raises(InputError, match="neutral and of the lowest spin"):
        load_fragment(str(path))


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "a.xyz"
    for distance in (0.8, 0.9):
        write(path, Atoms("H2", [[0, 0, 0], [0, 0, distance]]))
        positions = load_fragment(str(path)).positions
        assert np.linalg.norm(positions[1] - positions[0]) == pytest.approx(distance, abs=1e-6)

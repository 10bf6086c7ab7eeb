import numpy as np
import pytest

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import is_piece, shipped_molecules
from molrl.errors import InputError
from molrl.files import write_extxyz
from molrl.fitting.data.adversarial import half_built_molecules, molecules_of_split
from molrl.fitting.data.config import DataConfig, KindCounts
from molrl.fitting.data.held_out import read_identities
from molrl.fitting.data.make import make_dataset
from molrl.fitting.data.starting import starting_molecules
from molrl.molecules import MoleculeBatch

COUNTS = KindCounts(
    relaxed=60,
    distorted=20,
    twisted=10,
    half_built=20,
    placed=20,
    clash=10,
    fragments=20,
    pair=5,
    random_walks=5,
    partially_relaxed=5,
)


def quiet(what, done, total):
    assert 0 < done <= total


@pytest.fixture(scope="module")
def molecules():
    """Every third molecule of the shipped set that is small."""
    shipped = shipped_molecules()
    return shipped[shipped.molecules.n_atoms <= 7][::3]


@pytest.fixture(scope="module")
def file(molecules, tmp_path_factory):
    path = tmp_path_factory.mktemp("held") / "out.extxyz"
    write_extxyz(path, molecules.molecules)
    return str(path)


@pytest.fixture(scope="module")
def held_out(file):
    return read_identities(file, quiet)


def test_read_identities_perceives_all_molecules_but_the_pieces(molecules, held_out):
    assert held_out == {name for name in molecules.identities if not is_piece(name)}
    assert len(held_out) > 20
    assert any(is_piece(name) for name in molecules.identities)


def test_read_identities_without_a_file_is_empty():
    assert read_identities(None, quiet) == frozenset()


def test_read_identities_reports_molecules_without_bonds(tmp_path, capsys):
    tripod = (np.array([8, 1, 1, 1]), np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]))
    assert validity(MoleculeBatch.from_arrays([tripod])).smiles == [None]
    write_extxyz(tmp_path / "a.extxyz", MoleculeBatch.from_arrays([tripod]))
    assert read_identities(str(tmp_path / "a.extxyz"), quiet) == frozenset()
    assert "1 of the 1 molecules" in capsys.readouterr().err


def test_make_dataset_holds_no_held_out_molecule(file, held_out):
    """Neither what structures are made of, nor what parts of others are."""
    config = DataConfig(output="unused.npz", seed=2, max_heavy=4, counts=COUNTS, held_out=file)
    free = config.model_copy(update={"held_out": None})
    everything = {s.identity for s in starting_molecules(free, frozenset())}
    assert everything & held_out
    data, _ = make_dataset(config, quiet)
    assert len(data) > 100
    assert not held_out & set(data.identities)
    assert not held_out & set(validity(data.molecules).smiles)


def test_starting_molecules_refuses_when_all_are_held_out():
    config = DataConfig(output="unused.npz", max_heavy=4)
    with pytest.raises(InputError, match="is not held out"):
        starting_molecules(config, shipped_molecules().identities)


def test_half_built_molecules_leaves_out_held_out_molecules():
    elements = (1, 6, 7, 8)
    before = {s.identity for s in half_built_molecules(20, 0, "train", elements)}
    held_out = {name for name in before if not is_piece(name)}
    after = {s.identity for s in half_built_molecules(20, 0, "train", elements, held_out)}
    assert len(after) == 20
    assert not after & held_out
    assert len(molecules_of_split(5, 0, "test", elements, held_out)) == 5

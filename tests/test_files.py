import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st

from molrl.chemistry.files import write
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
        read_molecules(tmp_path / "some.gjf")
    (tmp_path / "binary.xyz").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match="is not a text file"):
        read_molecules(tmp_path / "binary.xyz")
    (tmp_path / "broken.sdf").write_text("nothing\n")
    with pytest.raises(InputError, match="corrupted"):
        read_molecules(tmp_path / "broken.sdf")


@st.composite
def batches(draw):
    """Draw a batch of any elements, charges and spins, somewhere in space."""
    images = []
    for _ in range(draw(st.integers(1, 3))):
        numbers = draw(st.lists(st.integers(1, 86), min_size=1, max_size=4))
        shift = draw(st.sampled_from([0.0, 0.0, 123.4567, -2e4, 3e5]))
        steps = st.tuples(*[st.floats(-0.4, 0.4)] * 3)
        rows = [np.array([1.2 * i + shift, 0, 0]) + draw(steps) for i in range(len(numbers))]
        charge = draw(st.integers(-3, min(3, sum(numbers))))
        electrons = sum(numbers) - charge
        spin = draw(st.integers(0, min(3, electrons // 2))) * 2 + electrons % 2 + 1
        info = {"charge": charge, "spin": spin}
        images.append(Atoms(numbers, rows, info=info))
    return MoleculeBatch.from_ase(images)


@pytest.mark.parametrize(("suffix", "tolerance"), [("xyz", 1e-8), ("extxyz", 1e-8), ("sdf", 1e-4)])
@settings(deadline=None, max_examples=40, derandomize=True)
@given(batch=batches())
def test_every_batch_reads_back_as_it_was_written(tmp_path_factory, suffix, tolerance, batch):
    path = tmp_path_factory.getbasetemp() / f"back.{suffix}"
    write(path, batch)
    back = read_molecules(path)
    for name in ("numbers", "n_atoms", "charge", "spin"):
        assert torch.equal(getattr(back, name), getattr(batch, name))
    assert (back.positions - batch.positions).abs().max() < tolerance


TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=6) | st.sampled_from(
    [
        "F",
        "T",
        "1",
        "nan",
        "",
        "1.5 2",
        "True",
        "[O-]C=C",
        r"C/C=C\\C",
        "a b",
        "a=b",
        '"',
        "_JSON 1",
    ]
)
VALUES = st.booleans() | st.integers(-999, 999) | st.floats(-1e6, 1e6) | TEXTS


@settings(deadline=None, max_examples=200, derandomize=True)
@given(value=VALUES)
def test_properties_read_back_with_ase_as_they_were_written(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "properties.extxyz"
    water = MoleculeBatch.from_ase(molecule("H2O"))
    write_extxyz(path, water, {"smiles": [value], "other": ["x"]})
    info = read(path, format="extxyz").info
    assert info["smiles"] == value
    assert isinstance(info["smiles"], str) == isinstance(value, str)
    assert info["other"] == "x"
    assert len(read_molecules(path)) == 1


def test_cells_read_back_as_they_were_written(tmp_path):
    images = [bulk("NaCl", "rocksalt", 5.6), molecule("H2O", cell=[5, 6, 7])]
    images[0].pbc = [True, False, True]
    batch = MoleculeBatch.from_ase(images)
    write(tmp_path / "a.extxyz", batch)
    back = read_molecules(tmp_path / "a.extxyz")
    assert torch.equal(back.pbc, batch.pbc)
    assert (back.cell - batch.cell).abs().max() < 1e-8


NOTHING = np.zeros(0, int), np.zeros((0, 3))


@pytest.mark.parametrize("suffix", ["extxyz", "sdf"])
@pytest.mark.parametrize(
    ("molecules", "message"),
    [
        ([], "there are no molecules to write"),
        (MoleculeBatch.from_arrays([NOTHING]), "molecule 0 has no atoms"),
        (Atoms("HX"), "molecule 0 has an atom of number 0, which is no element"),
        (MoleculeBatch.from_arrays([([-1], np.zeros((1, 3)))]), "of number -1"),
        (MoleculeBatch.from_arrays([([119], np.zeros((1, 3)))]), "of number 119"),
        (
            replace(MoleculeBatch.from_ase(Atoms("H")), spin=torch.tensor([3])),
            "molecule 0 cannot have charge 0 and multiplicity 3",
        ),
        (Atoms("CO", [[0, 0, 0], [0, 0, np.nan]]), "molecule 0 has a coordinate that is not"),
        ([Atoms("H"), Atoms("H", [[np.inf, 0, 0]])], "molecule 1 has a coordinate that is not"),
    ],
)
def test_write_refuses_what_read_would_refuse(tmp_path, suffix, molecules, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / f"made.{suffix}", molecules)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["extxyz", "sdf"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a folder; name a file"),
        ("file/made", "cannot be written: .*file.* is not a writable folder"),
        ("made\0", "is no name of a file"),
        ("x" * 300, "cannot be written: File name too long"),
    ],
)
def test_write_refuses_where_no_file_can_be_written(tmp_path, suffix, name, message):
    (tmp_path / f"folder.{suffix}").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message) as raised:
        write(tmp_path / f"{name}.{suffix}", molecule("H2O"))
    assert "\n" not in str(raised.value)
    assert len(list(tmp_path.iterdir())) == 2


def test_write_takes_a_name_of_255_bytes(tmp_path):
    path = tmp_path / f"{'x' * 248}.extxyz"
    write(path, molecule("H2O"))
    assert len(read_molecules(path)) == 1


@pytest.mark.parametrize("name", ["charge", "Total_Charge", "spin", "multiplicity", "uhf"])
def test_write_extxyz_refuses_properties_that_state_a_charge_or_spin(tmp_path, name):
    water = MoleculeBatch.from_ase(molecule("H2O")).charged([2])
    with pytest.raises(InputError, match=f"cannot be named '{name}', which is the molecule's own"):
        write_extxyz(tmp_path / "made.extxyz", water, {name: [0]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Lattice", "Properties", "pbc", "stress", "a=b", ""])
def test_write_extxyz_refuses_names_that_are_no_properties(tmp_path, name):
    water = MoleculeBatch.from_ase(molecule("H2O"))
    with pytest.raises(InputError, match=f"extended XYZ takes no property of the name '{name}'"):
        write_extxyz(tmp_path / "made.extxyz", water, {name: [1]})


def test_write_extxyz_refuses_another_number_of_values(tmp_path):
    waters = MoleculeBatch.from_ase([molecule("H2O")] * 2)
    with pytest.raises(InputError, match="property x has 1 values, not one for each of 2"):
        write_extxyz(tmp_path / "made.extxyz", waters, {"x": [1]})


def test_write_extxyz_leaves_out_properties_of_none(tmp_path):
    waters = MoleculeBatch.from_ase([molecule("H2O")] * 2)
    write_extxyz(tmp_path / "made.extxyz", waters, {"x": [None, 1.5], "y": ["a", None]})
    first, second = (image.info for image in read(tmp_path / "made.extxyz", ":"))
    assert first == {"y": "a"}
    assert second == {"x": 1.5}

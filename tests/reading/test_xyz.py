import gzip
import os
import time
from contextlib import suppress

import numpy as np
import pytest

from molrl.errors import InputError
from molrl.files import read_molecules, read_named, write_extxyz
from molrl.reading.comments import name_of

WATER = "O 0 0 .117\nH 0 .757 -.469\nH 0 -.757 -.469\n"
LATTICE = 'Lattice="5 0 0 0 6 0 0 0 7"'
WORDS = """
    charge spin pbc stress virial Lattice Properties energy forces dipole free_energy magmom magmoms
    momenta initial_charges species pos Z numbers cell tags masses uhf mult multiplicity T F True
    total_charge constraint calculator info comment
""".split()  # noqa: SIM905  # a list of 33 quoted words is unreadable


@pytest.fixture
def read(tmp_path):
    def read(content, name="a.xyz"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_molecules(path)

    return read


def frame(atoms, comment=""):
    return f"{atoms.count(chr(10))}\n{comment}\n{atoms}"


@pytest.mark.parametrize("word", WORDS)
def test_words_in_prose_are_a_comment(read, word, capsys):
    for comment in (word, f"a {word} of water", f"{word}, then"):
        batch = read(frame(WATER, comment))
        assert batch.numbers.tolist() == [8, 1, 1]
        assert (batch.charge.item(), batch.spin.item(), batch.is_periodic) == (0, 1, False)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("comment", ["it's", 'a "b', "[O]", "{x", "C=C#N", "= =", "pbc: no", "%\\"])
def test_odd_characters_are_a_comment(read, comment):
    assert len(read(frame(WATER, comment))) == 1


@pytest.mark.parametrize(
    ("word", "number", "said"),
    [
        ("cl", 17, ""),
        ("D", 1, "D is read as H"),
        ("T", 1, "T is read as H"),
        ("17", 17, "atomic numbers"),
        ("O1", 8, "labels"),
        ("C_12", 6, "labels"),
        ("Ca2", 20, "labels"),
        ("CL2", 17, "labels"),
        ("H12A", 1, "labels"),
    ],
)
def test_elements_are_read_by_other_words(read, word, number, said, capsys):
    assert read(frame(f"{word} 0 0 0\n{word} 0 0 3\n")).numbers.tolist() == [number] * 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == bool(said)


@pytest.mark.parametrize(
    "word", ["X", "Xx", "*", "Q", "R#", "R1", "Bq", "H-Bq", "Gh(H)", "@O", "Cl:", "Du", "0"]
)
def test_dummies_are_refused_by_name(read, word):
    with pytest.raises(InputError) as error:
        read(frame(f"O 0 0 3\n{word} 0 0 0\n"))
    assert f"a.xyz: molecule 0: line 4: '{word}' is a dummy or ghost atom" in str(error.value)


@pytest.mark.parametrize("word", ["CA1", "13C", "Na+", "119", "Qq", "C-H", ""])
def test_other_words_are_no_elements(read, word):
    with pytest.raises(InputError, match="molecule 0: line 3: "):
        read(frame(f"{word} 0 0 0\n"))


def test_raw_files_of_qm9_are_read(read, capsys):
    raw = frame("C\t0.0\t-1.3*^-6\t.5\t-.5\nO\t0\t0\t1.7\t.5\n", "gdb 9\t1.0\t2.0")
    tail = "1341.3\t1341.3\nC=O\tC=O\nInChI=1S/CO\tInChI=1S/CO\n"
    batch = read(2 * (raw + tail))
    assert len(batch) == 2
    assert batch.positions[0].tolist() == [0.0, -1.3e-6, 0.5]
    assert not capsys.readouterr().err


def test_fortran_exponents_are_read(read):
    assert read(frame("O 1.5D-1 0.0d0 -2D+00\n")).positions[0].tolist() == [0.15, 0.0, -2.0]


def test_whole_coordinates_before_columns_of_forces_are_read(read):
    atoms = "H 0 0 0 0.1 0.2 0.3\nH 1 0 0 0.1 -0.2 0.0\n"
    assert read(frame(atoms)).positions.tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    "row", ["O 0,1 0 0", "O **** 0 0", "O 1_0 0 0", "O 0 0", "O a b c", "1 O 0 0"]
)
def test_rows_without_three_coordinates_are_refused(read, row):
    with pytest.raises(InputError, match="molecule 1: line 8: "):
        read(frame(WATER) + frame(f"{row}\n"))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        ("O 8.0 0 0 1\nH 1.0 0 1 0\n", "second column repeats the atomic numbers"),
        ("O 15.999 0 0 1\nH 1.008 0 1 0\n", "second column repeats the atomic masses"),
        ("O 1 0.0 0.0 0.1\nH 2 0.0 0.7 -0.4\n", "column 2 has whole numbers only"),
        ("O 0 0.0 0.0 0.1\nH -1 0.0 0.7 -0.4\n", "column 2 has whole numbers only"),
        ("1 8 0 0.0 0.0 0.1\n2 1 0 0.0 0.7 -0.4\n", "column 2 has whole numbers only"),
        ("O 0.0 1 0.0 1 0.1 1\nH 0.0 1 0.7 1 -0.4 1\n", "column 3 has whole numbers only"),
    ],
)
def test_columns_before_the_coordinates_are_refused(read, atoms, message):
    with pytest.raises(InputError, match=f"{message}.*give element, x, y, z"):
        read(frame(atoms))


@pytest.mark.parametrize(
    "atoms",
    ["O 0 0 0.1 -0.8\nH 0 1 0.7 0.4\n", "O 0.0 0.0 0.1 1\nH 0.0 0.9 0.1 2\n", "O 0 0 0\nH 0 0 1\n"],
)
def test_columns_after_the_coordinates_are_left_out(read, atoms):
    written = [[float(word) for word in line.split()[1:4]] for line in atoms.splitlines()]
    assert read(frame(atoms)).positions.tolist() == pytest.approx(np.array(written))


def test_the_case_of_properties_is_of_no_account(read):
    atoms = "O 9 9 9 0 0 .1\nH 9 9 9 0 .7 -.4\n"
    batch = read(frame(atoms, "properties=species:S:1:forces:R:3:pos:R:3"))
    assert batch.positions.tolist() == pytest.approx(np.array([[0, 0, 0.1], [0, 0.7, -0.4]]))


@pytest.mark.parametrize("tail", ["\n\n", "\n$VELOCITIES\n0.1 0.2 0.3\n", "some text\n", "\n0\n"])
def test_text_after_the_last_frame_is_left_out(read, tail, capsys):
    assert len(read(frame(WATER) + frame(WATER) + tail)) == 2
    assert ("text after the last molecule is left out" in capsys.readouterr().err) == bool(
        tail.strip()
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (frame(WATER) + "\n" + frame(WATER), "line 6 is no number of atoms, but molecules follow"),
        (frame(WATER) + "text\n" + frame(WATER), "but molecules follow"),
        (
            frame(WATER) + f"1e1\nsecond\n{WATER}",
            "line 6: '1e1' is not a number of atoms, but atoms",
        ),
        (frame(WATER) + "H 0 0 9\n", "molecule 0 has more atoms than its first line says"),
        ("4\n\n" + WATER, "ends within molecule 0 of 4 atoms"),
        ("3\n" + WATER, "ends within molecule 0 of 3 atoms"),
        ("version https://git-lfs.github.com/spec/v1\n", "is not a number of atoms"),
    ],
)
def test_wrong_counts_are_refused(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_encodings_are_read(read, encoding):
    assert len(read(frame(WATER, "in Ångström").encode(encoding))) == 1


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_are_read(read, end):
    assert read((2 * frame(WATER)).replace("\n", end)).n_atoms.tolist() == [3, 3]


@pytest.mark.parametrize("name", ["A.XYZ", "a.ExtXYZ"])
def test_the_case_of_the_suffix_is_of_no_account(read, name):
    assert len(read(frame(WATER), name)) == 1


@pytest.mark.parametrize(
    ("comment", "pbc"),
    [
        (LATTICE, [True] * 3),
        (LATTICE + ' pbc="T T F"', [True, True, False]),
        (LATTICE + " pbc=[F, F, F]", [False] * 3),
        (LATTICE + " pbc=0", [False] * 3),
        ("Lattice=[[5,0,0],[0,6,0],[0,0,7]] energy=1", [True] * 3),
        ("pbc='F F F'", [False] * 3),
    ],
)
def test_cells_are_read(read, comment, pbc):
    batch = read(frame(WATER, comment))
    assert batch.pbc[0].tolist() == pbc
    cell = np.diag([5.0, 6, 7]) if "attice" in comment else np.zeros((3, 3))
    assert (batch.cell[0].numpy() == cell).all()


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ('Lattice="5 5"', "Lattice must be nine numbers"),
        ('Lattice="0 0 0 0 0 0 0 0 0"', "molecule 0 is periodic along cell vectors"),
        (LATTICE + " pbc=maybe", "pbc must be three of T and F"),
        ("Properties=species:S:1:pos:R", "Properties must be name:type:columns"),
        ("Properties=pos:R:3", "Properties lack species"),
        ("Properties=species:S:1:pos:R:3:x:R:1", "has 4 columns, not 5"),
    ],
)
def test_corrupted_keys_are_refused(read, comment, message):
    with pytest.raises(InputError, match=message):
        read(frame(WATER, comment))


def test_columns_are_read_in_any_order(read):
    rows = "7 0 0 1 nan O\n8 0 0 2 1.5 H\n"
    batch = read(frame(rows, "Properties=id:I:1:pos:R:3:mass:R:1:species:S:1 energy=nan"))
    assert batch.numbers.tolist() == [8, 1]
    assert batch.positions[:, 2].tolist() == [1, 2]


@pytest.mark.parametrize("name", ["a.cif", "a.vasp", "POSCAR", "CONTCAR"])
def test_crystals_of_other_formats_are_refused_with_the_reason(read, name):
    with pytest.raises(InputError, match=rf"{name}: crystals are read from an \.extxyz"):
        read("data_x\n", name)


@pytest.mark.parametrize("name", ["a.xyz", "a.xyz.gz"])
def test_compressed_files_are_refused_with_the_reason(read, name):
    with pytest.raises(InputError, match=rf"{name} is compressed; decompress it"):
        read(gzip.compress(frame(WATER).encode()), name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipes_are_refused_with_the_reason(tmp_path):
    os.mkfifo(tmp_path / "a.xyz")
    with pytest.raises(InputError, match=r"a\.xyz is not a regular file"):
        read_molecules(tmp_path / "a.xyz")


def test_spaces_in_the_name_of_a_file_stay(tmp_path):
    with pytest.raises(InputError, match=r"a  b\.xyz does not exist"):
        read_molecules(tmp_path / "a  b.xyz")


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        read_molecules(tmp_path / ("a" * 300 + ".xyz"))


@pytest.mark.parametrize(
    "piece",
    ["charge=[", "charge ", "a", "a='", "name={", "name=[", "Lattice=[", 'a="\\"', "[", " "],
)
def test_long_comments_take_little_time(read, piece):
    start = time.process_time()
    with suppress(InputError):
        read(frame(WATER, piece * (200_000 // len(piece))))
    assert time.process_time() - start < 5  # seconds; what grows with the square takes minutes


def test_comments_without_end_are_refused(read):
    with pytest.raises(InputError, match="line 2 has 300001 characters; at most 300000"):
        read(frame(WATER, "a" * 300_001))


def test_a_frame_of_more_atoms_than_it_says_is_named_whatever_follows(read):
    short = frame(WATER).replace("3\n", "2\n", 1)
    with pytest.raises(InputError, match="molecule 0 has more atoms than its first line says"):
        read(short + frame(WATER))


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("coordinates in Bohr", "coordinates are read in Å, though the comment says bohr"),
        ("units=a.u.", "coordinates are read in Å"),
        ("unit: nm", "coordinates are read in Å, though the comment says nm"),
        ("Properties=species:S:1:pos:R:3:move_mask:L:1", "move_mask is left out: no atom is fixed"),
    ],
)
def test_units_and_fixed_atoms_that_are_not_read_are_said(read, comment, said, capsys):
    atoms = "".join(line + " T\n" for line in WATER.splitlines())
    read(frame(atoms, comment))
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["1", "true", "T", "1.50", 'a"b', "x\\y", "[1,2]", "my water", "it's", "C[N+]C", "_JSON 1"],
)
def test_names_read_back_as_they_were_written(read, tmp_path, name):
    batch, names = read(frame(WATER)), [name]
    for _ in range(2):
        write_extxyz(tmp_path / "b.extxyz", batch, {"name": names})
        batch, names = read_named(tmp_path / "b.extxyz")
    assert names == [name]


@pytest.mark.parametrize(
    ("comment", "name"),
    [
        ('config_type="name=foo" name=bar', "bar"),
        ('config_type="name=foo"', ""),
        ("name=1.50 energy=1", "1.50"),
        ("it's title=T", "T"),
        ("name=C[N+](C)=CC=O", "C[N+](C)=CC=O"),
        ("Lattice=5 name='a \"b\"'", 'a "b"'),
        ("name={my water}", "my water"),
        ('name="_JSON {"', "_JSON {"),
        ("name=-", ""),
        ("name=", ""),
    ],
)
def test_name_of_finds_the_name_in_a_comment(comment, name):
    assert name_of(comment) == name

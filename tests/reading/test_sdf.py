import re

import pytest
from rdkit import Chem
from rdkit.Chem import MolFromSmiles, MolToMolBlock, MolToV3KMolBlock

from molrl.chemistry.embedding import from_smiles
from molrl.errors import InputError
from molrl.files import read_molecules

ATOM = "{:10.4f}{:10.4f}{:10.4f} {:<3} 0  0  0  0  0  0  0  0  0  0  0  0\n"
WATER = [(0.0, 0.1, 0.0, "O"), (0.757, 0.1, 0.586, "H"), (-0.757, 0.1, 0.586, "H")]


def record(atoms=WATER, *, tail="", tag="3D", bonds=2, end="$$$$\n"):
    """Return a record of an atom and those bonded to it, or of lines of atoms."""
    rows = [atom if isinstance(atom, str) else ATOM.format(*atom) for atom in atoms]
    lines = [f"  1{k + 2:3d}  1  0\n" for k in range(bonds)]
    counts = f"{len(rows):3d}{bonds:3d}  0  0  0  0  0  0  0  0999 V2000\n"
    head = f"m\n  program 0101260000{tag}\n\n{counts}"
    return head + "".join(rows + lines) + tail + "M  END\n" + end


def v3000(x):
    """Return a record of version 3 with one coordinate of the oxygen."""
    block = MolToV3KMolBlock(from_smiles("O", 0))
    return re.sub(r" O [-.\d]+ ", f" O {x} ", block) + "$$$$\n"


@pytest.fixture
def read(tmp_path):
    def read(content, name="a.sdf"):
        path = tmp_path / name
        path.write_text(content)
        return read_molecules(path)

    return read


@pytest.mark.parametrize("name", ["a.sdf", "a.sd", "a.mol", "A.MOL"])
def test_records_are_read(read, name):
    batch = read(record(), name)
    assert batch.numbers.tolist() == [8, 1, 1]
    assert batch.positions[1].tolist() == [0.757, 0.1, 0.586]


def test_several_records_are_read_the_last_without_separator(read):
    assert len(read(record() + record() + record(end=""))) == 3


FIELDS = ["1,2000", "1 200", "--1.2", "", "1.2D+0", "******", "nan", "1e0", "1.2abc", "0x10", "inf"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_coordinates_that_are_no_numbers_are_refused(read, field, column):
    row = ATOM.format(*WATER[1])
    row = row[: 10 * column] + f"{field:>10}" + row[10 * column + 10 :]
    with pytest.raises(InputError, match=r"a\.sdf: molecule 1: atom 2 has .*not three numbers in"):
        read(record() + record([WATER[0], row, WATER[2]]))


@pytest.mark.parametrize("shift", [-1, 1, 2])
def test_shifted_columns_are_refused(read, shift):
    rows = [" " * shift + ATOM.format(*atom)[max(0, -shift) :] for atom in WATER]
    with pytest.raises(InputError, match="molecule 0: atom 1"):
        read(record(rows))


@pytest.mark.parametrize("field", ["1,2", "******", "1.2abc", "1.2D0", "nan"])
def test_coordinates_of_v3000_that_are_no_numbers_are_refused(read, field):
    assert read(v3000("1e-3")).positions[0, 0].item() == 0.001
    with pytest.raises(InputError, match="molecule 0: atom 1 has"):
        read(v3000(field))


@pytest.mark.parametrize(
    ("line", "changed", "message"),
    [
        ("2 1 1 3", "2 1 1 4", "bond 2 has '2 1 1 4', not a new pair of the 3 atoms"),
        ("2 1 1 3", "2 1 1 1", "bond 2 has '2 1 1 1', not a new pair"),
        ("2 1 1 3", "2 1 2 1", "bond 2 has '2 1 2 1', not a new pair"),
        ("2 1 1 3", "2 1 1", "bond 2 has '2 1 1', not a new pair"),
        ("3 H", "2 H", "atom 3 has '2 H .*, not an index of its own"),
        ("3 H", "x H", "atom 3 has 'x H .*, not an index of its own"),
        ("COUNTS 3 2", "COUNTS 4 2", "3 atoms and 2 bonds, but its counts line says '4 2'"),
        ("COUNTS 3 2", "COUNTS 3 1", "3 atoms and 2 bonds, but its counts line says '3 1'"),
        ("COUNTS 3 2 ", "", "counts line says ''"),
    ],
)
def test_atoms_and_bonds_of_v3000_that_do_not_fit_are_refused(read, line, changed, message):
    whole = v3000("0.1")
    assert whole.count(f"M  V30 {line}") == 1
    with pytest.raises(InputError, match=f"molecule 0.* {message}"):
        read(whole.replace(f"M  V30 {line}", f"M  V30 {changed}"))


def test_atoms_of_v3000_may_have_any_indices(read):
    whole = v3000("0.1").replace("V30 3 H", "V30 70 H").replace("V30 2 1 1 3", "V30 2 1 1 70")
    assert read(whole).numbers.tolist() == [8, 1, 1]


@pytest.mark.parametrize("counts", ["94100  0", "  9  2  0", "999999  0"])
def test_counts_that_the_record_cannot_hold_are_refused(read, counts):
    with pytest.raises(InputError, match="molecule 0 is corrupted: its counts line says"):
        read(record().replace("  3  2  0", counts))


def test_counts_of_three_digits_are_read_in_their_columns(read):
    ring = Chem.AddHs(MolFromSmiles("C1" + "C" * 31 + "C1"))  # 99 atoms and 99 bonds
    conformer = Chem.Conformer(ring.GetNumAtoms())
    for i in range(ring.GetNumAtoms()):
        conformer.SetAtomPosition(i, (float(i), 0, float(i % 2)))
    ring.AddConformer(conformer)
    ring = Chem.RWMol(ring)
    ring.AddBond(0, 10, Chem.BondType.ZERO)
    block = MolToMolBlock(ring)
    assert " 99100" in block
    assert read(block).n_atoms.tolist() == [99]


SMILES = [
    "CCO",
    "c1ccsc1",
    "c1cc[nH]c1",
    "Cn1ccnc1",
    "C[N+](=O)[O-]",
    "CS(C)=O",
    "CC(=O)[O-]",
    "[NH4+]",
]
SMILES += [
    "c1cc[nH+]cc1",
    "C[N+]#[C-]",
    "CP(=O)(O)O",
    "CN=[N+]=[N-]",
    "FS(F)(F)(F)(F)F",
    "B",
    "O=C=O",
]


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("write", [MolToMolBlock, MolToV3KMolBlock])
def test_missing_hydrogens_are_counted(read, smiles, write, capfd):
    mol = from_smiles(smiles, 0)
    batch = read(write(mol))
    assert batch.n_atoms.item() == mol.GetNumAtoms()
    bare = Chem.RemoveHs(mol)
    missing = mol.GetNumAtoms() - bare.GetNumAtoms()
    if missing:
        with pytest.raises(
            InputError, match=f"molecule 0 lacks {missing} hydrogens? that its bonds"
        ):
            read(write(bare))
    assert not capfd.readouterr().err


def test_carbon_monoxide_without_charges_lacks_no_hydrogen(read):
    rows = record([(0, 0, 0.1, "C"), (0, 0, 1.23, "O")], bonds=1)
    assert len(read(rows.replace("  1  2  1  0", "  1  2  3  0"))) == 1


@pytest.mark.parametrize(("order", "says"), [("0", "no hydrogens"), ("77", "not 1")])
def test_orders_of_bonds_that_give_no_hydrogens_are_named(read, order, says):
    rows = record([(0, 0, 0.1, "C"), (0, 0, 1.23, "O")], bonds=1)
    with pytest.raises(InputError, match=f"bond 1 has the order '?{order}'?, .*{says}"):
        read(rows.replace("  1  2  1  0", f"  1  2{order:>3}  0"))


def test_other_orders_are_read_where_no_hydrogens_depend_on_them(read):
    rows = record([(0, 0, 0.1, "He"), (0, 0, 2.5, "Ne")], bonds=1)
    assert read(rows.replace("  1  2  1  0", "  1  2  0  0")).numbers.tolist() == [2, 10]


@pytest.mark.parametrize(("order", "says"), [("0", "no hydrogens"), ("77", "not 1")])
def test_orders_of_bonds_of_v3000_are_named(read, order, says):
    bond = "M  V30 1 1 1 2"
    assert bond in v3000("0.1")
    with pytest.raises(InputError, match=f"bond 1 has the order '?{order}'?, .*{says}"):
        read(v3000("0.1").replace(bond, f"M  V30 1 {order} 1 2"))


def test_lists_of_elements_are_refused(read):
    with pytest.raises(InputError, match="atom 1 is a list of elements"):
        read(record(tail="M  ALS   1  2 F N   O\n"))


@pytest.mark.parametrize(("radical", "spin"), [(1, 1), (3, 3)])
def test_radicals_give_the_spin(read, radical, spin):
    methylene = [(0.0, 0.0, 0.1, "C"), *WATER[1:]]
    assert read(record(methylene, tail=f"M  RAD  1   1   {radical}\n")).spin.tolist() == [spin]
    with pytest.raises(InputError, match="lacks 2 hydrogens"):
        read(record(methylene))


def test_an_odd_number_of_electrons_without_radicals_is_said(read, capsys):
    block = MolToMolBlock(from_smiles("[NH4+]", 0))
    assert read(block).charge.tolist() == [1]
    assert not capsys.readouterr().err
    assert read(re.sub(r"M  CHG.*\n", "", block)).charge.tolist() == [0]
    assert "is a charge missing?" in capsys.readouterr().err


def test_several_radicals_couple_to_the_highest_spin(read, capsys):
    rows = record([(0, 0, 0, "O"), (0, 0, 1.2, "O")], bonds=1, tail="M  RAD  2   1   2   2   2\n")
    assert read(rows).spin.tolist() == [3]
    err = capsys.readouterr().err
    assert "radicals, coupled to the highest spin" in err
    assert err.count("\n") == 1


def test_radicals_of_v3000_give_the_spin(read):
    hydroxyl = record(WATER[:2], bonds=1, tail="M  RAD  1   1   2\n")
    mol = Chem.MolFromMolBlock(hydroxyl, removeHs=False)
    assert "RAD=2" in MolToV3KMolBlock(mol)
    assert read(MolToV3KMolBlock(mol)).spin.tolist() == [2]


BAD_PROPERTIES = [
    *(
        "M  CHG  1   1  +1",
        "M  CHG 1 1 -1",
        "M  CHG  1   1",
        "M  CHG  2   1  -1",
        "M CHG  1   1  -1",
    ),
    *("M  RAD  1   1", "M  RAD  1   1   x", "m  rad  1   1   2", "M  ISO  1   1"),
]


@pytest.mark.parametrize("line", BAD_PROPERTIES)
def test_lines_of_charges_and_radicals_out_of_their_columns_are_refused(read, line):
    with pytest.raises(InputError, match=re.escape(repr(line)) + " is not 'M  (CHG|RAD|ISO)'"):
        read(record(tail=f"{line}\n"))


@pytest.mark.parametrize("value", ["CHG=+1", "chg=1", "RAD=", "RAD=x", "MASS=1.5"])
def test_charges_and_radicals_of_v3000_that_are_no_numbers_are_refused(read, value):
    with pytest.raises(InputError, match=re.escape(f"atom 1 has {value!r}, not CHG=, RAD=")):
        read(re.sub(r"( O .*)", rf"\1 {value}", v3000("0.1")))


@pytest.mark.parametrize("code", ["+1", "-1", "8", "x"])
def test_charges_that_are_no_codes_are_refused(read, code):
    row = ATOM.format(*WATER[0])
    with pytest.raises(InputError, match=r"atom 1 has .*, not a code of its charge, 0 to 7"):
        read(record([f"{row[:36]}{code:>3}{row[39:]}", *WATER[1:]]))


def test_impossible_charges_are_refused(read):
    with pytest.raises(InputError, match=r"a\.sdf: molecule 0 cannot have charge 15"):
        read(record(tail="M  CHG  1   1  15\n"))


def test_fields_stand_above_formal_charges(read, capsys):
    fields = "M  END\n> <molrl_charge>\n1\n\n> <molrl_spin>\n4\n\n$$$$\n"
    batch = read(record(end="").replace("M  END\n", fields))
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([1], [4])
    assert not capsys.readouterr().err
    with pytest.raises(InputError, match="molrl_charge must be a whole number, not 'one'"):
        read(record(end="").replace("M  END\n", fields.replace("\n1\n", "\none\n")))


def test_records_without_separator_are_refused(read):
    with pytest.raises(InputError, match="molecule 0: another molecule follows within it"):
        read(record(end="") + record())


def test_data_items_may_hold_anything(read):
    assert len(read(record(end="> <block>\nV2000\nM  END\n\n$$$$\n"))) == 1


@pytest.mark.parametrize(("tag", "flat"), [("3D", True), ("  ", True), ("2D", False)])
def test_planar_molecules_are_read_unless_they_are_drawings(read, tag, flat, capsys):
    water = record([(x, y, 0.0, name) for x, _, y, name in WATER], tag=tag)
    if flat:
        assert len(read(water)) == 1
        assert ("read as a planar molecule" in capsys.readouterr().err) == (tag == "  ")
    else:
        with pytest.raises(InputError, match=r"a\.sdf: molecule 0 has 2D coordinates"):
            read(water)


@pytest.mark.parametrize("length", [0.5, 1.5])
def test_drawings_without_a_tag_are_refused(read, length):
    atoms = [(0.0, 0.0, 0.0, "O"), (length, 0.0, 0.0, "H"), (0.0, length, 0.0, "H")]
    with pytest.raises(InputError, match=r"a\.sdf: molecule 1 has 2D coordinates"):
        read(record() + record(atoms, tag="  "))


@pytest.mark.parametrize("word", ["D", "T"])
def test_isotopes_are_read_as_elements(read, word, capsys):
    atoms = [*WATER[:2], (*WATER[2][:3], word)]
    assert read(record(atoms)).numbers.tolist() == [8, 1, 1]
    assert f"{word} is read as H" in capsys.readouterr().err
    read(record(tail="M  ISO  1   2   2\n"))
    assert "isotopes are read as their elements" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["h", "1", "H1", "HO1"])
def test_words_that_are_no_symbols_are_refused_by_the_atom(read, word):
    with pytest.raises(InputError, match=f"molecule 0: atom 3: '{word}' is not an element symbol"):
        read(record([*WATER[:2], (*WATER[2][:3], word)]))


@pytest.mark.parametrize("bond", ["  1  4  1  0", "  1  1  1  0", "  2  1  1  0", " 1 3 1", ""])
def test_bonds_that_are_no_pairs_are_refused_by_their_number(read, bond):
    with pytest.raises(InputError, match=r"bond 2 has .* not a new pair of the 3 atoms"):
        read(record().replace("  1  3  1  0", bond))


@pytest.mark.parametrize("word", ["*", "R#", "A", "Q", "X", "LP", "Du"])
def test_dummies_are_refused_by_name(read, word):
    with pytest.raises(InputError) as error:
        read(record([*WATER[:2], (*WATER[2][:3], word)]))
    assert f"molecule 0: atom 3: '{word}' is a dummy or ghost atom" in str(error.value)


@pytest.mark.parametrize(
    "content", ["", "\n", "  \n \n", "$$$$\n", "garbage\n" * 9, record()[:200]]
)
def test_files_without_a_record_are_refused(read, content):
    with pytest.raises(InputError, match=r"a\.sdf"):
        read(content)


HYDROXIDE = [(0.0, 0.0, 0.0, "O"), (0.0, 0.0, 0.96, "H")]


@pytest.mark.parametrize(
    ("fields", "charge", "spin"),
    [
        ({"charge": -1}, -1, 1),
        ({"Total Charge": -1, "Multiplicity": 3}, -1, 3),
        ({"PUBCHEM_TOTAL_CHARGE": 1}, 1, 1),
        ({"charge": -1, "molrl_charge": 1}, 1, 1),
        ({"charge": "unknown", "molrl_spin": 2}, 0, 2),
    ],
)
def test_charges_and_multiplicities_of_data_fields_are_read(read, fields, charge, spin, capsys):
    data = "".join(f">  <{key}>\n{value}\n\n" for key, value in fields.items())
    batch = read(record(HYDROXIDE, bonds=1, end=data + "$$$$\n"))
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([charge], [spin])
    said = capsys.readouterr().err
    assert ("the field" in said) == ("molrl_charge" not in fields and "molrl_spin" not in fields)


@pytest.mark.parametrize(
    ("tail", "data", "line"),
    [
        ("M  CHG  1   1  -1\n", {"charge": 1}, "has formal charges that sum to -1 and the field"),
        ("M  RAD  1   1   2\n", {"multiplicity": 1}, "has radicals and the field multiplicity=1"),
        ("", {"charge": -1, "Total Charge": 1}, "has the field charge=-1 and the field Total"),
    ],
)
def test_data_fields_that_contradict_the_atoms_are_refused(read, tail, data, line):
    fields = "".join(f">  <{key}>\n{value}\n\n" for key, value in data.items())
    with pytest.raises(InputError, match=f"molecule 0 {line}.*contradict each other; keep one"):
        read(record(HYDROXIDE, bonds=1, tail=tail, end=fields + "$$$$\n"))


@pytest.mark.parametrize(
    ("smiles", "fields", "missing"),
    [
        ("c1ccccc1", {"PUBCHEM_TOTAL_CHARGE": 0}, 6),
        ("c1ccccc1", {"Charge": -1}, 6),
        ("c1ccccc1", {"multiplicity": 1}, 6),
        ("CC(=O)[O-]", {"charge": -1}, 3),
    ],
)
def test_data_fields_do_not_stand_for_missing_hydrogens(read, smiles, fields, missing):
    data = "".join(f">  <{key}>\n{value}\n\n" for key, value in fields.items())
    block = MolToMolBlock(Chem.RemoveHs(from_smiles(smiles, 0)))
    with pytest.raises(InputError, match=f"molecule 0 lacks {missing} hydrogens"):
        read(block + data)


@pytest.mark.parametrize(
    ("fields", "charge", "spin"),
    [
        ({"multiplicity": 3}, 0, 3),
        ({"charge": -2}, -2, 1),
        ({"charge": -1, "multiplicity": 2}, -1, 2),
    ],
)
def test_hydrogens_that_data_fields_explain_are_not_missed(read, fields, charge, spin):
    data = "".join(f">  <{key}>\n{value}\n\n" for key, value in fields.items())
    batch = read(record([(0.0, 0.0, 0.1, "C"), *WATER[1:]], end=data + "$$$$\n"))
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([charge], [spin])


def test_empty_records_are_left_out_and_said(read, capsys):
    assert len(read(record() + "\n$$$$\n" + record())) == 2
    assert "an empty record before it is left out (molecule 1)" in capsys.readouterr().err

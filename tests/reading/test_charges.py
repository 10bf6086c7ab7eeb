import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch

FORMATE = "C 0 0 0\nO 1.12 .5 0\nO -1.12 .5 0\nH 0 -1.1 0\n"


@pytest.fixture
def read(tmp_path):
    """Read the formate ion with a comment line, or any atoms."""

    def read(comment, atoms=FORMATE, count=4):
        path = tmp_path / "a.xyz"
        path.write_text(f"{count}\n{comment}\n{atoms}", encoding="utf-8")
        return read_molecules(path)

    return read


@pytest.mark.parametrize(
    "comment",
    [
        "-1 1",
        "-1, 1",
        "charge=-1",
        "CHARGE = -1.0",
        "charge: -1",
        "charge=-1=",
        "charge=-1; spin=1",
        "charge=1-",
        'charge="-1"',
        "charge=[-1]",
        "charge=(-1)",
        "charge={-1} spin={1}",
        "charge (e) = -1",
        "charge [e]: -1",
        "charge/e=-1",
        "net charge: -1",
        "Net_Charge=-1 mult=1",
        "total_charge=-1 total_spin=1.0",
        "charge=-1 multiplicity: 1",
        "charge=-1 uhf=0",
        "charge/multiplicity: -1 1",
        '{"charge": -1, "spin": 1}',
        '{"molecular_charge": -1, "molecular_multiplicity": 1}',
        "formal_charge=-1",
        "charge:-1|spin:1",
        "charge=-1.0000E+00 spin=1",
        "charge=-0.99999994 spin=1",
        "charge=-1 total_charge= spin=1",
        'Properties=species:S:1:pos:R:3 name="charge=5 a" charge=-1 pbc="F F F"',
    ],
)
def test_charge_is_read_in_its_usual_spellings(read, comment):
    batch = read(comment)
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([-1], [1])


@pytest.mark.parametrize(
    ("comment", "spin"),
    [
        ("mult=4", 4),
        ("uhf=3", 4),
        ("0 4", 4),
        ("Spin multiplicity: 4", 4),
        ("molecular_multiplicity=4", 4),
    ],
)
def test_multiplicity_is_read_in_its_usual_spellings(read, comment, spin):
    assert read(comment).spin.tolist() == [spin]


@pytest.mark.parametrize(
    "comment",
    [
        "TS guess, charge and spin from a log",
        "a charged species: 1 of 3",
        "charge: see the paper",
        "charge=none",
        "charge=-1e-15",
        "charge= energy=-1",
        "partial charge: 0.4",
        "nuclear charge=6",
        "Properties=species:S:1:pos:R:3 comment='total_charge=3'",
        "max_charge=5",
        "atom_charge=6",
        "charge_density=1",
        "charge transfer: 1",
        "0 2 4",
        "",
    ],
)
def test_other_comments_state_no_charge(read, comment, capsys):
    batch = read(comment)
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([0], [2])
    assert capsys.readouterr().err == ""


def test_two_numbers_that_the_electrons_do_not_allow_are_a_comment(read, capsys):
    for comment in ("0 1", "-1 2", "99 1", "0 30"):
        assert read(comment).spin.tolist() == [2]
        assert f"the comment '{comment}' is no charge" in capsys.readouterr().err


@pytest.mark.parametrize(
    "comment",
    [
        "charge -1",
        "-1 1 OH",
        "OH -1 1",
        "-1,1,OH",
        "-1 1 0",
        "-1/1",
        "q=-1",
        "ch: -1",
        "chg=-1",
        "q_tot=-1",
        "ion_charge=-1",
        "charge_state: -1",
        "Charges=-1",
        "charge(-1)",
        "charge -> -1",
    ],
)
def test_a_charge_without_equals_sign_is_a_comment_and_said(read, comment, capsys):
    assert read(comment).charge.tolist() == [0]
    assert "charge=-1 would be read" in capsys.readouterr().err


def test_what_is_taken_over_is_said_once_per_file(tmp_path, capsys):
    path = tmp_path / "many.xyz"
    path.write_text(f"4\n-1 1\n{FORMATE}" * 3)
    assert read_molecules(path).charge.tolist() == [-1] * 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "charge -1 and multiplicity 1 from the comment '-1 1' (molecule 0 and 2 more" in err


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("charge=-1 total_charge=0", "charge=-1 and total_charge=0 contradict each other"),
        ("spin=2 uhf=3", "contradict each other"),
        ("charge=-1.5", "charge must be a whole number, not '-1.5'"),
        ("charge=-1e999", "charge must be a whole number, not '-1e999'"),
        ("charge=True", "charge must be a whole number, not 'True'"),
        ("charge=99", "charge 99 and multiplicity 1: it has only 23 protons"),
        ("spin=3", "23 electrons take even multiplicities, 2 to 24"),
        ("spin=0", "charge 0 and multiplicity 0"),
        ("mult=26", "charge 0 and multiplicity 26"),
    ],
)
def test_contradictions_and_impossible_states_are_refused(read, comment, message):
    with pytest.raises(InputError, match=r"a\.xyz: molecule 0") as error:
        read(comment)
    assert message in str(error.value)


def test_initial_charges_and_moments_are_read(read):
    columns = "Properties=species:S:1:pos:R:3:initial_charges:R:1:initial_magmoms:R:1"
    batch = read(columns, "O 0 0 0 .5 .5\nO 0 0 1.2 .5 .5\n", 2)
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([1], [2])
    with pytest.raises(
        InputError, match=r"molecule 0: charge=-1 and initial charges that sum to 1"
    ):
        read(f"{columns} charge=-1", "O 0 0 0 .5 .5\nO 0 0 1.2 .5 .5\n", 2)
    with pytest.raises(InputError, match=r"initial charges sum to 0\.4"):
        read(columns, "O 0 0 0 .4 .5\nO 0 0 1.2 0 .5\n", 2)


@pytest.mark.parametrize("column", ["charge", "charges"])
@pytest.mark.parametrize(
    ("values", "comment", "charge", "said"),
    [
        ((-0.81, -0.2), "", -1, "charge -1 and multiplicity 1 from charges of atoms that sum to -"),
        ((-0.2, 0.2), "", 0, ""),
        ((-0.7, 0.1), "", 0, "charges of atoms sum to -0.6, which is not a whole number: they are"),
        ((-0.8, -0.2), " charge=1", 1, ""),
        ((8, 1), "", 0, ""),
        (("a", "b"), "", 0, ""),
    ],
)
def test_charges_of_a_calculation_give_the_charge(
    read, column, values, comment, charge, said, capsys
):
    atoms = "O 0 0 0 {}\nH 0 0 .97 {}\n".format(*values)
    batch = read(f"Properties=species:S:1:pos:R:3:{column}:R:1{comment}", atoms, 2)
    assert batch.charge.tolist() == [charge]
    assert said in (err := capsys.readouterr().err)
    assert ("charges of atoms" in err) == bool(said)


def test_charges_of_a_calculation_stand_above_moments_but_not_above_initial_charges(read):
    columns = "Properties=species:S:1:pos:R:3:charge:R:1"
    atoms = "O 0 0 0 -.8 {}\nH 0 0 .97 -.2 0\n"
    batch = read(f"{columns}:initial_magmoms:R:1", atoms.format(1), 2)
    assert (batch.charge.tolist(), batch.spin.tolist()) == ([-1], [1])
    assert read(f"{columns}:initial_charges:R:1", atoms.format(1), 2).charge.tolist() == [1]


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1.0,
        -1 - 1e-15,
        np.int64(-1),
        np.float32(-1),
        np.array(-1),
        np.array([-1]),
        "-1",
        "-1e0",
    ],
)
@pytest.mark.parametrize("key", ["charge", "Total_Charge", "netcharge"])
def test_from_ase_takes_whole_numbers_of_any_type(key, value):
    assert MoleculeBatch.from_ase(Atoms("F", info={key: value})).charge.tolist() == [-1]


def test_from_ase_takes_tensors_and_none():
    info = {"charge": torch.tensor(-1), "spin": None, "name": "charge", 3: "spin"}
    assert MoleculeBatch.from_ase(Atoms("F", info=info)).charge.tolist() == [-1]


@pytest.mark.parametrize("value", [0.5, True, "x", [1, 2], object(), float("nan"), 10**9])
def test_from_ase_refuses_what_is_no_whole_number(value):
    with pytest.raises(InputError, match="molecule 0: charge must be a whole number"):
        MoleculeBatch.from_ase(Atoms("F", info={"charge": value}))


def test_from_ase_takes_initial_charges_and_moments():
    water = molecule("H2O")
    water.set_initial_charges([1, 0, 0])
    batch = MoleculeBatch.from_ase([water, molecule("O2"), molecule("CH3")])
    assert batch.charge.tolist() == [1, 0, 0]
    assert batch.spin.tolist() == [2, 3, 2]
    water.info["charge"] = 0
    with pytest.raises(InputError, match="contradict each other"):
        MoleculeBatch.from_ase(water)


def test_stated_states_stand_above_initial_moments():
    singlet, ion = molecule("O2"), molecule("OH")
    singlet.info["spin"], ion.info["charge"] = 1, -1
    assert MoleculeBatch.from_ase([singlet, ion]).spin.tolist() == [1, 1]


def test_check_refuses_impossible_states():
    water = MoleculeBatch.from_ase(molecule("H2O"))
    with pytest.raises(InputError, match="charge 15 and multiplicity 2: it has only 10 protons"):
        water.charged([15]).check()
    with pytest.raises(InputError, match="10 electrons take odd multiplicities, 1 to 11"):
        water.with_states([0], [13])

import numpy as np
import pytest
from ase.data import atomic_numbers
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from molrl.bags import Bag, is_closed_shell, max_rings, may_be_closed_shell, valences
from molrl.chemistry.enumeration import random_molecules
from molrl.errors import InputError
from molrl.tasks import parse_task

counts = st.dictionaries(st.integers(1, 118), st.integers(1, 8), min_size=1, max_size=6)


@given(counts)
def test_bag_formula_reads_back_to_the_bag(atoms):
    bag = Bag(atoms)
    assert Bag(bag.formula) == bag
    assert Bag(bag.numbers) == bag
    assert dict(bag) == atoms
    assert bag.n_atoms == sum(atoms.values()) == len(bag.numbers)


@pytest.mark.parametrize(
    ("written", "hill"),
    [("CH4O", "CH4O"), ("OCH4", "CH4O"), ("HOH", "H2O"), ("SF6", "F6S"), ("C2H5OH", "C2H6O")],
)
def test_bag_formula_is_in_hill_order(written, hill):
    assert Bag(written).formula == hill


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid formula"),
        ("ch4", "invalid formula"),
        ("CH4 O", "invalid formula"),
        ("CH-4", "invalid formula"),
        ("C(H)4", "invalid formula"),
        ("4CH", "invalid formula"),
        ("Qq2", "unknown element 'Qq'"),
        ("XH", "unknown element 'X'"),
        ("CH0", "invalid count '0'"),
        ("CH99999999", "invalid count"),
        ("C2000", "1 to 1000"),
    ],
)
def test_bag_refuses_an_invalid_formula(text, message):
    with pytest.raises(InputError, match=message):
        Bag(text)
    with pytest.raises(InputError, match=message):
        parse_task(text)


@pytest.mark.parametrize(
    ("atoms", "wrong"),
    [({6: 1.5}, "1.5"), ({"C": 1}, "'C'"), ({6: "2"}, "'2'"), ([6.5], "6.5"), (["C"], "'C'")],
)
def test_bag_refuses_atoms_that_are_no_whole_numbers(atoms, wrong):
    with pytest.raises(InputError, match=f"by their atomic numbers, not {wrong}; or write"):
        Bag(atoms)


@pytest.mark.parametrize("atoms", [6, None, b"CH4"])
def test_bag_refuses_what_holds_no_atoms(atoms):
    with pytest.raises(InputError, match=f"a formula such as CH4O or atomic numbers, not {atoms}"):
        Bag(atoms)


def test_bag_takes_whole_numbers_of_any_type():
    assert Bag({np.float64(6): np.int32(1), 1: 4.0}) == Bag(np.array([6, 1, 1, 1, 1])) == Bag("CH4")


def test_bag_counts_absent_elements_as_zero():
    assert Bag("CH4")[8] == 0
    assert 8 not in Bag("CH4")
    assert hash(Bag("CH4")) == hash(Bag("H4C"))


@pytest.mark.parametrize("number", range(1, 119))
def test_valences_have_the_parity_of_the_electrons(number):
    assert {v % 2 for v in valences(number)} == {number % 2}


@pytest.mark.parametrize(
    ("symbol", "bonds"),
    [
        ("H", (1,)),
        ("C", (4,)),
        ("N", (3,)),
        ("O", (2,)),
        ("F", (1,)),
        ("Ne", (0,)),
        ("Na", (1,)),
        ("Al", (3,)),
        ("P", (3, 5)),
        ("S", (2, 4, 6)),
        ("I", (1, 3, 5, 7)),
        ("Zn", (2,)),
        ("Ti", (4,)),
        ("Eu", (3,)),
        ("Bi", (3, 5)),
    ],
)
def test_valences_are_those_of_the_group(symbol, bonds):
    assert valences(atomic_numbers[symbol]) == bonds


def test_is_closed_shell_accepts_what_can_be_one_molecule():
    yes = "H2 N2 CH4 H2O NH3 CHN C2H2 CH2O CH3NO C2N2 N4O C6H6 SF6 SF4 SOF4 IF5 SOF6 PCl5 XeF2 He"
    no = "CH3 CH2 NO OH CO C2 CH6 C2H10 SF5 SF8 HeH2 NH4 ClH3 H C F"
    assert [bag for bag in yes.split() if not is_closed_shell(Bag(bag))] == []
    assert [bag for bag in no.split() if is_closed_shell(Bag(bag))] == []


def test_may_be_closed_shell_accepts_a_dative_bond():
    yes, no = "CH4 CO CS BH6N BF3H3N AlCl3H3N BH5O", "CH3 C2 C2H8 BH5 CH6 BH6"
    assert [bag for bag in yes.split() if not may_be_closed_shell(Bag(bag))] == []
    assert [bag for bag in no.split() if may_be_closed_shell(Bag(bag))] == []


def test_is_closed_shell_accepts_enumerated_molecules():
    mols = random_molecules(80, seed=0, elements=("C", "N", "O", "F"), max_heavy=6)
    bags = {Bag([atom.GetAtomicNum() for atom in mol.GetAtoms()]) for mol in mols}
    assert [bag for bag in bags if not is_closed_shell(bag)] == []


@pytest.mark.parametrize(
    "smiles",
    [
        *("C12C3C4C1C5C2C3C45", "C1CC1", "c1ccc2ccccc2c1", "O=S1(=O)CCC1", "C1=CC=CP1(=O)O"),
        *("C1CC[NH2+]C1", "c1cc[nH+]cc1", "[O-][n+]1ccccc1", "FS1(F)(F)(F)OO1", "Clc1ccccc1Br"),
    ],
)
def test_no_molecule_has_more_rings_than_its_formula_allows(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    bag = Bag([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    rings = mol.GetNumBonds() - mol.GetNumAtoms() + 1
    assert rings <= max_rings(bag, Chem.GetFormalCharge(mol))


def test_max_rings_is_that_of_a_molecule_for_elements_of_one_valence():
    assert [max_rings(Bag(formula)) for formula in ("C4H8O", "C3H8", "C8H8", "H2O")] == [1, 0, 5, 0]
    assert max_rings(Bag("C3H10BN")) is None  # of [BH2-]1CCC[NH2+]1

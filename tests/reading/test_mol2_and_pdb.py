import re

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import MolFromPDBBlock, MolToPDBBlock
from rdkit.Chem.rdPartialCharges import ComputeGasteigerCharges

from molrl.chemistry.embedding import from_smiles
from molrl.errors import InputError
from molrl.files import read_molecules

ORDERS = {1.0: "1", 2.0: "2", 3.0: "3", 1.5: "ar"}
CASES = {
    "CCO": 0,
    "CC(=O)[O-]": -1,
    "C[NH3+]": 1,
    "[NH3+]CC(=O)[O-]": 0,
    "C[N+](=O)[O-]": 0,
    "c1cc[nH]c1": 0,
    "c1cc[nH+]cc1": 1,
    "c1ccsc1": 0,
    "NC(=[NH2+])N": 1,
    "O=C=O": 0,
    "C=C=C": 0,
    "CC#CC": 0,
}


def mol2(mol, charges="GASTEIGER"):
    """Return a molecule with its bonds, and partial charges that may be left out."""
    ComputeGasteigerCharges(mol)
    positions = mol.GetConformer().GetPositions()
    lines = ["@<TRIPOS>MOLECULE", "m", f"{mol.GetNumAtoms()} {mol.GetNumBonds()}", "SMALL", charges]
    lines.append("@<TRIPOS>ATOM")
    for atom, xyz in zip(mol.GetAtoms(), positions, strict=True):
        place = " ".join(f"{x:.4f}" for x in xyz)
        charge = atom.GetDoubleProp("_GasteigerCharge")
        kind = {6: "C.3", 7: "N.3"}.get(atom.GetAtomicNum(), atom.GetSymbol())
        lines.append(f"{atom.GetIdx() + 1} X {place} {kind} 1 UNL {charge:.4f}")
    lines.append("@<TRIPOS>BOND")
    for bond in mol.GetBonds():
        ends = f"{bond.GetBeginAtomIdx() + 1} {bond.GetEndAtomIdx() + 1}"
        lines.append(f"1 {ends} {ORDERS[bond.GetBondTypeAsDouble()]}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def read(tmp_path):
    def read(content, name):
        path = tmp_path / name
        path.write_text(content)
        return read_molecules(path)

    return read


@pytest.mark.parametrize(("form", "name"), [(mol2, "a.mol2"), (MolToPDBBlock, "a.PDB")])
@pytest.mark.parametrize("smiles", CASES)
def test_molecules_with_hydrogens_are_read_and_without_are_refused(read, smiles, form, name, capfd):
    mol = from_smiles(smiles, 0)
    batch = read(form(mol), name)
    assert batch.numbers.tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    assert batch.charge.tolist() == [CASES[smiles]]
    assert np.abs(batch.positions.numpy() - mol.GetConformer().GetPositions()).max() < 1e-3
    bare = Chem.RemoveHs(mol)
    if bare.GetNumAtoms() < mol.GetNumAtoms():
        with pytest.raises(InputError, match=re.escape(name) + ": molecule 0.* lacks .*hydrogen"):
            read(form(bare), name)
    assert capfd.readouterr().err.count("\n") == bool(CASES[smiles])


def test_several_molecules_are_read(read):
    mol = from_smiles("CCO", 0)
    assert len(read(2 * mol2(mol), "a.mol2")) == 2
    models = "MODEL\n" + MolToPDBBlock(mol).replace("END\n", "ENDMDL\n")
    assert len(read(2 * models + "END\n", "a.pdb")) == 2
    assert len(read(2 * models.replace("ENDMDL\n", "") + "END\n", "a.pdb")) == 2
    assert len(read(2 * MolToPDBBlock(mol), "a.pdb")) == 2


@pytest.mark.parametrize(
    ("written", "charge"), [("1+", 1), ("+1", 1), ("+ ", 1), ("3-", -3), ("-3", -3), ("0 ", 0)]
)
def test_charges_of_pdb_are_read_either_way(read, written, charge, capsys):
    block = MolToPDBBlock(from_smiles("[NH4+]", 0))
    assert "N1+" in block
    assert read(block.replace("N1+", f"N{written}"), "a.pdb").charge.tolist() == [charge]
    assert ("is a charge missing?" in capsys.readouterr().err) == (charge == 0)


@pytest.mark.parametrize("written", ["2 ", "17", "xx"])
def test_what_is_no_charge_in_its_columns_is_said(read, written, capsys):
    block = MolToPDBBlock(from_smiles("N", 0)).replace(" N  \n", f" N{written}\n")
    assert read(block, "a.pdb").charge.tolist() == [0]
    assert f"'{written.strip()}' in columns 79 and 80 is no charge" in capsys.readouterr().err


def test_mol2_without_charges_is_read_unless_it_holds_ions(read):
    text = mol2(from_smiles("CCO", 0), "NO_CHARGES")
    assert read(text, "a.mol2").charge.tolist() == [0]
    with pytest.raises(InputError, match=r"molecule 0 has atoms of ions \(N\.4\)"):
        read(text.replace("C.3", "N.4"), "a.mol2")
    zeros = re.sub(r"UNL .*", "UNL 0.0", mol2(from_smiles("CCO", 0)))
    assert read(zeros, "a.mol2").charge.tolist() == [0]
    with pytest.raises(InputError, match=r"molecule 0 has atoms of ions \(N\.4\)"):
        read(zeros.replace("C.3", "N.4"), "a.mol2")


@pytest.mark.parametrize("smiles", ["C[N+](C)(C)C", "CC=[NH2+]", "C[P+](C)(C)C", "C[S+](C)C"])
def test_mol2_ions_have_the_charge_of_their_atoms_or_are_refused(read, smiles):
    mol = from_smiles(smiles, 0)
    assert read(mol2(mol), "a.mol2").charge.tolist() == [1]
    with pytest.raises(
        InputError, match=r"N, P or S with a bond too many\) and no partial charges"
    ):
        read(mol2(mol, "NO_CHARGES"), "a.mol2")


def test_mol2_without_the_charge_of_an_aromatic_ion_is_noted(read, capsys):
    text = mol2(from_smiles("C[n+]1ccccc1", 0), "NO_CHARGES")
    assert read(text, "a.mol2").charge.tolist() == [0]
    assert "is a charge missing?" in capsys.readouterr().err


@pytest.mark.parametrize("charges", ["GASTEIGER", "NO_CHARGES"])
@pytest.mark.parametrize("smiles", ["CC(=O)[O-]", "C[NH3+]", "C[n+]1ccccc1", "C[N+](=O)[O-]"])
def test_formal_charges_of_mol2_are_read_where_there_are_no_partial_ones(read, smiles, charges):
    mol = from_smiles(smiles, 0)
    formal = [(atom.GetIdx() + 1, atom.GetFormalCharge()) for atom in mol.GetAtoms()]
    text = re.sub(r"UNL .*", "UNL 0.0", mol2(mol, charges)) + "@<TRIPOS>UNITY_ATOM_ATTR\n"
    text += "".join(f"{number} 1\ncharge {charge:+d}\n" for number, charge in formal if charge)
    assert read(text, "a.mol2").charge.tolist() == [sum(charge for _, charge in formal)]
    with pytest.raises(InputError, match="'charge x' is no whole charge of an atom"):
        read(re.sub(r"charge [-+]1", "charge x", text), "a.mol2")


def test_bonds_of_mol2_go_by_the_numbers_of_the_atoms(read):
    text = mol2(from_smiles("CCO", 0))
    head, rest = text.split("@<TRIPOS>ATOM\n")
    atoms, bonds = rest.split("@<TRIPOS>BOND\n")
    turned = "\n".join(atoms.splitlines()[::-1]) + "\n"
    expected = read(text, "a.mol2").positions.flip(0)
    batch = read(f"{head}@<TRIPOS>ATOM\n{turned}@<TRIPOS>BOND\n{bonds}", "a.mol2")
    assert (batch.positions == expected).all()
    places = re.sub(r"^(\d+) X", r"7\1 X", atoms, flags=re.MULTILINE)
    assert len(read(f"{head}@<TRIPOS>ATOM\n{places}@<TRIPOS>BOND\n{bonds}", "a.mol2")) == 1


def test_the_title_of_mol2_may_begin_with_the_sign_of_a_comment(read):
    text = mol2(from_smiles("CCO", 0)).replace("\nm\n", "\n# 1\n").replace("SMALL", "#\nSMALL")
    assert read("# comment\n" + text, "a.mol2").n_atoms.tolist() == [9]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("9 8", "9 12"), "molecule 0 has 8 bonds, but its counts line says '12'"),
        (("9 8", "8 8"), "molecule 0 has 9 atoms, but its counts line says '8'"),
        (("C.3", "Du"), "'Du' is a dummy"),
        (("1 1 2 1", "1 1 99 1"), "'1 1 99 1' is not a new bond"),
        (("UNL -0.0", "UNL -0.4"), "partial charges sum to"),
        (("C.3 ", ""), "an atom is not: number, name"),
        (("C.3", "ca"), "the atom type 'ca' is not of SYBYL"),
    ],
)
def test_corrupted_mol2_is_refused(read, change, message):
    with pytest.raises(InputError, match=message):
        read(mol2(from_smiles("CCO", 0)).replace(*change, 1), "a.mol2")


def test_elements_of_pdb_are_read_from_names(read):
    block = MolToPDBBlock(from_smiles("CC(Cl)Br", 0))
    short = "\n".join(line[:76] for line in block.splitlines() if line.startswith("HETATM"))
    full = [atom.GetAtomicNum() for atom in MolFromPDBBlock(block, removeHs=False).GetAtoms()]
    assert read(short, "a.pdb").numbers.tolist() == full


def test_cells_of_pdb_are_left_out_and_said(read, capsys):
    cell = "CRYST1   52.000   58.600   61.900  90.00  90.00  90.00 P 21 21 21    8\n"
    assert not read(cell + MolToPDBBlock(from_smiles("C", 0)), "a.pdb").is_periodic
    assert "the cell (CRYST1) is left out" in capsys.readouterr().err


def test_cells_of_mol2_are_left_out_and_said(read, capsys):
    cell = "@<TRIPOS>CRYSIN\n52.0 58.6 61.9 90.0 90.0 90.0 1 1\n"
    assert not read(mol2(from_smiles("C", 0)) + cell, "a.mol2").is_periodic
    assert "the cell (CRYSIN) is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "text", "message"),
    [((30, 38), "   1,234", "three numbers in columns"), ((16, 17), "B", "alternative places")],
)
def test_corrupted_pdb_is_refused(read, columns, text, message):
    start, end = columns
    lines = MolToPDBBlock(from_smiles("C", 0)).splitlines()
    lines[2] = lines[2][:start] + text + lines[2][end:]
    with pytest.raises(InputError, match=f"molecule 0: atom 3 has .*{message}"):
        read("\n".join(lines), "a.pdb")


def test_numbers_in_the_columns_of_the_element_are_refused(read):
    block = MolToPDBBlock(from_smiles("C", 0)).replace("           C", "           1")
    with pytest.raises(InputError, match="atom 1: '1' in columns 77 and 78 is not an element"):
        read(block, "a.pdb")


@pytest.mark.parametrize("name", ["HG", "HE"])
def test_names_of_pdb_that_may_be_two_elements_are_refused(read, name):
    line = f"HETATM    1 {name}   UNL     1       0.000   0.000   0.000  1.00  0.00"
    with pytest.raises(InputError, match=f"{name} may be hydrogen or {name.capitalize()}; write"):
        read(line + "\nEND\n", "a.pdb")
    assert read(f"{line:<76}{name:>2}\nEND\n", "a.pdb").n_atoms.tolist() == [1]


HETATM = "HETATM    1 {:<4} UNL     1    {:8.3f}   0.000   0.000  1.00  0.00\n"


@pytest.mark.parametrize(
    ("name", "distance", "element"),
    [
        ("CA", 1.09, "carbon or Ca"),
        ("CD1", 2.5, "carbon or Cd"),
        ("CE2", 1.09, "carbon or Ce"),
        ("NE", 1.01, "nitrogen or Ne"),
        ("ND1", 1.01, "nitrogen or Nd"),
        ("CS", 1.09, "carbon or Cs"),
    ],
)
def test_left_aligned_names_of_pdb_that_may_be_organic_are_refused(read, name, distance, element):
    text = HETATM.format(name, 0) + HETATM.format("H1", distance)
    with pytest.raises(InputError, match=f"molecule 0: atom 1: {name} may be {element}; write the"):
        read(text, "a.pdb")
    first, second = text.splitlines()
    full = f"{first:<76}{name[:2]:>2}\n{second}\n"
    assert read(full, "a.pdb").n_atoms.tolist() == [2]


@pytest.mark.parametrize(
    ("name", "distance", "number"),
    [("CA", 2.0, 20), ("CL", 1.27, 17), ("CL1", 1.27, 17), ("NA1", 1.9, 11), ("CU1", 1.46, 29)],
)
def test_left_aligned_names_of_pdb_are_elements_of_two_letters(read, name, distance, number):
    text = HETATM.format(name, 0) + HETATM.format("H1", distance)
    assert read(text, "a.pdb").numbers.tolist() == [number, 1]


@pytest.mark.parametrize("end", [52, 50])
def test_lines_of_pdb_that_end_within_a_coordinate_are_refused(read, end):
    lines = MolToPDBBlock(from_smiles("C", 0)).splitlines()
    lines[0] = lines[0][:end]
    with pytest.raises(InputError, match="molecule 0: atom 1 ends within its coordinates"):
        read("\n".join(lines), "a.pdb")

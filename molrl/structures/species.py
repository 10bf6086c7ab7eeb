"""Molecules named by their SMILES: common partners, aromatics, hypervalent species, enols."""

from collections.abc import Collection, Iterable
from functools import cache

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcRadiusOfGyration

from molrl.chemistry.embedding import embed, parse_smiles
from molrl.chemistry.identity import canonical_smiles
from molrl.structures.structure import Structure

EVERYWHERE = (
    *("O", "N", "C", "F", "S", "C#N", "C=O", "CO", "O=CO", "NC=O", "C=C", "C#C", "CN", "CF"),
    *("CC", "O=C=O", "[C-]#[O+]", "OO", "CS", "[H][H]"),
)
"""The smallest molecules, of which complexes have the most."""

SOLVENTS = (
    *("C=S", "FC(F)F", "FCF", "FC(F)(F)F", "N#N", "CC#N", "CC=O", "CC(C)=O", "CC(=O)O", "CCO"),
    *("COC", "CNC", "CN(C)C", "CS(C)=O", "CS(C)(=O)=O", "CNC=O", "CN(C)C=O", "COC=O", "CCC"),
    *("COC(C)=O", "CCOCC", "C1CCOC1", "C1COCCO1", "C1CC1", "C1CCCCC1", "CCCCC", "C[N+](=O)[O-]"),
    *("CSC", "CSSC", "N=C=O", "O=S=O", "ON", "C=CF", "CC(C)O", "OCCO", "OCC(F)(F)F", "C1CCNC1"),
    *("C1CCNCC1", "NCC(=O)O"),
)
"""Common solvents and other partners."""

FLAT = (
    *("c1ccccc1", "c1ccncc1", "c1cnccn1", "c1cncnc1", "Oc1ccccc1", "Cc1ccccc1", "c1ccsc1"),
    *("c1ccoc1", "c1cc[nH]c1", "c1c[nH]cn1", "c1cn[nH]c1", "c1cocn1", "c1cscn1", "Fc1ccccc1"),
    *("Fc1ccccc1F", "Fc1cccc(F)c1", "Fc1ccc(F)cc1", "Fc1ccncc1", "Fc1ccccn1", "Cc1ccc(C)cc1"),
    *("COc1ccccc1", "N#Cc1ccccc1", "O=Cc1ccccc1", "OCc1ccccc1", "Cc1ccc(O)cc1", "Cc1ccncc1"),
    *("O=c1cc[nH]c(=O)[nH]1", "Cc1c[nH]c(=O)[nH]c1=O", "Nc1cc[nH]c(=O)n1", "O=c1cccc[nH]1"),
    *("c1ccc2[nH]ccc2c1", "c1ccc2ccccc2c1", "Nc1ncnc2[nH]cnc12", "c1ncc2nc[nH]c2n1"),
    *("NC(=O)c1ccccc1", "OC(=O)c1ccccc1", "Nc1ccccn1", "c1ccc2ncccc2c1", "c1ccc2occc2c1"),
    *("Fc1c(F)c(F)c(F)c(F)c1F", "O=C1C=CC(=O)C=C1", "Sc1ccccc1", "Cc1ccsc1", "c1ccc2scnc2c1"),
)
"""Aromatic molecules, which stack."""

HYPERVALENT = (
    *("FS(F)(F)F", "FS(F)(F)(F)(F)F", "O=S=O", "O=S(=O)=O", "OS(=O)(=O)O", "OS(=O)O", "FSF"),
    *("O=S(F)F", "O=S(=O)(F)F", "O=S(=O)(O)F", "CS(=O)(=O)F", "CS(F)(F)(F)(F)F", "CS(F)(F)F"),
    *("FC(F)(F)F", "FC(F)(F)C(F)(F)F", "FC(F)(F)C(F)(F)C(F)(F)F", "FOF", "FN(F)F", "FN=NF"),
    *("FC(F)=C(F)F", "FC(F)C(F)F", "FCC(F)(F)F", "FC(F)(F)O", "O=C(F)F", "O=CF", "OF", "NF"),
    *("FNF", "FC#CF", "FC#N", "O=NF", "O=[N+]([O-])F", "FOOF", "FSSF", "FC(F)(F)S", "OC(F)F"),
    *("CC(F)(F)F", "OC(=O)C(F)(F)F", "NC(=O)C(F)(F)F", "N#CC(F)(F)F", "FC(F)(F)OC(F)(F)F"),
    *("CS(=O)C", "CS(=O)(=O)C", "CS(N)(=O)=O", "CS(=O)(=O)NC", "NS(N)(=O)=O", "CS(=O)(=O)O"),
    *("COS(C)(=O)=O", "COS(=O)OC", "COS(=O)(=O)OC", "O=S1(=O)CCCC1", "O=S1CCCC1", "NS(=O)(=O)O"),
    *("O=S(=O)(c1ccccc1)F", "NS(=O)(=O)c1ccccc1", "CS(=O)c1ccccc1", "CS(C)(=O)=N", "CS(=N)C"),
    *("C[N+](=O)[O-]", "CC[N+](=O)[O-]", "C=C[N+](=O)[O-]", "O=[N+]([O-])O", "CO[N+](=O)[O-]"),
    *("N[N+](=O)[O-]", "CN(C)[N+](=O)[O-]", "O=[N+]([O-])C[N+](=O)[O-]", "CON=O", "CN=O", "ON=O"),
    *(
        "CN=[N+]=[N-]",
        "CCN=[N+]=[N-]",
        "N=[N+]=[N-]",
        "C=[N+]=[N-]",
        "C[N+]#[C-]",
        "C[N+](C)(C)[O-]",
    ),
    *("CN=C=O", "CN=C=S", "O=C=C=C=O", "S=C=S", "O=C=S", "CN=NC", "[O-][n+]1ccccc1", "[O-][O+]=O"),
    *("OOC", "COOC", "CC(=O)OO", "SS", "CSSC", "SSS", "CSSSC", "CSO", "CSN", "CSF", "NSN", "CON"),
    "C[N+](C)(C)[O-]",
)
"""Species whose central atom has more neighbours or more fluorine than most, and unusual bonds."""

ENOLS = (
    *(r"O/C=C\C=O", r"C/C(O)=C\C=O", r"O/C=C\C(C)=O", r"C/C(O)=C/C(C)=O", r"O/C=C\C(=O)O"),
    *(r"O/C=C\C(N)=O", r"N/C=C\C=O", r"C/C(N)=C/C(C)=O", r"N/C=C\C=N", r"CN/C=C\C=O"),
    *(r"O/C=C(C)\C=O", r"O/C=C(F)\C=O", r"O/C=C\C(F)=O", r"C/C(O)=C/C(=O)OC", r"S/C=C\C=O"),
    *(r"O/C(C(F)(F)F)=C\C(C)=O", "O=Cc1ccccc1O", "OC1=C(C=O)CCCC1", r"O/C=C\C=S", r"O/C=C\N=O"),
    *("OC(=O)CC(=O)O", "O=CCC=O", "CC(=O)CC(C)=O", "OC(=O)C(=O)O", "NC(=O)CC=O", "ONC=O", "OC=NO"),
    *("O=C1C=C(O)CC1", r"O=C(O)/C=C\C(=O)O", "O=c1cccc[nH]1", "Oc1ccccn1", r"N/C(O)=C/C=O"),
    *(r"N=CNC=O", r"N/C=N\C=O", "NC=N", "CNC=N", "OC=NC"),
)
"""1,3-dicarbonyls, their enols and other molecules with a hydrogen that can move over."""

_BENCHMARKS = (
    *("CC(N)=O", "CNC(C)=O", "NC(N)=O", "C=CC=C", "C=CC=O", "C=Cc1ccccc1", "NN", "Nc1ccccc1"),
    *("Nc1cccc(OCc2ccccc2)n1", "CNC(=O)C(C)NC(C)=O", "O=[N+]([O-])c1ccccc1"),
    *("c1ccc(-c2ccccc2)cc1", "c1csc(-c2cccs2)c1"),
)


@cache
def reserved_identities() -> frozenset[str]:
    """Return the molecules whose torsions are a benchmark, which nothing is built of or into."""
    return frozenset(canonical_smiles(parse_smiles(smiles)) for smiles in _BENCHMARKS)


def embed_species(
    smiles: Iterable[str], elements: Collection[int], left_out: Collection[str]
) -> list[Structure]:
    """Return the most compact of four conformers of each molecule, optimised by a force field.

    Args:
        smiles: of the molecules; repetitions count once.
        elements: atomic numbers; molecules of others are left out.
        left_out: identities that are left out, too.

    Returns:
        Structures of kind ``relaxed``, without the molecules that cannot be embedded.
    """
    found = {}
    for name in smiles:
        mol = parse_smiles(name)
        identity = canonical_smiles(mol)
        if identity in found or identity in left_out:
            continue
        if not {1, *elements}.issuperset(atom.GetAtomicNum() for atom in mol.GetAtoms()):
            continue
        conformers = [embedded for seed in range(4) if (embedded := embed(mol, seed)) is not None]
        if conformers:
            # Folded conformers have the hydrogen bonds that chains of an enol can form.
            compact = min(conformers, key=CalcRadiusOfGyration)
            found[identity] = from_mol(compact, "relaxed", identity)
    return list(found.values())


def from_mol(mol: Chem.Mol, kind: str, identity: str) -> Structure:
    """Return the atoms of a molecule with hydrogens and one conformer."""
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return Structure(numbers, mol.GetConformer().GetPositions(), kind, identity)

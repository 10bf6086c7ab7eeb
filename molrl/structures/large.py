"""Molecules of 10 to 40 heavy atoms: joined ones, peptides, drug-like ones."""

from collections.abc import Collection, Sequence

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molrl.chemistry.identity import canonical_smiles
from molrl.structures.species import reserved_identities

HEAVY = (10, 40)  # atoms
_RESIDUES = "AGSTCVLIMFYWPNQDEHK"
_HEADS = (
    *("c1ccccc1", "c1ccncc1", "c1ccsc1", "c1ccoc1", "c1cc[nH]c1", "c1cncnc1", "Fc1ccc(cc1)"),
    *("Cc1ccc(cc1)", "COc1ccc(cc1)", "Fc1cc(F)cc(c1)", "C1CCCCC1", "C1CCNCC1", "C1CCOCC1", "CC"),
    *("FC(F)(F)", "CC(C)", "N#C", "CS(=O)(=O)", "CO", "CC(=O)", "NC(=O)", "CN(C)", "OCC", "CCCC"),
    *("O1CCN(CC1)", "C1CCCCN1", "c1ccc2[nH]cc(c2c1)", "OC(=O)", "FC(F)(F)c1ccc(cc1)"),
)
_LINKERS = (
    *("C(=O)N", "NC(=O)", "C(=O)N", "NC(=O)", "O", "COC", "OC", "S(=O)(=O)N", "NS(=O)(=O)", "CC"),
    *("C", "CCC", "C(=O)O", "OC(=O)", "N", "NC(=O)N", "S", "C=C", "C#C", "OCC", "C(C)", "C(=O)"),
    *("C(O)", "CN(C)", "C(F)(F)", "S(=O)", "S(=O)(=O)", "CCCC", "CSC", "C=N", ""),
)
_RINGS = (
    *("c1ccc(cc1)", "c1cccc(c1)", "c1cnc(cc1)", "c1sc(cc1)", "c1oc(cc1)", "c1[nH]c(cc1)"),
    *("c1ncc([nH]1)", "c1csc(n1)", "C1CCN(CC1)", "N1CCC(CC1)", "N1CCN(CC1)", "C1CCC(CC1)", "CC"),
    *("c1nnc(o1)", "c1cc(F)c(cc1)", "CCC", "CC(C)", "CC(=O)N", "C(C)C(=O)N", "C(CO)C(=O)N"),
)
_TAILS = (
    *("c1ccccc1", "c1ccncc1", "c1ccsc1", "c1ccoc1", "c1cc[nH]c1", "c1cncnc1", "c1ccccc1F"),
    *("c1ccc(F)cc1", "c1ccccn1", "C(F)(F)F", "F", "N1CCCCC1", "n1ccnc1", "N1CCOCC1", "C", "CC"),
    *("C(C)C", "C#N", "C(=O)O", "C(N)=O", "O", "N", "S(N)(=O)=O", "c1cccs1"),
)
_KINDS = ("joined", "peptide", "drug-like")
_KIND_SHARES = (0.5, 0.15, 0.35)


def draw_large(
    molecules: Sequence[str], elements: Collection[int], rng: np.random.Generator
) -> str | None:
    """Draw a molecule of 10 to 40 heavy atoms, mostly of 10 to 25.

    Of 20, ten are two to five molecules joined by single bonds in the place of hydrogens, three
    are peptides of two to five residues, and seven are rings linked by amides, ethers,
    sulfonamides, esters and chains.

    Args:
        molecules: SMILES to join; more than one.
        elements: atomic numbers of the heavy elements that it may have.
        rng: the random numbers.

    Returns:
        Its identity, a canonical SMILES; None if the draw gave none that is allowed.
    """
    kind = rng.choice(_KINDS, p=_KIND_SHARES)
    block = BlockLogs()  # strings that are no molecule are expected
    try:
        if kind == "joined":
            mol = _join(molecules, rng)
        elif kind == "peptide":
            n = int(rng.choice([2, 3, 4, 5], p=[0.6, 0.25, 0.1, 0.05]))
            mol = Chem.MolFromSequence("".join(rng.choice(list(_RESIDUES), size=n)))
        else:
            mol = Chem.MolFromSmiles(_write_drug(rng))
    finally:
        del block
    if mol is None or not HEAVY[0] <= mol.GetNumAtoms() <= HEAVY[1]:
        return None
    if not {1, *elements}.issuperset(atom.GetAtomicNum() for atom in mol.GetAtoms()):
        return None
    identity = canonical_smiles(mol)
    return None if identity in reserved_identities() else identity


def _join(molecules: Sequence[str], rng: np.random.Generator) -> Chem.Mol | None:
    """Two to five molecules, each bonded to a random atom of the ones before it."""
    n = int(rng.choice([2, 3, 4, 5], p=[0.65, 0.2, 0.1, 0.05]))
    joined = None
    for i in rng.integers(len(molecules), size=n):
        mol = Chem.MolFromSmiles(molecules[i])
        if mol is None or not _open_atoms(mol):
            return None
        joined = mol if joined is None else _bond(joined, mol, rng)
        if joined is None:
            return None
    return joined


def _open_atoms(mol: Chem.Mol) -> list[int]:
    """The atoms that bear a hydrogen."""
    return [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetTotalNumHs()]


def _bond(first: Chem.Mol, second: Chem.Mol, rng: np.random.Generator) -> Chem.Mol | None:
    """Both with a single bond in the place of two hydrogens; None if none is left."""
    ends = (_open_atoms(first), _open_atoms(second))
    if not all(ends):
        return None
    i, j = int(rng.choice(ends[0])), first.GetNumAtoms() + int(rng.choice(ends[1]))
    both = Chem.RWMol(Chem.CombineMols(first, second))
    for atom in (both.GetAtomWithIdx(i), both.GetAtomWithIdx(j)):
        if atom.GetNumExplicitHs():
            atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
    both.AddBond(i, j, Chem.BondType.SINGLE)
    try:
        Chem.SanitizeMol(both)
    except ValueError:  # RDKit's own kinds derive from it
        return None
    return both.GetMol()


def _write_drug(rng: np.random.Generator) -> str:
    """The SMILES of a chain of rings and groups; a few are of no molecule."""
    parts = [rng.choice(_HEADS)]
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.4, 0.4, 0.15, 0.05]))):
        parts += [rng.choice(_LINKERS), rng.choice(_RINGS)]
    return "".join([*parts, rng.choice(_LINKERS), rng.choice(_TAILS)])

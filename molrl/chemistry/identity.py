"""Identity of molecules: canonical SMILES with and without stereochemistry."""

from contextlib import suppress

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molrl.bags import valences
from molrl.chemistry.lewis import Lewis, PerceptionError, Skeleton, lewis_structure
from molrl.chemistry.valence import METALS

_ORDERS = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
_DRAWN = frozenset([*_ORDERS, Chem.BondType.AROMATIC])
_OF_SMILES = {  # the same relative to the stereo atoms, whatever their priorities
    Chem.BondStereo.STEREOE: Chem.BondStereo.STEREOTRANS,
    Chem.BondStereo.STEREOZ: Chem.BondStereo.STEREOCIS,
}
_HYPERVALENT = frozenset([17, 35, 36, 53, 54, 85, 86])  # beyond the valences that RDKit knows
_LENIENT = (
    Chem.SanitizeFlags.SANITIZE_ALL
    ^ Chem.SanitizeFlags.SANITIZE_PROPERTIES
    ^ Chem.SanitizeFlags.SANITIZE_CLEANUP
)


def canonical_smiles(mol: Chem.Mol, stereo: bool = False) -> str:
    """Return the canonical SMILES of a molecule with bonds.

    Without stereochemistry it names the constitution, which is the identity of a molecule in
    molrl: conformers, enantiomers and E/Z isomers are the same molecule. So are resonance
    structures: where a molecule is drawn with formal charges or unpaired electrons, the Lewis
    structure is chosen anew from which atoms are bonded, so that there is one notation however a
    molecule came: neutral where a neutral form exists (``CS(C)=O``), ``N=[N+]=[N-]``,
    ``C=[N+]=[N-]``, ``[N+](=O)[O-]``, ``[n+][O-]``, and one of the forms of a mesomeric ion.

    Args:
        mol: sanitised, hydrogens explicit or not.
        stereo: include stereocentres and double-bond stereochemistry.

    Returns:
        The SMILES, the same for every order of the atoms.

    Example:
        >>> canonical_smiles(Chem.MolFromSmiles("OCC"))
        'CCO'
        >>> canonical_smiles(Chem.MolFromSmiles("C[S+](C)[O-]"))
        'CS(C)=O'
    """
    block = BlockLogs()
    try:
        return _written(_redrawn(Chem.RemoveHs(mol, sanitize=False)), stereo)
    finally:
        del block


def parse(smiles: str) -> Chem.Mol | None:
    """Return the molecule of a SMILES; None if it is invalid.

    Unlike RDKit alone, it reads ClF3, IF7, KrF2 and their like.

    Args:
        smiles: the SMILES.
    """
    block = BlockLogs()
    try:
        mol = Chem.MolFromSmiles(smiles)
        if mol is not None:
            return mol
        mol = Chem.MolFromSmiles(smiles, sanitize=False)
        return mol if mol is not None and sanitize(mol) else None
    finally:
        del block


def sanitize(mol: Chem.Mol) -> bool:
    """Sanitise a molecule in place, with halogens and noble gases of any valence they can have.

    Args:
        mol: with bonds.

    Returns:
        Whether it could be.
    """
    if Chem.SanitizeMol(mol, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE:
        return True
    mol.UpdatePropertyCache(strict=False)
    problems = Chem.DetectChemistryProblems(mol)
    if any(p.GetType() != "AtomValenceException" for p in problems):
        return False
    atoms = [mol.GetAtomWithIdx(p.GetAtomIdx()) for p in problems]
    if any(a.GetFormalCharge() > 0 or a.GetAtomicNum() not in _HYPERVALENT for a in atoms):
        return False
    # An anion such as Br3- has one bond more than a neutral halogen.
    if any(
        a.GetTotalValence() + a.GetFormalCharge() not in valences(a.GetAtomicNum()) for a in atoms
    ):
        return False
    done = Chem.SanitizeMol(mol, _LENIENT, catchErrors=True)
    return bool(done == Chem.SanitizeFlags.SANITIZE_NONE)


def draw(mol: Chem.RWMol, lewis: Lewis) -> None:
    """Set the bond orders and formal charges of a molecule in place.

    Args:
        mol: its bonds in the order of the structure.
        lewis: the structure.
    """
    for k, extra in enumerate(lewis.extras):
        if extra:
            mol.GetBondWithIdx(k).SetBondType(_ORDERS[extra])
    for i, charge in enumerate(lewis.charges):
        if charge:
            mol.GetAtomWithIdx(i).SetFormalCharge(charge)


def _written(mol: Chem.Mol, stereo: bool) -> str:
    smiles = Chem.MolToSmiles(mol, isomericSmiles=stereo)
    # Parsed and written again, because the first SMILES may depend on the order of the atoms.
    again = Chem.MolFromSmiles(smiles)
    return smiles if again is None else Chem.MolToSmiles(again, isomericSmiles=stereo)


def _redrawn(mol: Chem.Mol) -> Chem.Mol:
    """Return the molecule in the canonical Lewis structure of its atoms and bonds."""
    if not any(a.GetFormalCharge() or a.GetNumRadicalElectrons() for a in mol.GetAtoms()):
        return mol
    if any(bond.GetBondType() not in _DRAWN for bond in mol.GetBonds()):
        return mol
    if any(a.GetAtomicNum() in METALS and a.GetDegree() for a in mol.GetAtoms()):
        return mol  # complexes are drawn in too many ways
    mol.UpdatePropertyCache(strict=False)  # the hydrogens that were removed count
    with suppress(PerceptionError):  # a charge that no structure fits stays as it is drawn
        parts = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)
        drawn = _redrawn_part(parts[0])
        for part in parts[1:]:  # each keeps its charge
            drawn = Chem.CombineMols(drawn, _redrawn_part(part))
        Chem.FastFindRings(drawn)
        return drawn
    return mol


def _redrawn_part(mol: Chem.Mol) -> Chem.Mol:
    bare = _without_orders(mol)
    order = np.argsort(list(Chem.CanonicalRankAtoms(bare, includeChirality=False))).tolist()
    ranked = Chem.RWMol(Chem.RenumberAtoms(bare, order))
    skeleton = Skeleton(
        [atom.GetAtomicNum() for atom in ranked.GetAtoms()],
        [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in ranked.GetBonds()],
        [atom.GetNumExplicitHs() for atom in ranked.GetAtoms()],
    )
    draw(ranked, lewis_structure(skeleton, Chem.GetFormalCharge(mol)))
    if not sanitize(ranked):
        return mol
    _copy_double_bond_stereo(mol, ranked, np.argsort(order).tolist())
    return ranked.GetMol()


def _copy_double_bond_stereo(source: Chem.Mol, target: Chem.RWMol, places: list[int]) -> None:
    """Copy it to the double bonds of another drawing, whose atoms are at other ``places``."""
    for bond in source.GetBonds():
        if bond.GetStereo() == Chem.BondStereo.STEREONONE:
            continue
        ends = places[bond.GetBeginAtomIdx()], places[bond.GetEndAtomIdx()]
        same = target.GetBondBetweenAtoms(*ends)
        if same.GetBondType() != Chem.BondType.DOUBLE or len(bond.GetStereoAtoms()) != 2:
            continue
        beside = [places[i] for i in bond.GetStereoAtoms()]
        same.SetStereoAtoms(*(beside if same.GetBeginAtomIdx() == ends[0] else beside[::-1]))
        same.SetStereo(_OF_SMILES.get(bond.GetStereo(), bond.GetStereo()))
    Chem.SetDoubleBondNeighborDirections(target)


def _without_orders(mol: Chem.Mol) -> Chem.Mol:
    """Return a copy with single bonds and no formal charges; hydrogens are counted explicitly."""
    bare = Chem.RWMol(mol)
    hydrogens = [atom.GetTotalNumHs() for atom in mol.GetAtoms()]
    for bond in bare.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
        bond.SetStereo(Chem.BondStereo.STEREONONE)
        bond.SetBondDir(Chem.BondDir.NONE)
    for atom, n in zip(bare.GetAtoms(), hydrogens, strict=True):
        atom.SetFormalCharge(0)
        atom.SetNumRadicalElectrons(0)
        atom.SetIsAromatic(False)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(n)
    bare.UpdatePropertyCache(strict=False)
    return bare.GetMol()

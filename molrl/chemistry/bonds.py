"""Bonds perceived from coordinates, and the validity of molecules.

Which atoms are bonded follows from distances (:mod:`molrl.chemistry.connectivity`), bond orders and
formal charges from the best Lewis structure with the charge of the molecule
(:mod:`molrl.chemistry.lewis`). It covers main-group chemistry; metals are given single bonds.
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molrl.chemistry.connectivity import bonded_pairs, has_bridge, overlapping
from molrl.chemistry.identity import canonical_smiles, draw, sanitize
from molrl.chemistry.isolated import ground_state_atoms
from molrl.chemistry.lewis import PerceptionError, Skeleton, lewis_structure
from molrl.chemistry.valence import METALS
from molrl.molecules import MoleculeBatch
from molrl.reading.sdf import CHARGE_FIELD, SPIN_FIELD

_CARBON = 6
_POLYHEDRAL = (
    Chem.ChiralType.CHI_SQUAREPLANAR,
    Chem.ChiralType.CHI_TRIGONALBIPYRAMIDAL,
    Chem.ChiralType.CHI_OCTAHEDRAL,
)


@dataclass(frozen=True)
class Validity:
    """Validity and identity of the molecules of a batch.

    A molecule is valid if no two atoms overlap (closer than 0.65 of the sum of their covalent
    radii), all are connected, and a closed-shell Lewis structure of its charge exists: no radical
    or unpaired electrons, and formal charges only where they make up the charge of the molecule or
    neutralise that of a neighbour (as in nitro groups, isocyanides, carbon monoxide); zwitterions
    are not valid. Ylides such as ``[CH2-][NH3+]`` and 1,3-dipoles
    such as ``C=[NH+][CH2-]``, which can be minima but are hardly ever isolated, are valid by this
    rule; those with a carbanion match the SMARTS ``[#6-]-[+]``, which ``molrl search --without``
    takes. Radicals, carbenes and zwitterions have an identity all the same. The identity does not
    depend on the multiplicity: triplet oxygen is O=O with two unpaired electrons.

    Attributes:
        valid: ``(n_molecules,)`` bool.
        smiles: canonical SMILES without stereochemistry, the identity; None if no bonds could be
            perceived. An invalid molecule may have one.
        isomeric_smiles: canonical SMILES with the stereochemistry of the coordinates, or None.
        n_fragments: ``(n_molecules,)`` int64, number of connected fragments; 0 without atoms.
        reasons: why each molecule is invalid, ``""`` for a valid one.
        mols: RDKit molecules with the perceived bonds, or None.
    """

    valid: np.ndarray
    smiles: list[str | None]
    isomeric_smiles: list[str | None]
    n_fragments: np.ndarray
    reasons: list[str]
    mols: list[Chem.Mol | None]


def perceive_bonds(mol: Chem.Mol, charge: int = 0) -> Chem.Mol:
    """Return a copy of a molecule with the bonds and formal charges perceived from coordinates.

    Args:
        mol: atoms and one conformer; its bonds are ignored.
        charge: total charge, e.

    Returns:
        A sanitised molecule, its atoms in the same order; unpaired electrons are set.

    Raises:
        PerceptionError: if there are no atoms, or no Lewis structure is found.
    """
    bare = Chem.RWMol(mol)
    for bond in list(bare.GetBonds()):
        bare.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    for atom in bare.GetAtoms():
        atom.SetNoImplicit(True)
    return _with_orders(bare, _connect(bare), charge)


def validity(molecules: MoleculeBatch) -> Validity:
    """Perceive the bonds of molecules, and return their validity and identity.

    Args:
        molecules: n molecules; their charges and multiplicities count.

    Returns:
        One entry per molecule.

    Example:
        >>> found = validity(molrl.molecules.MoleculeBatch.from_ase(water))  # doctest: +SKIP
        >>> found.valid, found.smiles  # doctest: +SKIP
        (array([ True]), ['O'])
    """
    items = zip(
        molecules.to_rdkit(), molecules.charge.tolist(), molecules.spin.tolist(), strict=True
    )
    results = [_examine(mol, charge, spin) for mol, charge, spin in items]
    mols = [mol for mol, _, _ in results]
    reasons = [reason for _, _, reason in results]
    return Validity(
        valid=np.array([not reason for reason in reasons], dtype=bool),
        smiles=[mol and canonical_smiles(mol) for mol in mols],
        isomeric_smiles=[mol and canonical_smiles(mol, stereo=True) for mol in mols],
        n_fragments=np.array([n for _, n, _ in results], dtype=np.int64),
        reasons=reasons,
        mols=mols,
    )


def bonded_atoms(molecules: MoleculeBatch) -> list[np.ndarray]:
    """Return which atoms are bonded, by their distances; no Lewis structure is needed.

    Where :func:`perceive_bonds` finds a Lewis structure, it has the same bonds.

    Args:
        molecules: n molecules.

    Returns:
        ``(n_bonds, 2)`` int64 indices of atoms for each molecule.

    Raises:
        InputError: if a structure is periodic.
    """
    arrays = molecules.require_molecules("bonds").arrays()
    return [bonded_pairs(numbers, positions)[0] for numbers, positions in arrays]


def bonded_mols(molecules: MoleculeBatch, perceived: Validity) -> list[Chem.Mol]:
    """Return RDKit molecules for :func:`molrl.files.write_sdf`.

    Those whose bonds were perceived have them, Kekulé, and formal charges; the others have none.
    A charge that the formal charges do not add up to, and a multiplicity above 1 or of drawn
    radicals, are properties of the molecule, which :func:`molrl.files.read_molecules` reads.

    Args:
        molecules: n molecules.
        perceived: :func:`validity` of the same.
    """
    charges, spins = molecules.charge.tolist(), molecules.spin.tolist()
    mols = []
    for i, (bonded, bare) in enumerate(zip(perceived.mols, molecules.to_rdkit(), strict=True)):
        mol = Chem.Mol(bonded or bare)
        if bonded:
            Chem.Kekulize(mol, clearAromaticFlags=True)
        if Chem.GetFormalCharge(mol) != charges[i]:
            mol.SetIntProp(CHARGE_FIELD, charges[i])
        if spins[i] != 1 or any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            mol.SetIntProp(SPIN_FIELD, spins[i])
        mols.append(mol)
    return mols


def _examine(mol: Chem.Mol, charge: int, spin: int) -> tuple[Chem.Mol | None, int, str]:
    """Return the molecule with bonds if any are found, its number of fragments, and what is wrong.

    The last is ``""`` for a valid molecule.
    """
    bare = Chem.RWMol(mol)
    try:
        skeleton = _connect(bare)
    except PerceptionError as error:
        return None, 0, str(error)
    numbers, positions = np.array(skeleton.numbers), bare.GetConformer().GetPositions()
    n_fragments = len(Chem.GetMolFrags(bare))
    problems = [f"{n_fragments} fragments"] if n_fragments > 1 else []
    if pair := overlapping(numbers, positions):
        problems.insert(0, f"atoms {pair[0]} and {pair[1]} overlap")
    try:
        bonded = _with_orders(bare, skeleton, charge)
    except PerceptionError as error:
        return None, n_fragments, "; ".join([*problems, str(error)])
    each = [atom.GetNumRadicalElectrons() for atom in bonded.GetAtoms()]
    if len(numbers) == 1 and numbers[0] in METALS and not charge:  # of metals RDKit knows none
        each = [int(ground_state_atoms(numbers).spin[0]) - 1]
    radicals = sum(each)
    if spin == 1 and radicals == max(each) == 2:
        problems.append(_name_of_pair(bonded.GetAtomWithIdx(each.index(2))))
    elif radicals:
        problems.append(f"{radicals} radical electron{'s' * (radicals > 1)}")
    elif spin > 1:
        problems.append(f"{spin - 1} unpaired electron{'s' * (spin > 2)}")
    elif _has_separated_charges(bonded, charge):
        problems.append("separated formal charges")
    if problems and not pair and (hint := _hint(bonded, numbers, positions)):
        problems.append(hint)
    return bonded, n_fragments, "; ".join(problems)


def _name_of_pair(atom: Chem.Atom) -> str:
    """Return what is wrong with an atom that has both radical electrons, in a singlet."""
    kind = ": a carbene" if atom.GetAtomicNum() == _CARBON else ""
    return f"2 radical electrons on {atom.GetSymbol()}{kind}"


def _hint(mol: Chem.Mol, numbers: np.ndarray, positions: np.ndarray) -> str:
    """Return why an invalid molecule may be a good one: what is perceived too simply."""
    if any(atom.GetAtomicNum() in METALS and atom.GetDegree() for atom in mol.GetAtoms()):
        return "bonds to metals are taken as single ones"
    if has_bridge(numbers, positions):
        return "a hydrogen between two atoms is bonded to one of them"
    return ""


def _has_separated_charges(mol: Chem.Mol, charge: int) -> bool:
    """Return whether formal charges neither make up ``charge`` nor neutralise a neighbour's."""
    lone = [atom.GetFormalCharge() for atom in mol.GetAtoms() if _is_lone_charge(atom)]
    return sum(map(abs, lone)) > abs(charge) or any(one * charge < 0 for one in lone)


def _is_lone_charge(atom: Chem.Atom) -> bool:
    charge = atom.GetFormalCharge()
    return charge != 0 and all(
        charge * other.GetFormalCharge() >= 0 for other in atom.GetNeighbors()
    )


def _connect(mol: Chem.RWMol) -> Skeleton:
    """Add single bonds between the atoms that are bonded, in place, and return them."""
    if not mol.GetNumAtoms():
        raise PerceptionError("no atoms")
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    found, lengths = bonded_pairs(np.array(numbers), mol.GetConformer().GetPositions())
    pairs = found.tolist()
    for i, j in pairs:
        mol.AddBond(i, j, Chem.BondType.SINGLE)
    return Skeleton(numbers, pairs, lengths=lengths.tolist())


def _with_orders(mol: Chem.RWMol, skeleton: Skeleton, charge: int) -> Chem.Mol:
    """Set bond orders and formal charges of the bonds of a molecule in place, and return it."""
    block = BlockLogs()
    try:
        draw(mol, lewis_structure(skeleton, charge))
        if not sanitize(mol):
            raise PerceptionError("no Lewis structure fits")
        Chem.AssignStereochemistryFrom3D(mol)
        _clear_polyhedral_tags(mol)
    finally:
        del block
    return mol.GetMol()


def _clear_polyhedral_tags(mol: Chem.Mol) -> None:
    """Clear the tags of five and six neighbours, and of four in a plane.

    RDKit sets them even where all neighbours are alike, and they depend on the order of the atoms.
    """
    for atom in mol.GetAtoms():
        if atom.GetChiralTag() in _POLYHEDRAL:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)

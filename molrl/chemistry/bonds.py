"""Bonds perceived from coordinates, and what makes a molecule valid.

RDKit's ``rdDetermineBonds`` does the work: connectivity from distances, then the Lewis structure
of the given total charge (Kim and Kim, Bull. Korean Chem. Soc. 36, 1769 (2015)). It knows
main-group chemistry; compounds of metals are not perceived.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds
from rdkit.rdBase import BlockLogs

from molrl.chemistry.identity import canonical_smiles
from molrl.molecules import MoleculeBatch

MAX_ITERATIONS = 20_000  # bond orders that were tried; a molecule needs a handful


class PerceptionError(ValueError):
    """No Lewis structure fits the coordinates and the charge; the message says why."""


@dataclass(frozen=True)
class Validity:
    """Which molecules of a batch are valid, and which ones they are.

    A molecule is valid if it is neutral and all its atoms hang together in one fragment whose
    valences are satisfied: a Lewis structure exists that has no radical electrons, and formal
    charges only between neighbours (as in nitro groups, isocyanides, carbon monoxide). Charges
    farther apart are how bond perception writes a diradical, so they are not valid.

    Attributes:
        valid: ``(n_molecules,)`` bool.
        smiles: canonical SMILES without stereochemistry, the identity; None where no bonds could
            be perceived. A molecule that is not valid may have one.
        isomeric_smiles: the same with stereochemistry as the coordinates have it.
        n_fragments: ``(n_molecules,)`` int64, parts that hang together; 0 without atoms.
        reasons: why a molecule is not valid, ``""`` where it is.
        mols: RDKit molecules with the bonds perceived, None where they could not be.
    """

    valid: np.ndarray
    smiles: list[str | None]
    isomeric_smiles: list[str | None]
    n_fragments: np.ndarray
    reasons: list[str]
    mols: list[Chem.Mol | None]


def perceive_bonds(mol: Chem.Mol, charge: int = 0) -> Chem.Mol:
    """A copy of a molecule with the bonds and formal charges that its coordinates tell.

    The result does not depend on the order of the atoms, even where several Lewis structures are
    as good.

    Args:
        mol: atoms and one conformer; its bonds are ignored.
        charge: total charge, e.

    Raises:
        PerceptionError: if there are no atoms, or no Lewis structure is found.
    """
    return _assign_orders(_connect(mol), charge)


def validity(molecules: MoleculeBatch) -> Validity:
    """Whether each molecule of the batch is valid, and its identity."""
    results = [
        _examine(mol, charge)
        for mol, charge in zip(molecules.to_rdkit(), molecules.charge.tolist(), strict=True)
    ]
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
    """Return which atoms are bonded in each molecule, with or without a Lewis structure.

    These are the bonds of :func:`perceive_bonds` wherever it finds a Lewis structure; elsewhere the
    ones it started from, of which the distances alone decide.

    Returns:
        ``(n_bonds, 2)`` int64 indices of atoms for each molecule.
    """
    pairs = []
    for mol in molecules.to_rdkit():
        bonds = _connect(mol).GetBonds() if mol.GetNumAtoms() else ()
        ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
        pairs.append(np.array(ends, np.int64).reshape(-1, 2))
    return pairs


def bonded_mols(molecules: MoleculeBatch, perceived: Validity) -> list[Chem.Mol]:
    """RDKit molecules for a file: with the bonds perceived, Kekulé, or with none.

    Args:
        molecules: n molecules.
        perceived: :func:`validity` of the same.
    """
    mols = []
    for bonded, bare in zip(perceived.mols, molecules.to_rdkit(), strict=True):
        mol = Chem.Mol(bonded or bare)
        if bonded:
            Chem.Kekulize(mol, clearAromaticFlags=True)
        mols.append(mol)
    return mols


def _examine(mol: Chem.Mol, charge: int) -> tuple[Chem.Mol | None, int, str]:
    """The molecule with bonds if there are any to be had, its fragments, and what is wrong."""
    try:
        connected = _connect(mol)
    except PerceptionError as error:
        return None, 0, str(error)
    n_fragments = len(Chem.GetMolFrags(connected))
    problems = [f"{n_fragments} fragments"] if n_fragments > 1 else []
    if charge:
        problems.append(f"charge {charge:+d}")
    try:
        bonded = _assign_orders(connected, charge)
    except PerceptionError as error:
        return None, n_fragments, "; ".join([*problems, str(error)])
    radicals = sum(atom.GetNumRadicalElectrons() for atom in bonded.GetAtoms())
    if radicals:
        problems.append(f"{radicals} radical electron{'s' * (radicals > 1)}")
    elif not charge and any(map(_is_lone_charge, bonded.GetAtoms())):
        problems.append("charges apart from each other")
    return bonded, n_fragments, "; ".join(problems)


def _is_lone_charge(atom: Chem.Atom) -> bool:
    charge = atom.GetFormalCharge()
    return charge != 0 and all(
        charge * other.GetFormalCharge() >= 0 for other in atom.GetNeighbors()
    )


def _connect(mol: Chem.Mol) -> Chem.Mol:
    """A copy with single bonds between the atoms that are bonded."""
    if not mol.GetNumAtoms():
        raise PerceptionError("no atoms")
    mol = Chem.Mol(mol)
    with _failures_as_perception_errors():
        rdDetermineBonds.DetermineConnectivity(mol)
    return mol


def _assign_orders(connected: Chem.Mol, charge: int) -> Chem.Mol:
    """A copy with bond orders and formal charges, found in canonical order of the atoms."""
    for atom in connected.GetAtoms():
        atom.SetNoImplicit(True)
    with _failures_as_perception_errors():
        connected.UpdatePropertyCache(strict=False)
        order = np.argsort(list(Chem.CanonicalRankAtoms(connected, includeChirality=False)))
        mol = Chem.RenumberAtoms(connected, order.tolist())
        rdDetermineBonds.DetermineBondOrders(mol, charge=charge, maxIterations=MAX_ITERATIONS)
        Chem.SanitizeMol(mol)
        Chem.AssignStereochemistryFrom3D(mol)
    return Chem.RenumberAtoms(mol, np.argsort(order).tolist())


@contextmanager
def _failures_as_perception_errors() -> Iterator[None]:
    """RDKit raises several kinds for one thing, and prints them besides."""
    block = BlockLogs()
    try:
        yield
    except RuntimeError as error:
        raise PerceptionError("bond orders not found in the tries allowed") from error
    except ValueError as error:
        raise PerceptionError("no Lewis structure fits") from error
    finally:
        del block

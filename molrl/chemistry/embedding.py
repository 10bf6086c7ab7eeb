"""3D conformers of molecules that are given by their bonds."""

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from rdkit.rdBase import BlockLogs

from molrl.errors import InputError


def parse_smiles(smiles: str) -> Chem.Mol:
    """Return the molecule of a SMILES, without hydrogens or coordinates.

    Args:
        smiles: the SMILES.

    Raises:
        InputError: if it is invalid, empty, or of several molecules, which :func:`embed` would put
            on top of each other.
    """
    block = BlockLogs()  # the error below says what RDKit would print
    try:
        mol = Chem.MolFromSmiles(smiles)
    finally:
        del block
    if mol is None or not mol.GetNumAtoms():
        raise InputError(f"invalid SMILES {smiles!r}")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise InputError(
            f"{smiles!r} is of several molecules; give one, or a file with the places of all"
        )
    return mol


def from_smiles(smiles: str, seed: int) -> Chem.Mol:
    """Return the molecule of a SMILES with hydrogens and one conformer.

    Args:
        smiles: the SMILES.
        seed: random seed of the conformer.

    Returns:
        An RDKit molecule; :meth:`molrl.molecules.MoleculeBatch.from_rdkit` takes it.

    Raises:
        InputError: if the SMILES is invalid, of several molecules, or cannot be embedded.

    Example:
        >>> from_smiles("CO", seed=0).GetNumAtoms()
        6
    """
    embedded = embed(parse_smiles(smiles), seed)
    if embedded is None:
        raise InputError(f"{smiles!r} cannot be embedded in 3D")
    return embedded


def embed(mol: Chem.Mol, seed: int) -> Chem.Mol | None:
    """Return a molecule with hydrogens and one conformer, optimised by MMFF94.

    Args:
        mol: a sanitised molecule, its atoms all connected.
        seed: random seed of the conformer.

    Returns:
        A new molecule, optimised by UFF if MMFF94 has no parameters for it, as embedded if neither
        has; None if no conformer is found.
    """
    mol = Chem.AddHs(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed % (2**31 - 1)  # type: ignore[assignment]  # RDKit's stub errs
    parameters.maxIterations = 20  # type: ignore[assignment]  # RDKit's stub errs
    block = BlockLogs()  # failures are expected, and reported by None
    try:
        if rdDistGeom.EmbedMolecule(mol, parameters) != 0:
            return None
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=500)
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=500)
    finally:
        del block
    positions = mol.GetConformer().GetPositions()
    return mol if np.isfinite(positions).all() else None

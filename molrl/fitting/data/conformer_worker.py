"""The work of one process of the conformer pool: distinct conformers of one molecule by RDKit."""

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from rdkit.Chem.rdMolDescriptors import CalcNumRotatableBonds
from rdkit.rdBase import BlockLogs

_quiet = BlockLogs()  # failures are returned
_FLEXIBLE = 2  # rotatable bonds; molecules with more have more conformers
_FEWEST = 3
_SAME = 0.05  # kcal/mol; minima of a force field whose energies are nearer are one conformer


def work(smiles: str, seed: int, most: int) -> tuple[np.ndarray, list[np.ndarray]] | str:
    """Embed conformers by ETKDGv3, and relax them by MMFF94, or UFF where that has no parameters.

    Args:
        smiles: the molecule.
        seed: of the conformers.
        most: number of conformers to try; at most three of molecules with few rotatable bonds.

    Returns:
        Atomic numbers ``(n,)`` and the positions ``(n, 3)`` in Å of each distinct conformer, the
        lowest in energy first; or a reason.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed  # type: ignore[assignment]  # RDKit's stub errs
    parameters.maxIterations = 20  # type: ignore[assignment]  # RDKit's stub errs
    n = most if CalcNumRotatableBonds(mol) > _FLEXIBLE else min(most, _FEWEST)
    made = list(rdDistGeom.EmbedMultipleConfs(mol, n, parameters))
    if not made:
        return "not embedded"
    kept: list[tuple[float, np.ndarray]] = []
    for energy, i in sorted(zip(_relax(mol), made, strict=True)):
        positions = mol.GetConformer(i).GetPositions()
        new = all(energy - known > _SAME for known, _ in kept)
        if new and np.isfinite(positions).all():
            kept.append((energy, positions))
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return (numbers, [x for _, x in kept]) if kept else "not embedded"


def _relax(mol: Chem.Mol) -> list[float]:
    """Relax all conformers, and return their energies in kcal/mol; 0 without parameters."""
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        found = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=500)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        found = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(mol, maxIters=500)
    else:
        return [0.0] * mol.GetNumConformers()
    return [float(energy) for _, energy in found]

"""The work of one process of the embedding pool: conformers of one molecule by RDKit."""

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolDescriptors
from rdkit.rdBase import BlockLogs

_quiet = BlockLogs()  # failures are returned


def work(smiles: str, seed: int, n_conformers: int) -> tuple[np.ndarray, np.ndarray] | str:
    """Embed a molecule by ETKDGv3, and relax it by MMFF94, or UFF where that has no parameters.

    Args:
        smiles: the molecule.
        seed: of the conformers.
        n_conformers: of how many the most compact is taken, by its radius of gyration.

    Returns:
        Atomic numbers ``(n,)`` and positions ``(n, 3)`` in Å; or a reason.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed  # type: ignore[assignment]  # RDKit's stub errs
    parameters.maxIterations = 10  # type: ignore[assignment]  # RDKit's stub errs
    conformers = list(rdDistGeom.EmbedMultipleConfs(mol, n_conformers, parameters))
    if not conformers:
        return "no conformer"
    best = min(conformers, key=lambda i: rdMolDescriptors.CalcRadiusOfGyration(mol, confId=i))
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=300, confId=best)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=300, confId=best)
    positions = mol.GetConformer(best).GetPositions()
    if not np.isfinite(positions).all():
        return "the force field diverges"
    return np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]), positions

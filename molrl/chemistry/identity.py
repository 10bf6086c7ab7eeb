"""Identity of molecules: canonical SMILES with and without stereochemistry."""

from rdkit import Chem
from rdkit.rdBase import BlockLogs


def canonical_smiles(mol: Chem.Mol, stereo: bool = False) -> str:
    """Return the canonical SMILES of a molecule with bonds.

    Without stereochemistry it names the constitution, which is the identity of a molecule in
    molrl: conformers, enantiomers and E/Z isomers are the same molecule.

    Args:
        mol: sanitised, hydrogens explicit or not.
        stereo: include stereocentres and double-bond stereochemistry.

    Returns:
        The SMILES, the same for every order of the atoms.

    Example:
        >>> canonical_smiles(Chem.MolFromSmiles("OCC"))
        'CCO'
    """
    block = BlockLogs()
    smiles = Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=stereo)
    # Parsed and written again, because the first SMILES may depend on the order of the atoms.
    again = Chem.MolFromSmiles(smiles)
    del block
    return smiles if again is None else Chem.MolToSmiles(again, isomericSmiles=stereo)

"""When two molecules are the same one: canonical SMILES with and without stereochemistry."""

from rdkit import Chem
from rdkit.rdBase import BlockLogs


def canonical_smiles(mol: Chem.Mol, stereo: bool = False) -> str:
    """The canonical SMILES of a molecule with bonds.

    Two molecules are isomers of each other if these differ at equal formula. Without
    ``stereo`` that means constitution, which is what molrl counts as identity: a conformer, an
    enantiomer or the other double-bond isomer is not another molecule. With it, centres and double
    bonds count as the molecule's stereochemistry tells.

    Args:
        mol: sanitised, hydrogens explicit or not.
        stereo: keep stereochemistry.
    """
    block = BlockLogs()
    smiles = Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=stereo)
    # Read back and written again: the first pass may depend on the order of the atoms.
    again = Chem.MolFromSmiles(smiles)
    del block
    return smiles if again is None else Chem.MolToSmiles(again, isomericSmiles=stereo)

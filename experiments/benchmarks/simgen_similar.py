"""Molecules of SiMGen like five that are given.

Each reference is five molecules with a group in common, of those that are kept for validation and
test. Of the molecules made from it, as large as the five, of molecules made from the default
reference, and of molecules drawn at random from the shipped set: how many are valid, distinct and
none of the five; their similarity to the most similar of the five, by data-free descriptors; how
many of the environments of their atoms, up to the first neighbours, occur in the five; and how many
have the group.
"""

import sys
from collections.abc import Sequence

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from record import record

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import MoleculeSet, shipped_molecules
from molrl.energy.descriptors import load_descriptors
from molrl.energy.descriptors.nearest import nearest_molecules
from molrl.generators.simgen.generator import SimgenGenerator
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

N, SEED = 20, 0
SMALLEST, LARGEST = 5, 8  # heavy atoms
GROUPS = {
    "carbonyl": "[CX3]=[OX1]",
    "alkyne": "C#C",
    "three-membered ring": "[r3]",
    "thioether": "[#6][SX2][#6]",
}


def five_with(group: str) -> MoleculeSet:
    """Return five molecules that no reference is drawn from and that have a group.

    Args:
        group: SMARTS.
    """
    known, pattern = shipped_molecules(), Chem.MolFromSmarts(group)
    found = []
    for i in np.flatnonzero((known.split > 0).numpy()).tolist():
        mol = Chem.MolFromSmiles(known.identities[i])
        if SMALLEST <= mol.GetNumAtoms() <= LARGEST and mol.HasSubstructMatch(pattern):
            found.append(i)
    return known[found[:: len(found) // 5][:5]]


def environments(smiles: Sequence[str]) -> list[set[int]]:
    """Return which environments of heavy atoms, up to the first neighbours, molecules have.

    Args:
        smiles: n molecules.
    """
    generator = GetMorganGenerator(radius=1)
    mols = [Chem.MolFromSmiles(s) for s in smiles]
    return [set(generator.GetSparseFingerprint(mol).GetOnBits()) for mol in mols]


def row(molecules: MoleculeBatch, five: MoleculeSet, group: str) -> dict[str, object]:
    """Return the figures of molecules beside the five.

    Args:
        molecules: at least one valid one.
        five: the molecules to compare with.
        group: SMARTS.
    """
    found, pattern = validity(molecules), Chem.MolFromSmarts(group)
    valid = np.flatnonzero(found.valid)
    names = [str(found.smiles[i]) for i in valid]
    descriptors = load_descriptors("tensor-reduced", "cpu")
    near = nearest_molecules(molecules[torch.from_numpy(valid)], five.molecules, descriptors)
    known = set[int]().union(*environments(five.identities))
    shared = [len(one & known) / len(one) for one in environments(names)]
    have = [Chem.MolFromSmiles(name).HasSubstructMatch(pattern) for name in names]
    return {
        "molecules": len(molecules),
        "valid %": 100 * len(valid) / len(molecules),
        "distinct": len(set(names)),
        "none of the five": len(set(names) - set(five.identities)),
        "similarity": float(np.median(near.similarity)),
        "shared environments %": 100 * float(np.mean(shared)),
        "with the group %": 100 * float(np.mean(have)),
    }


def random_molecules(sizes: Sequence[int]) -> MoleculeBatch:
    """Return molecules of the shipped set with these numbers of heavy atoms.

    Args:
        sizes: of each.
    """
    train = shipped_molecules().of_split("train")
    heavy = train.molecules.sum_atoms((train.molecules.numbers > 1).long()).numpy()
    rng = np.random.default_rng(SEED)
    return train.molecules[torch.tensor([rng.choice(np.flatnonzero(heavy == n)) for n in sizes])]


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    rows: list[dict[str, object]] = []
    with progress(len(GROUPS), "groups") as bar:
        for i, (name, group) in enumerate(GROUPS.items()):
            five = five_with(group)
            heavy = five.molecules.sum_atoms((five.molecules.numbers > 1).long()).tolist()
            sizes = [heavy[k % 5] for k in range(n)]
            like = SimgenGenerator(device="cpu", reference=five.molecules)
            plain = SimgenGenerator(device="cpu")
            compared = {
                "SiMGen, of the five": like.generate_sizes(sizes, seed=SEED).molecules,
                "SiMGen, default reference": plain.generate_sizes(sizes, seed=SEED).molecules,
                "shipped set, at random": random_molecules(sizes),
            }
            for what, molecules in compared.items():
                rows.append({"five with": name, "compared": what} | row(molecules, five, group))
            bar.update(i + 1)
    record("simgen_similar", f"{n} molecules of SiMGen like five that are given", rows)


if __name__ == "__main__":
    main()

"""Making the molecule set that ships: enumerated, relaxed with GFN2-xTB, checked."""

from collections import Counter

import numpy as np
import torch
from rdkit import Chem

from molrl.chemistry.bonds import validity
from molrl.chemistry.embedding import from_smiles
from molrl.chemistry.enumeration import isomers, random_molecules
from molrl.chemistry.identity import canonical_smiles
from molrl.chemistry.molecule_set import SPLITS, MoleculeSet, split_of
from molrl.energy.registry import load_energy
from molrl.fitting.data.config import MoleculeSetConfig
from molrl.fitting.data.labels import Progress
from molrl.fitting.data.relaxing import relax_all
from molrl.molecules import MoleculeBatch

_STEPS = 250


def make_molecule_set(
    config: MoleculeSetConfig, progress: Progress
) -> tuple[MoleculeSet, Counter[str]]:
    """Enumerate molecules, relax them with GFN2-xTB, and keep those that keep their connectivity.

    Args:
        config: what to make.
        progress: called with how far it is.

    Returns:
        The molecules, and how many were left out, by reason.
    """
    mols = _enumerated(config)
    identities = list(mols)
    drawn = MoleculeBatch.from_rdkit(list(mols.values()))
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    names: list[str] = []
    lost: Counter[str] = Counter()
    results = relax_all(drawn, config.force_tolerance, [_STEPS] * len(drawn), progress)
    for (numbers, _), name, result in zip(drawn.arrays(), identities, results, strict=True):
        if isinstance(result, str) or not result[1]:
            lost["not relaxed"] += 1
            continue
        kept.append((numbers, result[0]))
        names.append(name)
    return _checked(kept, names, lost), lost


def _enumerated(config: MoleculeSetConfig) -> dict[str, Chem.Mol]:
    """Embedded molecules by identity, the smallest first."""
    extra = [from_smiles(smiles, config.seed) for smiles in config.extra]
    drawn = random_molecules(config.n, config.seed, config.elements, config.max_heavy)
    of_bags = [
        mol
        for bag in config.bags
        if config.isomers
        for mol in isomers(bag, config.isomers, config.seed)
    ]
    found = {canonical_smiles(mol): mol for mol in [*extra, *drawn, *of_bags]}
    return dict(sorted(found.items(), key=lambda item: (item[1].GetNumHeavyAtoms(), item[0])))


def _checked(
    kept: list[tuple[np.ndarray, np.ndarray]], names: list[str], lost: Counter[str]
) -> MoleculeSet:
    """The molecules that kept their connectivity, with their energies."""
    molecules = MoleculeBatch.from_arrays(kept, dtype=torch.float32)
    found = validity(molecules)
    same = np.array([a == b for a, b in zip(found.smiles, names, strict=True)])
    # GFN2-xTB's energies belong to the positions as they are stored, in float32.
    output = load_energy("gfn2").evaluate(molecules)
    sound = torch.isfinite(output.energy).numpy()
    lost["another molecule"] += int((~same).sum())
    lost["no energy"] += int((same & ~sound).sum())
    chosen = np.flatnonzero(same & sound)
    identities = tuple(names[i] for i in chosen)
    return MoleculeSet(
        molecules=molecules[torch.from_numpy(chosen)],
        energy=output.energy[torch.from_numpy(chosen)],
        identities=identities,
        split=torch.tensor([SPLITS.index(split_of(name)) for name in identities]),
    )

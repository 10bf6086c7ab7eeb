"""Energies and forces of structures, in chunks, with what failed dropped and counted."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from molrl.chemistry.molecule_set import SPLITS, split_of
from molrl.energy.interface import EnergyModel
from molrl.fitting.data.dataset import Dataset
from molrl.molecules import MoleculeBatch
from molrl.structures.structure import Structure, to_batch

_CHUNK = 512
SEPARATED = 4.0  # Å; beyond, a pair whose SCF fails is two isolated atoms to within 0.1 eV

Progress = Callable[[str, int, int], None]
"""Called with the name of the phase, how much of it is done, and how much there is."""


@dataclass
class Dropped:
    """Structures that were asked for but are not in the data, counted by kind.

    Attributes:
        not_made: no structure could be drawn or relaxed.
        failed: the reference gave no energy.
        large_force: a force was larger than allowed.
    """

    not_made: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    large_force: Counter[str] = field(default_factory=Counter)


def label(
    structures: Sequence[Structure],
    reference: EnergyModel,
    max_force: float,
    progress: Progress,
) -> tuple[Dataset, Dropped]:
    """Label structures with energies and forces of the reference.

    Pairs of atoms further apart than :data:`SEPARATED` whose SCF does not converge, as it never
    does for some, are labelled as two isolated atoms.

    Args:
        structures: what to label, with their charges and spins.
        reference: the energy model that labels.
        max_force: eV/Å; a structure with a larger force is dropped.
        progress: called with how far it is.

    Returns:
        The labelled structures, and the counts of those that were dropped.
    """
    dropped = Dropped()
    parts = []
    for start in range(0, len(structures), _CHUNK):
        chunk = structures[start : start + _CHUNK]
        parts.append(_label_chunk(chunk, reference, max_force, dropped))
        progress("labelling", min(start + _CHUNK, len(structures)), len(structures))
    return Dataset.join(parts), dropped


def _label_chunk(
    structures: Sequence[Structure], reference: EnergyModel, max_force: float, dropped: Dropped
) -> Dataset:
    # The labels belong to the positions as they are stored, in float32.
    molecules = to_batch(structures, torch.float32)
    output = reference.evaluate(molecules, forces=True)
    assert output.forces is not None
    energy, forces = output.energy.cpu(), output.forces.cpu()
    isolated = reference.isolated_energy(molecules)
    for i in output.failures:
        if _is_separated_pair(structures[i]):
            energy[i] = isolated[i]
            forces[molecules.molecule == i] = 0.0
    atoms = {z: e for z, e in reference.atom_energies().items() if math.isfinite(e)}
    dataset = replace(
        _assemble(structures, molecules, energy, forces),
        reference=reference.name,
        atomic_energies=atoms,
    )
    large = dataset.largest_force() > max_force
    failed = ~torch.isfinite(energy)
    dropped.failed.update(structures[i].kind for i in torch.nonzero(failed).flatten().tolist())
    dropped.large_force.update(
        structures[i].kind for i in torch.nonzero(large & ~failed).flatten().tolist()
    )
    return dataset[~failed & ~large]


def _is_separated_pair(structure: Structure) -> bool:
    if len(structure) != 2 or structure.charge:
        return False
    return float(np.linalg.norm(structure.positions[0] - structure.positions[1])) > SEPARATED


def _assemble(
    structures: Sequence[Structure],
    molecules: MoleculeBatch,
    energy: torch.Tensor,
    forces: torch.Tensor,
) -> Dataset:
    kinds = tuple(dict.fromkeys(s.kind for s in structures))
    identities = tuple(dict.fromkeys(s.identity for s in structures))
    place = {name: i for i, name in enumerate(identities)}
    return Dataset(
        molecules=molecules,
        energy=energy,
        forces=forces.float(),
        kind=torch.tensor([kinds.index(s.kind) for s in structures]),
        kinds=kinds,
        split=torch.tensor([SPLITS.index(split_of(s.identity)) for s in structures]),
        identity=torch.tensor([place[s.identity] for s in structures]),
        identities=identities,
    )

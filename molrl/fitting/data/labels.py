"""Energies and forces of structures, in chunks, with what failed dropped and counted."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from molrl.chemistry.molecule_set import SPLITS, split_of
from molrl.energy.interface import EnergyModel
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.structures import Structure
from molrl.molecules import MoleculeBatch

_CHUNK = 512
SEPARATED = 4.0  # Å; from here on a pair whose SCF fails is two atoms to within 0.1 eV

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass
class Dropped:
    """What was asked for but is not in the data, by kind.

    Attributes:
        not_made: no structure could be drawn or relaxed.
        failed: the reference gave no energy.
        too_steep: a force was larger than allowed.
    """

    not_made: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    too_steep: Counter[str] = field(default_factory=Counter)


def label(
    structures: Sequence[Structure],
    reference: EnergyModel,
    max_force: float,
    progress: Progress,
) -> tuple[Dataset, Dropped]:
    """The structures with energies and forces of the reference, less those that are dropped.

    Pairs of atoms further apart than :data:`SEPARATED` whose SCF does not converge, as it never
    does for some, are labelled as two isolated atoms.

    Args:
        structures: neutral, of the lowest spin.
        reference: the model that labels.
        max_force: eV/Å; a structure with a larger force is dropped.
        progress: told how far it is.
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
    molecules = MoleculeBatch.from_arrays(
        ((s.numbers, s.positions) for s in structures), dtype=torch.float32
    )
    output = reference.evaluate(molecules, forces=True)
    assert output.forces is not None
    energy, forces = output.energy.cpu(), output.forces.cpu()
    isolated = reference.isolated_energy(molecules)
    for i in output.failures:
        if _is_separated_pair(structures[i]):
            energy[i] = isolated[i]
            forces[molecules.molecule == i] = 0.0
    dataset = _assemble(structures, molecules, energy, forces)
    steep = dataset.largest_force() > max_force
    failed = ~torch.isfinite(energy)
    dropped.failed.update(structures[i].kind for i in torch.nonzero(failed).flatten().tolist())
    dropped.too_steep.update(
        structures[i].kind for i in torch.nonzero(steep & ~failed).flatten().tolist()
    )
    return dataset[~failed & ~steep]


def _is_separated_pair(structure: Structure) -> bool:
    gap = np.linalg.norm(structure.positions[0] - structure.positions[-1])
    return len(structure) == 2 and float(gap) > SEPARATED


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

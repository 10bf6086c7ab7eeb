"""Labels of structures, in chunks, with what failed dropped and counted."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from molrl.chemistry.molecule_set import SPLITS, split_of
from molrl.energy.interface import EnergyModel
from molrl.energy.lower_bound import evaluate_or_bound
from molrl.energy.output import EnergyOutput
from molrl.fitting.data.dataset import Dataset
from molrl.molecules import MoleculeBatch
from molrl.structures.structure import Structure, to_batch

_CHUNK = 512
_FURTHER = ("dipole", "energies")  # what labels besides energies and forces come from
SEPARATED = 4.0  # Å; beyond, a pair whose SCF fails is two isolated atoms to within 0.1 eV

Progress = Callable[[str, int, int], None]
"""Called with the name of the phase, how much of it is done, and how much there is."""


@dataclass
class Dropped:
    """Structures that were asked for but are not in the data, counted by kind.

    Attributes:
        not_made: no structure could be drawn or relaxed.
        failed: the reference gave neither an energy nor a lower bound of it.
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
    """Label structures with the energy, the forces and what else the reference gives.

    Pairs of atoms further apart than :data:`SEPARATED` whose SCF does not converge, as it never
    does for some, are labelled as two isolated atoms. Other structures whose SCF does not converge
    have lower bounds by :func:`molrl.energy.lower_bound.evaluate_or_bound`. Neutral structures of
    several parts have interaction energies, for which each part is evaluated alone.

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
    dataset = _evaluate(structures, reference)
    large = dataset.largest_force() > max_force
    failed = ~torch.isfinite(dataset.energy)
    dropped.failed.update(structures[i].kind for i in torch.nonzero(failed).flatten().tolist())
    dropped.large_force.update(
        structures[i].kind for i in torch.nonzero(large & ~failed).flatten().tolist()
    )
    return dataset[~failed & ~large]


def _evaluate(structures: Sequence[Structure], reference: EnergyModel) -> Dataset:
    """All structures with what the reference gives, NaN where that is nothing."""
    parts, whole = _parts_alone(structures)
    every = [*structures, *parts]
    # The labels belong to the positions as they are stored, in float32.
    batch = to_batch(every, torch.float32)
    further = [name for name in _FURTHER if name in reference.implemented_properties]
    output, bound = evaluate_or_bound(reference, batch, forces=True, properties=further)
    assert output.forces is not None
    energy, forces, bound = output.energy.cpu(), output.forces.cpu().float(), bound.cpu()
    site_energy, dipole = _site_energy(output, reference, batch), _dipole(output)

    separated = torch.tensor([_is_separated_pair(structure) for structure in every])
    apart = separated & (bound | ~energy.isfinite())
    energy = torch.where(apart, reference.isolated_energy(batch), energy)
    bound = bound & ~apart
    forces[(apart | bound)[batch.molecule]] = 0.0
    site_energy[apart[batch.molecule]] = 0.0
    dipole[apart] = 0.0

    n, n_atoms = len(structures), int(batch.n_atoms[: len(structures)].sum())
    interaction = _interaction(torch.where(bound, torch.nan, energy), whole, n)
    return replace(
        _assemble(structures, batch[:n], energy[:n], forces[:n_atoms]),
        reference=reference.name,
        atomic_energies={z: e for z, e in reference.atom_energies().items() if math.isfinite(e)},
        site_energy=site_energy[:n_atoms],
        dipole=dipole[:n],
        bound=bound[:n],
        part=torch.from_numpy(np.concatenate([_numbered_parts(s) for s in structures])),
        interaction=interaction,
    )


def _is_separated_pair(structure: Structure) -> bool:
    if len(structure) != 2 or structure.charge:
        return False
    return float(np.linalg.norm(structure.positions[0] - structure.positions[1])) > SEPARATED


def _numbered_parts(structure: Structure) -> np.ndarray:
    """The part of each atom, ``(n,)`` int64, numbered from 0 without gaps."""
    if structure.part is None:
        return np.zeros(len(structure), np.int64)
    return np.unique(structure.part, return_inverse=True)[1].astype(np.int64)


def _parts_alone(structures: Sequence[Structure]) -> tuple[list[Structure], Tensor]:
    """The parts of neutral structures that have several, and the index of each one's structure."""
    parts, whole = [], []
    for i, structure in enumerate(structures):
        of_atoms = _numbered_parts(structure)
        if structure.charge or not of_atoms.any():
            continue
        for part in range(of_atoms.max() + 1):
            parts.append(structure.only(np.flatnonzero(of_atoms == part), structure.kind))
            whole.append(i)
    return parts, torch.tensor(whole, dtype=torch.int64)


def _interaction(energy: Tensor, whole: Tensor, n: int) -> Tensor:
    """The energy of each of ``n`` structures minus those of its parts, which follow them."""
    out = torch.full((n,), torch.nan, dtype=energy.dtype)
    out[whole] = energy[whole]
    return out.index_add_(0, whole, -energy[n:]).float()


def _site_energy(output: EnergyOutput, reference: EnergyModel, batch: MoleculeBatch) -> Tensor:
    """The energy of each atom minus that of the isolated atom; NaN if the reference has none."""
    if "energies" not in output.properties:
        return torch.full((len(batch.numbers),), torch.nan)
    known = reference.atom_energies()
    isolated = torch.tensor([known[z] for z in batch.numbers.tolist()], dtype=torch.float64)
    return (output.properties["energies"].cpu() - isolated).float()


def _dipole(output: EnergyOutput) -> Tensor:
    """The dipole of each structure; NaN if the reference has none."""
    unknown = torch.full((len(output.energy), 3), torch.nan)
    return output.properties.get("dipole", unknown).cpu().float()


def _assemble(
    structures: Sequence[Structure], molecules: MoleculeBatch, energy: Tensor, forces: Tensor
) -> Dataset:
    kinds = tuple(dict.fromkeys(s.kind for s in structures))
    identities = tuple(dict.fromkeys(s.identity for s in structures))
    place = {name: i for i, name in enumerate(identities)}
    return Dataset(
        molecules=molecules,
        energy=energy,
        forces=forces,
        kind=torch.tensor([kinds.index(s.kind) for s in structures]),
        kinds=kinds,
        split=torch.tensor([SPLITS.index(s.split or split_of(s.identity)) for s in structures]),
        identity=torch.tensor([place[s.identity] for s in structures]),
        identities=identities,
    )

"""The minima that searches find: batched relaxation, and identity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from molrl.chemistry.bonds import validity
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.generators.search.placement import Geometry
from molrl.molecules import MoleculeBatch

NOT_CONVERGED = "the relaxation did not converge"


@dataclass(frozen=True)
class Minima:
    """Structures that were relaxed, the good ones and the others.

    Attributes:
        molecules: n relaxed geometries, float64.
        energy: ``(n,)`` float64, eV; NaN where it failed.
        smiles: the identity of each, None where no bonds could be perceived.
        reasons: why each is not a closed-shell molecule in one piece at a minimum; ``""`` for one
            that is.
    """

    molecules: MoleculeBatch
    energy: NDArray[np.float64]
    smiles: list[str | None]
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.molecules)

    @property
    def found(self) -> list[int]:
        """Indices of those that are molecules at a minimum."""
        return [i for i, reason in enumerate(self.reasons) if not reason]


def relax_to_minima(
    molecules: MoleculeBatch,
    model: EnergyModel,
    force_tolerance: float,
    max_steps: int,
    fixed: torch.Tensor | None = None,
) -> Minima:
    """Relax molecules in one batch, and say what they have become.

    Args:
        molecules: where they start.
        model: the energy model.
        force_tolerance: eV/Å, the largest force on an atom at a minimum.
        max_steps: energy calls after the first.
        fixed: ``(n_atoms_total,)`` bool, atoms that do not move.

    Returns:
        One entry for each molecule.
    """
    done = relax(molecules, model, force_tolerance, max_steps, fixed=fixed)
    found, converged = validity(done.molecules), done.converged.tolist()
    return Minima(
        molecules=done.molecules,
        energy=done.energy.cpu().numpy(),
        smiles=found.smiles,
        reasons=[
            done.failures.get(i) or reason or ("" if converged[i] else NOT_CONVERGED)
            for i, reason in enumerate(found.reasons)
        ],
    )


def to_batch(geometries: Sequence[Geometry], charge: int = 0) -> MoleculeBatch:
    """Return geometries as one batch.

    Args:
        geometries: at least one.
        charge: e, of the placed atoms, to which that of the fixed atoms is added.
    """
    batch = MoleculeBatch.from_arrays((each.numbers, each.positions) for each in geometries)
    return batch.charged([charge + each.instance.charge for each in geometries])


def fixed_atoms(geometries: Sequence[Geometry]) -> torch.Tensor:
    """Return ``(n_atoms_total,)`` bool, the fixed atoms of :func:`to_batch`."""
    masks = [np.arange(len(each.numbers)) < each.n_fixed for each in geometries]
    return torch.from_numpy(np.concatenate(masks))

"""Many placements of one atom, and their energies."""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from molrl.energy.interface import EnergyModel
from molrl.structures.structure import Structure, to_batch

_REACH = (0.3, 2.0)  # Å from the focal atom
FLOOR = 0.3  # Å; the smallest distance to any atom, whatever the guard
_CHUNK = 4096  # structures a call of the model


def placements(
    start: Structure, elements: np.ndarray, n: int, rng: np.random.Generator, guard: float
) -> list[Structure]:
    """Add one atom to a structure, in ``n`` ways, or fewer where the guard leaves no room.

    Args:
        start: the atoms in place.
        elements: atomic numbers of the new atom, drawn uniformly.
        n: how many structures.
        rng: the random numbers.
        guard: smallest distance to any atom as a share of the covalent radii's sum.

    Returns:
        Structures of kind ``adversarial``, the new atom last, 0.3 to 2.0 Å from a random atom.
    """
    tries = 20 * n
    numbers = rng.choice(elements, size=tries)
    focus = start.positions[rng.integers(len(start), size=tries)]
    directions = rng.normal(size=(tries, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    where = focus + directions * rng.uniform(*_REACH, size=(tries, 1))
    gaps = np.linalg.norm(where[:, None] - start.positions, axis=-1)
    radii = covalent_radii[numbers][:, None] + covalent_radii[start.numbers]
    allowed = (gaps >= np.maximum(guard * radii, FLOOR)).all(-1)
    return [
        start.plus(numbers[i : i + 1], where[i : i + 1], "adversarial")
        for i in np.flatnonzero(allowed)[:n]
    ]


def interaction_energies(model: EnergyModel, structures: Sequence[Structure]) -> np.ndarray:
    """Return ``(n,)`` eV: energies minus those of isolated atoms; NaN where the model failed."""
    parts = [np.zeros(0)]
    for i in range(0, len(structures), _CHUNK):
        chunk = structures[i : i + _CHUNK]
        batch = to_batch(chunk)
        energy = model.evaluate(batch).energy.cpu()
        parts.append((energy - model.isolated_energy(batch)).numpy())
    return np.concatenate(parts)

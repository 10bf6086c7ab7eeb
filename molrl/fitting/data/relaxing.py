"""Relaxations with GFN2-xTB in a pool of processes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.energy.semiempirical import patience
from molrl.fitting.data import relax_worker
from molrl.fitting.data.labels import Progress
from molrl.molecules import MoleculeBatch

_TIMEOUT = 600.0  # s; a relaxation that takes longer hangs

Relaxed = tuple[np.ndarray, bool] | str
"""Positions ``(n, 3)`` in Å at the end and whether it converged; or why there are none."""


def relax_all(
    molecules: MoleculeBatch,
    force_tolerance: float,
    max_steps: Sequence[int],
    progress: Progress,
) -> list[Relaxed]:
    """Relax molecules with GFN2-xTB.

    Args:
        molecules: what to relax, with charges and spins.
        force_tolerance: eV/Å, the largest force at which a molecule counts as relaxed.
        max_steps: ``(n_molecules,)``, the most steps of each.
        progress: called with how far it is.

    Returns:
        What became of each molecule, in order.
    """
    tasks = [
        (numbers, positions, electrons, force_tolerance, steps)
        for (numbers, positions), electrons, steps in zip(
            molecules.arrays(),
            zip(molecules.charge.tolist(), molecules.spin.tolist(), strict=True),
            max_steps,
            strict=True,
        )
    ]
    pool = Pool(Path(relax_worker.__file__), cores_of_this_rank(), _TIMEOUT)
    try:
        results: list[Relaxed] = pool.map(
            tasks,
            lambda n: progress("relaxing", n, len(tasks)),
            [patience(len(numbers)) for numbers, *_ in tasks],
        )
    finally:
        pool.close()
    return results

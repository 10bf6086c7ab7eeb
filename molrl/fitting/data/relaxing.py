"""Relaxations with GFN2-xTB in a pool of processes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.fitting.data import relax_worker
from molrl.fitting.data.labels import Progress

_CHUNK = 128
_HANGS = 600.0  # s; a relaxation that takes longer does

Task = tuple[np.ndarray, np.ndarray, float, int]
"""Numbers, positions in Å, force tolerance in eV/Å, most steps."""


def relaxed(
    tasks: Sequence[Task], what: str, progress: Progress
) -> list[tuple[np.ndarray, bool] | str]:
    """Of each task the positions at the end and whether it converged, or why there are none.

    Args:
        tasks: what to relax.
        what: how the progress is called.
        progress: told how far it is.
    """
    pool = Pool(Path(relax_worker.__file__), cores_of_this_rank(), _HANGS)
    results: list[tuple[np.ndarray, bool] | str] = []
    try:
        for i in range(0, len(tasks), _CHUNK):
            results += pool.map(list(tasks[i : i + _CHUNK]))
            progress(what, len(results), len(tasks))
    finally:
        pool.close()
    return results

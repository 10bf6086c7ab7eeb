"""The work of one process of the relaxation pool: a GFN2-xTB relaxation."""

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from tblite.ase import TBLite

_STIFFNESS = 40.0  # eV/Å²; a bond's, so that the first steps of BFGS are about right


def work(
    numbers: np.ndarray, positions: np.ndarray, electrons: tuple[int, int], fmax: float, steps: int
) -> tuple[np.ndarray, bool] | str:
    """Relax a molecule.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Å.
        electrons: total charge in e, and multiplicity.
        fmax: eV/Å, the largest force at which it counts as relaxed.
        steps: the most steps.

    Returns:
        Positions ``(n, 3)`` in Å at the end, and whether it converged; or a reason.
    """
    charge, multiplicity = electrons
    atoms = Atoms(numbers=numbers, positions=positions)
    atoms.calc = TBLite(
        method="GFN2-xTB",
        charge=charge,
        multiplicity=multiplicity,
        verbosity=0,
        max_iterations=120,
    )
    try:
        optimizer = BFGS(atoms, logfile=None, maxstep=0.15, alpha=_STIFFNESS)
        converged = optimizer.run(fmax=fmax, steps=steps)
    except Exception as error:  # tblite raises its own kinds where the SCF does not converge
        return f"GFN2-xTB: {error}".splitlines()[0]
    return atoms.positions, bool(converged)

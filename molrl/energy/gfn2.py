"""GFN2-xTB energies through tblite.

Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

import hashlib
from importlib.metadata import version

from molrl.energy.semiempirical import SemiempiricalEnergy

MAX_ITERATIONS = 120  # what has not converged by then does not converge at 250


class GFN2Energy(SemiempiricalEnergy):
    """GFN2-xTB at 300 K electronic temperature; see :class:`SemiempiricalEnergy`."""

    implemented_properties = ("energy", "forces", "dipole")
    name = "gfn2"
    elements = tuple(range(1, 87))
    worker = "xtb_worker.py"

    @property
    def hash(self) -> str:
        """Names the method, its settings and the library's version."""
        text = f"GFN2-xTB tblite {version('tblite')} {MAX_ITERATIONS}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _worker_arguments(self, spin: int) -> tuple[int, int]:
        return spin - 1, MAX_ITERATIONS

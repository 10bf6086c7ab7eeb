"""GFN2-xTB energies through tblite.

Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

import hashlib
from importlib.metadata import version

from molrl.energy.semiempirical import SemiempiricalEnergy

MAX_ITERATIONS = 120  # an SCF that has not converged by then does not converge within 250 either


class GFN2Energy(SemiempiricalEnergy):
    """GFN2-xTB at 300 K electronic temperature; see :class:`SemiempiricalEnergy`.

    Example:
        >>> from ase.build import molecule
        >>> model = GFN2Energy(n_workers=1)
        >>> output = model.evaluate(molecule("H2O"), properties=["dipole"])
        >>> output.energy.item(), output.properties["dipole"].shape  # doctest: +ELLIPSIS
        (-137.9..., torch.Size([1, 3]))
        >>> model.close()
    """

    implemented_properties = ("energy", "forces", "dipole")
    name = "gfn2"
    elements = tuple(range(1, 87))
    worker = "xtb_worker.py"

    @property
    def hash(self) -> str:
        """A hash of the method, its settings and the version of tblite."""
        text = f"GFN2-xTB tblite {version('tblite')} {MAX_ITERATIONS}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _worker_arguments(self, spin: int) -> tuple[int, int]:
        return spin - 1, MAX_ITERATIONS

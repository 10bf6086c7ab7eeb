"""GFN2-xTB energies through tblite.

Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

import copy
import hashlib
from importlib.metadata import version
from typing import Self

from molrl.energy.semiempirical import SemiempiricalEnergy
from molrl.errors import InputError

MAX_ITERATIONS = 120  # an SCF that has not converged by then does not converge within 250 either


class GFN2Energy(SemiempiricalEnergy):
    """GFN2-xTB with electrons at 300 K; see :class:`SemiempiricalEnergy`.

    The energy is the free energy of the electrons, as usual in xTB. Its atom-resolved part
    ``"energies"`` sums to it.

    Attributes:
        temperature: of the electrons, K.

    Example:
        >>> from ase.build import molecule
        >>> model = GFN2Energy(n_workers=1)
        >>> output = model.evaluate(molecule("H2O"), properties=["dipole"])
        >>> output.energy.item(), output.properties["dipole"].shape  # doctest: +ELLIPSIS
        (-137.9..., torch.Size([1, 3]))
        >>> model.close()
    """

    implemented_properties = ("energy", "forces", "dipole", "energies", "charges")
    name = "gfn2"
    elements = tuple(range(1, 87))
    worker = "xtb_worker.py"
    temperature = 300.0

    @property
    def hash(self) -> str:
        """A hash of the method, its settings and the version of tblite."""
        text = f"GFN2-xTB tblite {version('tblite')} {MAX_ITERATIONS}"
        if self.temperature != GFN2Energy.temperature:
            text += f" {self.temperature:g} K"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def at(self, temperature: float) -> Self:
        """Return the method with electrons at another temperature, in the same processes.

        Args:
            temperature: K.

        Raises:
            InputError: if it is not above 0.

        Example:
            >>> GFN2Energy(n_workers=1).at(1500.0).temperature
            1500.0
        """
        if not temperature > 0:
            raise InputError(f"temperature must be above 0 K, not {temperature!r}")
        other = copy.copy(self)
        other.temperature = temperature
        vars(other).pop("_atoms_and_faults", None)  # cached, of this temperature
        return other

    def _worker_arguments(self, spin: int) -> tuple[int, int, float]:
        return spin - 1, MAX_ITERATIONS, self.temperature

"""PM6 energies through SCINE Sparrow.

Stewart, J. Mol. Model. 13, 1173 (2007); Bosia et al., J. Chem. Phys. 158, 054118 (2023).
"""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from molrl.energy.semiempirical import SemiempiricalEnergy
from molrl.errors import InputError

MAX_ITERATIONS = 128  # of the SCF, as in MolGym


class PM6Energy(SemiempiricalEnergy):
    """Unrestricted PM6, the energy of MolGym's reward; see :class:`SemiempiricalEnergy`.

    The SCF is done twice, and a third time where the results differ, and the lowest one counts:
    the default of Sparrow, which MolGym takes, often ends in an excited state of radicals and of
    hypervalent atoms. If none converges, it begins with densities of distorted geometries.

    Args:
        n_workers: processes; one per core available to this process, if None.
        seconds: time limit of one attempt at a molecule; each is tried twice.

    Raises:
        InputError: if ``scine-sparrow`` is not installed.

    Example:
        >>> from ase.build import molecule
        >>> PM6Energy().evaluate(molecule("H2O"), forces=True).energy  # doctest: +SKIP
    """

    name = "pm6"
    # Sparrow has no parameters for lanthanides; the isolated atoms of Tc and Lu do not converge.
    elements = (*range(1, 43), *range(44, 58), *range(72, 84))
    worker = "pm6_worker.py"

    def __init__(self, n_workers: int | None = None, seconds: float = 120.0) -> None:
        try:
            self._version = version("scine-sparrow")
        except PackageNotFoundError:
            raise InputError(
                "energy model 'pm6' needs scine-sparrow, available for Python 3.11 and 3.12: "
                "pip install 'molrl[pm6]'"
            ) from None
        super().__init__(n_workers, seconds)

    @property
    def hash(self) -> str:
        """A hash of the method, its settings and the version of Sparrow."""
        text = f"PM6 sparrow {self._version} {MAX_ITERATIONS} lowest of three, from distorted"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _worker_arguments(self, spin: int) -> tuple[int, int]:
        return spin, MAX_ITERATIONS

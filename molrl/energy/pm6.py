"""PM6 energies through SCINE Sparrow.

Stewart, J. Mol. Model. 13, 1173 (2007); Bosia et al., J. Chem. Phys. 158, 054118 (2023).
"""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from molrl.energy.semiempirical import SemiempiricalEnergy
from molrl.errors import InputError

MAX_ITERATIONS = 128  # MolGym's


class PM6Energy(SemiempiricalEnergy):
    """PM6, unrestricted, as MolGym is paid by; see :class:`SemiempiricalEnergy`.

    Raises:
        InputError: if ``scine-sparrow`` is not installed.
    """

    name = "pm6"
    # Sparrow has no parameters for lanthanides; the lone atoms of Tc and Lu do not converge.
    elements = (*range(1, 43), *range(44, 58), *range(72, 84))
    worker = "pm6_worker.py"

    def __init__(self, n_workers: int | None = None, seconds: float = 120.0) -> None:
        try:
            self._version = version("scine-sparrow")
        except PackageNotFoundError:
            raise InputError(
                "energy model 'pm6' needs scine-sparrow, which there is for Python 3.11 and 3.12: "
                "pip install 'molrl[pm6]'"
            ) from None
        super().__init__(n_workers, seconds)

    @property
    def hash(self) -> str:
        """Names the method, its settings and the library's version."""
        text = f"PM6 sparrow {self._version} {MAX_ITERATIONS}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _worker_arguments(self, spin: int) -> tuple[int, int]:
        return spin, MAX_ITERATIONS

"""GFN2-xTB single points for a process of :class:`molrl.energy.pool.Pool`.

It imports NumPy and tblite only.
"""

import numpy as np
from tblite.exceptions import TBLiteRuntimeError, TBLiteTypeError, TBLiteValueError
from tblite.interface import Calculator

KELVIN = 3.166808578545117e-06  # Hartree, the value in tblite
TBLITE_ERRORS = (TBLiteRuntimeError, TBLiteTypeError, TBLiteValueError)

FURTHER = ("dipole", "energies", "charges")


def work(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int,
    uhf: int,
    max_iterations: int,
    temperature: float = 300.0,
    spin_polarization: float = 0.0,
) -> tuple[float, np.ndarray, dict[str, np.ndarray]] | str:
    """Compute the energy, gradient, and what else comes with them, of a molecule.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Bohr.
        charge: total charge, e.
        uhf: number of unpaired electrons.
        max_iterations: of the SCF.
        temperature: of the electrons, K.
        spin_polarization: factor of the spin-dependent energy; 0 for plain GFN2-xTB, which has
            none.

    Returns:
        Energy in Hartree, which is the free energy of the electrons, and gradient ``(n, 3)`` in
        Hartree/Bohr; by name, dipole ``(3,)`` in e Bohr, atom-resolved energies ``(n,)`` in
        Hartree and charges ``(n,)`` in e. Or, in one line, why they failed.
    """
    try:
        calculator = Calculator("GFN2-xTB", numbers, positions, charge=charge, uhf=uhf)
        calculator.set("verbosity", 0)
        calculator.set("max-iter", max_iterations)
        calculator.set("temperature", temperature * KELVIN)
        if spin_polarization:
            calculator.add("spin-polarization", spin_polarization)
        result = calculator.singlepoint()
        energy, gradient = float(result.get("energy")), np.array(result.get("gradient"))
        return energy, gradient, {name: np.array(result.get(name)) for name in FURTHER}
    except TBLITE_ERRORS as error:  # bad input, or an SCF that does not converge
        return f"GFN2-xTB: {error}".splitlines()[0]

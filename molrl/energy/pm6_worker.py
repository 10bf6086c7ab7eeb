"""PM6 single points for a process of :class:`molrl.energy.pool.Pool`; imports NumPy and SCINE."""

import numpy as np
import scine_sparrow  # noqa: F401 - registers its calculators with scine_utilities
import scine_utilities as scine

_CALCULATOR = scine.core.ModuleManager.get_instance().get("calculator", "PM6")
_CALCULATOR.set_required_properties([scine.Property.Energy, scine.Property.Gradients])
_MIXERS = ("diis", "ediis_diis")  # tried in turn until the SCF converges
_CALCULATOR.log = scine.core.Log.silent()


def work(
    numbers: np.ndarray, positions: np.ndarray, charge: int, spin: int, max_iterations: int
) -> tuple[float, np.ndarray, dict[str, np.ndarray]] | str:
    """Compute the energy and gradient of a molecule.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Bohr.
        charge: total charge, e.
        spin: multiplicity 2S + 1.
        max_iterations: of the SCF.

    Returns:
        Energy in Hartree, gradient ``(n, 3)`` in Hartree/Bohr and no further properties; or, in
        one line, why it failed.
    """
    elements = [scine.ElementInfo.element(int(number)) for number in numbers]
    try:
        settings = _CALCULATOR.settings
        settings["molecular_charge"], settings["spin_multiplicity"] = charge, spin
        settings["spin_mode"], settings["max_scf_iterations"] = "unrestricted", max_iterations
        for mixer in _MIXERS:
            settings["scf_mixer"] = mixer
            _CALCULATOR.structure = scine.AtomCollection(elements, positions)
            result = _CALCULATOR.calculate("")
            if result.successful_calculation:
                return float(result.energy), np.array(result.gradients), {}
        return "PM6: the SCF did not converge"
    except Exception as error:  # SCINE has its own exceptions for bad input and for the SCF
        return f"PM6: {error}".splitlines()[0]

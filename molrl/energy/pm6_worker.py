"""The work of one process of the PM6 pool; imports NumPy and SCINE only."""

import numpy as np
import scine_sparrow  # noqa: F401 - registers its calculators with scine_utilities
import scine_utilities as scine

_CALCULATOR = scine.core.ModuleManager.get_instance().get("calculator", "PM6")
_CALCULATOR.set_required_properties([scine.Property.Energy, scine.Property.Gradients])
_MIXERS = ("diis", "ediis_diis", "fock_simple")  # the next where the one before does not converge
_CALCULATOR.log = scine.core.Log.silent()


def work(
    numbers: np.ndarray, positions: np.ndarray, charge: int, spin: int, max_iterations: int
) -> tuple[float, np.ndarray] | str:
    """Energy in Hartree and gradient ``(n, 3)`` in Hartree/Bohr, or why there is none.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Bohr.
        charge: total charge, e.
        spin: multiplicity.
        max_iterations: of the SCF.
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
                return float(result.energy), np.array(result.gradients)
        return "PM6: the SCF did not converge"
    except Exception as error:  # SCINE raises its own kinds for bad input and for the SCF
        return f"PM6: {error}".splitlines()[0]

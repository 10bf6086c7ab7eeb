"""PM6 single points for a process of :class:`molrl.energy.pool.Pool`; imports NumPy and SCINE."""

import numpy as np
import scine_sparrow  # noqa: F401 - registers its calculators with scine_utilities
import scine_utilities as scine

_CALCULATOR = scine.core.ModuleManager.get_instance().get("calculator", "PM6")
_CALCULATOR.set_required_properties([scine.Property.Energy, scine.Property.Gradients])
# Each may end in an excited state: DIIS does so for most T-shaped IF3, by 6 eV, and for a tenth of
# the fragments of organic molecules. The third is tried where the first two differ or one fails.
_MIXERS, _LAST_MIXER = ("diis", "no_mixer"), "ediis_diis"
_ALIKE = 1e-5  # Hartree
# If none converges, as for fragments with three bonds at right angles, whose orbitals are
# degenerate, the SCF begins with the densities of distorted geometries.
_DISTORTIONS, _DISTORTION = 16, 0.1  # the spread is in Bohr
_ENOUGH = 2  # that converge; the lower energy counts
_CALCULATOR.log = scine.core.Log.silent()


def work(
    numbers: np.ndarray, positions: np.ndarray, charge: int, spin: int, max_iterations: int
) -> tuple[float, np.ndarray, dict[str, np.ndarray]] | str:
    """Compute the energy and gradient of the lowest state that the SCF finds.

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
        structure = scine.AtomCollection(elements, positions)
        found = [_converge(structure, mixer) for mixer in _MIXERS]
        energies = [energy for energy, _ in found]
        if not max(energies) - min(energies) < _ALIKE:
            found.append(_converge(structure, _LAST_MIXER))
        if not any(np.isfinite(energy) for energy, _ in found):
            found = _converge_from_distorted(structure)
        energy, gradient = min(found, key=lambda each: each[0])
        if np.isinf(energy):
            return "PM6: the SCF did not converge"
        return energy, gradient, {}
    except Exception as error:  # SCINE has its own exceptions for bad input and for the SCF
        return f"PM6: {error}".splitlines()[0]


def _converge(structure: scine.AtomCollection, mixer: str) -> tuple[float, np.ndarray]:
    """Return energy, infinite if the SCF does not converge, and gradient, from the first guess."""
    _CALCULATOR.settings["scf_mixer"] = mixer
    _CALCULATOR.structure = structure
    return _calculate()


def _converge_from_distorted(structure: scine.AtomCollection) -> list[tuple[float, np.ndarray]]:
    """Return energies and gradients from densities of distorted geometries, two that converge."""
    rng = np.random.default_rng(0)
    found: list[tuple[float, np.ndarray]] = []
    for _ in range(_DISTORTIONS):
        distorted = structure.positions + rng.normal(0, _DISTORTION, (len(structure), 3))
        _converge(scine.AtomCollection(structure.elements, distorted), _MIXERS[0])
        _CALCULATOR.positions = structure.positions  # keeps the density
        found.append(_calculate())
        if sum(np.isfinite(energy) for energy, _ in found) == _ENOUGH:
            break
    return found


def _calculate() -> tuple[float, np.ndarray]:
    """Return energy and gradient from the density that the calculator has, or its first guess."""
    result = _CALCULATOR.calculate("")
    if not result.successful_calculation:
        return np.inf, np.zeros((len(_CALCULATOR.structure), 3))
    return float(result.energy), np.array(result.gradients)

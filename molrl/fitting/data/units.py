"""Checks that energies and forces are in eV and eV/Å, inferred from the numbers themselves.

Two tests need no knowledge of the level of theory. Between two geometries of a molecule the
energy changes by the work of the forces, so the ratio of the two shows a wrong unit of either, and
gradients given as forces. And no molecule has a lower energy than all its electrons give it. A
third compares the labels with what the energy model predicts that a fit starts from.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from molrl.energy.interface import EnergyModel
from molrl.errors import InputError
from molrl.fitting.data.dataset import Dataset
from molrl.runs.progress import log_message

HARTREE, RYDBERG, KCAL, KJOULE = 27.211386, 13.605693, 0.04336410, 0.01036427  # eV
_BOHR = 0.52917721  # Å
_RATIOS = {  # energy change over work of the forces, if these units are taken for eV and eV/Å
    1 / HARTREE: "the energies in Hartree and the forces in eV/Å",
    1 / RYDBERG: "the energies in Rydberg and the forces in eV/Å",
    1 / KCAL: "the energies in kcal/mol and the forces in eV/Å",
    1 / KJOULE: "the energies in kJ/mol and the forces in eV/Å",
    1 / _BOHR: "the energies in Hartree and the forces in Hartree/Bohr",
    HARTREE / _BOHR: "the energies in eV and the forces in Hartree/Bohr",
    KCAL: "the energies in eV and the forces in kcal/mol/Å",
    KJOULE: "the energies in eV and the forces in kJ/mol/Å",
    0.1: "the forces in eV/nm",
}
_TOLERANCE = 0.25  # of a ratio; the trapezoidal rule is not exact, and units differ by more
_NEAR = 0.5  # Å, root mean square displacement between two geometries that are compared
_MAX_PAIRS, _MIN_PAIRS = 300, 5
_THOMAS_FERMI = 20.92  # eV; a neutral atom has about -20.92 Z^(7/3) eV and no lower
_BONDS = 20.0  # eV/atom, more than bonds add
_FORCE_UNITS = {  # eV/Å
    "Hartree/Bohr": HARTREE / _BOHR,
    "Hartree/Å": HARTREE,
    "Rydberg/Bohr": RYDBERG / _BOHR,
    "kcal/mol/Å": KCAL,
    "kJ/mol/Å": KJOULE,
}
ENERGY_UNITS = {"Hartree": HARTREE, "Rydberg": RYDBERG, "kcal/mol": KCAL, "kJ/mol": KJOULE}
_COMPARED, _MIN_COMPARED = 300, 10  # structures; numbers
_FOLLOWS = 0.7  # correlation; that of true labels is near 1 in all units
_SLOPES = 0.15, 7.0
_LARGEST_FORCE = 100.0  # eV/Å; half of the structures at least must stay below


def check_units(data: Dataset, where: str) -> None:
    """Check that the labels of a file can be in eV and eV/Å.

    Args:
        data: the structures.
        where: names the file in messages.

    Raises:
        InputError: if they cannot; the message names the units that they seem to have.
    """
    if not len(data):
        return
    _check_total_energies(data, where)
    ratio = work_ratio(data)
    if ratio is not None and abs(ratio - 1) > _TOLERANCE:
        _report_ratio(ratio, where)
    largest = float(data.largest_force().median())
    if largest > _LARGEST_FORCE:
        raise InputError(
            f"{where}: half of the structures have a force above {largest:.3g} eV/Å; give forces "
            "in eV/Å, of structures that can be molecules"
        )


def _report_ratio(ratio: float, where: str) -> None:
    found = f"{where}: between its geometries energies change by {ratio:.3g} of the forces' work"
    nearest = min(_RATIOS, key=lambda known: abs(abs(ratio) / known - 1))
    if abs(abs(ratio) / nearest - 1) < _TOLERANCE:
        sign = "; and are they gradients, not forces?" if ratio < 0 else "?"
        raise InputError(f"{found}; are {_RATIOS[nearest]}{sign} Give eV and eV/Å")
    if abs(ratio + 1) < _TOLERANCE:
        raise InputError(f"{found}; are the forces gradients? Reverse their sign")
    log_message(f"{found}, not by all of it; are energies and forces of one calculation?")


def _check_total_energies(data: Dataset, where: str) -> None:
    """Check that no energy is lower than the electrons can give it."""
    molecules = data.molecules
    per_atom = _THOMAS_FERMI * molecules.numbers.double() ** (7 / 3) + _BONDS
    lowest = -molecules.sum_atoms(per_atom)
    low = torch.nonzero(data.energy < lowest).flatten()
    if len(low):
        i = int(low[0])
        raise InputError(
            f"{where}: {data.identities[int(data.identity[i])]} cannot have "
            f"{float(data.energy[i]):.6g} eV, for its electrons give no less than "
            f"{float(lowest[i]):.6g}; are the energies in kcal/mol or kJ/mol? Give eV"
        )


def work_ratio(data: Dataset) -> float | None:
    """Compare energy changes between geometries of a molecule with the work of the forces.

    Args:
        data: the structures; those with the same atoms in the same order are compared, one with
            the next.

    Returns:
        The median ratio; None where there are too few pairs of close geometries, or no common
        ratio.
    """
    found = np.array(list(_changes_and_works(data)))
    if len(found) < _MIN_PAIRS:
        return None
    change, work = found.T
    clear = np.abs(work) >= np.median(np.abs(work))  # small ones are dominated by anharmonicity
    ratios = change[clear] / work[clear]
    ratio = float(np.median(ratios))
    common = np.abs(ratios / ratio - 1) < 0.2 if ratio else np.zeros(1)
    return ratio if common.mean() > 0.6 else None


def _changes_and_works(data: Dataset) -> Iterator[tuple[float, float]]:
    """Of pairs of close geometries, the change of the energy and the work of the mean force."""
    from scipy.spatial.transform import Rotation

    arrays = data.molecules.arrays()
    forces = np.split(data.forces.double().numpy(), data.molecules.starts[1:].tolist())
    last: dict[bytes, int] = {}
    n_pairs = 0
    for j, (numbers, positions) in enumerate(arrays):
        i = last.get(numbers.tobytes())
        last[numbers.tobytes()] = j
        if i is None:
            continue
        a, b = arrays[i][1] - arrays[i][1].mean(0), positions - positions.mean(0)
        if len(a) > 2:
            turn, _ = Rotation.align_vectors(a, b)
            b, force = turn.apply(b), turn.apply(forces[j])
        else:
            force = forces[j]
        moved = b - a
        if np.sqrt((moved**2).sum(-1).mean()) > _NEAR:
            continue
        # The trapezoidal rule, exact for a harmonic molecule.
        work = 0.5 * float(((forces[i] + force) * moved).sum())
        if abs(work) > 0:
            yield float(data.energy[j] - data.energy[i]), -work
            n_pairs += 1
        if n_pairs == _MAX_PAIRS:
            return


def check_beside_start(data: Dataset, start: EnergyModel) -> None:
    """Check the units of labels by the predictions of the energy model that a fit starts from.

    Forces are compared as they are; energies after what their compositions explain by least
    squares is taken from both, as isolated atoms of another level of theory differ by much.

    Args:
        data: the structures.
        start: the energy model; structures with elements that it does not know are left out, and
            so are periodic ones.

    Raises:
        InputError: if the labels follow the predictions and have another sign or size.
    """
    known = torch.isin(data.molecules.numbers, torch.tensor(sorted(start.elements)))
    unknown = data.molecules.sum_atoms((~known).long()) > 0
    index = torch.nonzero(~unknown & ~data.molecules.pbc.any(-1)).flatten()
    data = data[index[:: max(1, len(index) // _COMPARED)]]
    if not len(data):
        return
    output = start.evaluate(data.molecules, forces=True)
    assert output.forces is not None  # asked for
    predicted = replace(
        data,
        energy=output.energy.cpu() - start.isolated_energy(data.molecules).cpu(),
        forces=output.forces.cpu(),
    )
    # By the predictions: forces in a small unit would all look large.
    sound = predicted.low_force() & predicted.energy.isfinite()
    data, predicted = data[sound], predicted[sound]
    labels, predictions = data.forces.double().flatten(), predicted.forces.double().flatten()
    _check_slope("forces", labels, predictions, _FORCE_UNITS, "eV/Å")
    elements = set(data.molecules.numbers.tolist())
    counts = [data.molecules.sum_atoms((data.molecules.numbers == z).double()) for z in elements]
    if len(data) >= len(elements) + _MIN_COMPARED:
        basis, sizes, _ = torch.linalg.svd(torch.stack(counts, dim=1), full_matrices=False)
        basis = basis[:, sizes > 1e-6 * sizes[0]]
        labels = data.energy - basis @ (basis.T @ data.energy)
        predictions = predicted.energy - basis @ (basis.T @ predicted.energy)
        _check_slope("energies", labels, predictions, ENERGY_UNITS, "eV")


def _check_slope(
    what: str, labels: torch.Tensor, predicted: torch.Tensor, units: dict[str, float], wanted: str
) -> None:
    """Refuse labels that are in proportion to the predictions, by a factor far from 1.

    A start that is hardly fitted has too small forces, so that a few times theirs is accepted.
    """
    if len(labels) < _MIN_COMPARED or not labels.any() or not predicted.any():
        return
    slope = float(labels @ predicted / (predicted @ predicted))
    correlation = float(labels @ predicted / (labels.norm() * predicted.norm()))
    if abs(correlation) < _FOLLOWS or _SLOPES[0] < slope < _SLOPES[1]:
        return
    found = f"data: {what} are {slope:.3g} times those of the start"
    unit = min(units, key=lambda name: abs(math.log(abs(slope) * units[name])))
    sized = _SLOPES[0] < abs(slope) < _SLOPES[1]
    hints = [] if sized else [f"are they in {unit}?"]
    if slope < 0:
        hints.append("is their sign reversed?")
    raise InputError(f"{found}; {' '.join(hints)} Give {wanted}")

"""The pair repulsion of GFN2-xTB, added to a network so that it need not learn it."""

from collections.abc import Iterable

import torch
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree
from torch import Tensor

from molrl.errors import InputError

# Exponents and effective charges, in atomic units, of GFN2-xTB from H to Rn: Bannwarth, Ehlert and
# Grimme, J. Chem. Theory Comput. 15, 1652 (2019), supporting information.
_EXPONENTS = (
    2.213717, 3.604670, 0.475307, 0.939696, 1.373856, 1.247655, 1.682689, 2.165712, 2.421394,
    3.318479, 0.572728, 0.917975, 0.876623, 1.187323, 1.143343, 1.214553, 1.577144, 0.896198,
    0.482206, 0.683051, 0.574299, 0.723104, 0.928532, 0.966993, 1.071100, 1.113422, 1.241717,
    1.077516, 0.998768, 1.160262, 1.122923, 1.222349, 1.249372, 1.230284, 1.296174, 0.908074,
    0.574054, 0.697345, 0.706172, 0.681106, 0.865552, 1.034519, 1.019565, 1.031669, 1.094599,
    1.092745, 0.678344, 0.936236, 1.024007, 1.139959, 1.122937, 1.000712, 1.017946, 1.012036,
    0.585257, 0.716259, 0.737643, 0.729950, 0.734624, 0.739299, 0.743973, 0.748648, 0.753322,
    0.757996, 0.762671, 0.767345, 0.772020, 0.776694, 0.781368, 0.786043, 0.790717, 0.852852,
    0.990234, 1.018805, 1.170412, 1.221937, 1.197148, 1.204081, 0.919210, 1.137360, 1.399312,
    1.179922, 1.130860, 0.957939, 0.963878, 0.965577,
)  # fmt: skip
_CHARGES = (
    1.105388, 1.094283, 1.289367, 4.221216, 7.192431, 4.231078, 5.242592, 5.784415, 7.021486,
    11.041068, 5.244917, 18.083164, 17.867328, 40.001111, 19.683502, 14.995090, 17.353134,
    7.266606, 10.439482, 14.786701, 8.004267, 12.036336, 15.677873, 19.517914, 18.760605,
    20.360089, 27.127744, 10.533269, 9.913846, 22.099503, 31.146750, 42.100144, 39.147587,
    27.426779, 32.845361, 17.363803, 44.338211, 34.365525, 17.326237, 24.263093, 30.562732,
    48.312796, 44.779882, 28.070247, 38.035941, 28.674700, 6.493286, 26.226628, 63.854240,
    80.053438, 77.057560, 48.614745, 63.319176, 51.188398, 67.249039, 46.984607, 50.927529,
    48.676714, 47.669448, 46.662183, 45.654917, 44.647651, 43.640385, 42.633120, 41.625854,
    40.618588, 39.611322, 38.604057, 37.596791, 36.589525, 35.582259, 40.186772, 54.666156,
    55.899801, 80.410086, 62.809871, 56.045639, 53.881425, 14.711475, 51.577544, 58.801614,
    102.368258, 132.896832, 52.301232, 81.771063, 128.133580,
)  # fmt: skip


def repulsion_parameters(elements: Iterable[int]) -> tuple[tuple[float, float], ...]:
    """Return the parameters of the pair repulsion of some elements.

    Args:
        elements: atomic numbers.

    Returns:
        Exponent and effective charge of each element, in atomic units.

    Raises:
        InputError: if an element is heavier than radon, the last that GFN2-xTB has.

    Example:
        >>> repulsion_parameters([1, 8])
        ((2.213717, 1.105388), (2.165712, 5.784415))
    """
    numbers = list(elements)
    for number in numbers:
        if not 1 <= number <= len(_EXPONENTS):
            raise InputError(
                f"no pair repulsion is known for {chemical_symbols[number]}; it is known for the "
                "elements from H to Rn; set repulsion to false"
            )
    return tuple((_EXPONENTS[number - 1], _CHARGES[number - 1]) for number in numbers)


def repulsion(lengths: Tensor, parameters: Tensor) -> Tensor:
    """Compute the repulsion of the cores of two atoms, which vanishes beyond bond lengths.

    E = Z_A Z_B / R exp(-sqrt(a_A a_B) R^(3/2)) in atomic units (Bannwarth et al., Eq. 9), with the
    exponent 3/2 for all pairs of elements.

    Args:
        lengths: ``(n_pairs,)`` floating, Å.
        parameters: ``(2, n_pairs, 2)``, the exponent a and the charge Z of both atoms, in atomic
            units.

    Returns:
        ``(n_pairs,)`` eV.

    Example:
        >>> parameters = torch.tensor(repulsion_parameters([1, 8]))[:, None]
        >>> repulsion(torch.tensor([0.3, 5.0]), parameters.expand(2, 2, 2)).round(decimals=2)
        tensor([120.5300,   0.0000])
    """
    return pair_repulsion(lengths, *pair_constants(parameters))


def pair_constants(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the repulsion needs of each pair of atoms.

    Args:
        parameters: ``(2, n_pairs, 2)``, as for :func:`repulsion`.

    Returns:
        The exponents, Å^-1.5, and the products of the charges, eV Å, ``(n_pairs,)`` each.
    """
    exponents, charges = parameters.unbind(-1)
    return exponents.prod(0).sqrt() / Bohr**1.5, Hartree * Bohr * charges.prod(0)


def pair_repulsion(lengths: Tensor, exponent: Tensor, charge: Tensor) -> Tensor:
    """Compute the repulsion of pairs, ``(n_pairs,)`` eV, from :func:`pair_constants`."""
    return charge / lengths * torch.exp(-exponent * lengths * lengths.sqrt())

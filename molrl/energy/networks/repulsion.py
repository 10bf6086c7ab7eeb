"""The pair repulsion under a network: steep, known, and not for the network to learn."""

import torch
from ase.units import Bohr, Hartree
from torch import Tensor

# Exponent and effective charge, in atomic units, of GFN2-xTB: Bannwarth, Ehlert and Grimme,
# J. Chem. Theory Comput. 15, 1652 (2019), supporting information.
GFN2_REPULSION = {
    1: (2.213717, 1.105388),
    6: (1.247655, 4.231078),
    7: (1.682689, 5.242592),
    8: (2.165712, 5.784415),
    9: (2.421394, 7.021486),
    16: (1.214553, 14.995090),
}


def repulsion(lengths: Tensor, parameters: Tensor) -> Tensor:
    """Repulsion of the cores of two atoms, eV; nothing beyond a bond.

    E = Z_A Z_B / R exp(-sqrt(a_A a_B) R^(3/2)) in atomic units (Bannwarth et al., Eq. 9).

    Args:
        lengths: ``(n_pairs,)`` Å.
        parameters: ``(2, n_pairs, 2)``, the exponent a and the charge Z of either atom.
    """
    exponents, charges = parameters.unbind(-1)
    r = lengths / Bohr
    exponent = exponents.prod(0).sqrt()
    energy: Tensor = Hartree * charges.prod(0) / r * torch.exp(-exponent * r**1.5)
    return energy

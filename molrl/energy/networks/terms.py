"""Physical energies that a network stands on, so that it need not learn them.

Each is a sum over pairs or atoms with a smooth end: cheap, and right in form where a network has no
data: at long range, and where many atoms overlap.
"""

import torch
from ase import data
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree, kJ, mol
from torch import Tensor

from molrl.energy.networks.interface import Graph
from molrl.errors import InputError

# (numbers, because torch.compile takes an array of NumPy for a tensor)
_COVALENT_RADII = tuple(map(float, data.covalent_radii))
FAR = 12.0  # Å, cutoff of the long-range energies
_SWITCH = 2.0  # Å, width over which they are switched off before it
_COULOMB = Hartree * Bohr  # eV Å, of two elementary charges
_WIDTH = 1.3  # Å; charges closer than this repel as if they were smeared out
_STEEPNESS, _REACH = 16.0, 4 / 3  # of the coordination number of D3
_DAMPING = 20.0  # of D2
_CROWDED = 2.0  # eV for the first neighbour too many

# C6 in J nm⁶/mol and van der Waals radius in Å, of D2: Grimme, J. Comput. Chem. 27, 1787 (2006),
# Table 1.
_D2 = {
    "H": (0.14, 1.001), "He": (0.08, 1.012), "Li": (1.61, 0.825), "Be": (1.61, 1.408),
    "B": (3.13, 1.485), "C": (1.75, 1.452), "N": (1.23, 1.397), "O": (0.70, 1.342),
    "F": (0.75, 1.287), "Ne": (0.63, 1.243), "Na": (5.71, 1.144), "Mg": (5.71, 1.364),
    "Al": (10.79, 1.639), "Si": (9.23, 1.716), "P": (7.84, 1.705), "S": (5.57, 1.683),
    "Cl": (5.07, 1.639), "Ar": (4.61, 1.595), "Br": (12.47, 1.749), "I": (31.50, 1.892),
}  # fmt: skip

# The most bonds of an atom in molecules, half a bond more, for what is between two of them.
_MOST_BONDS = {"H": 2.0, "C": 4.5, "N": 4.5, "O": 3.5, "F": 2.0}
_MOST_OTHERS = 6.5


def covalent_radii(elements: tuple[int, ...]) -> tuple[float, ...]:
    """Return the covalent radius of each element, Å."""
    return tuple(_COVALENT_RADII[z] for z in elements)


def covalent_radius(elements: tuple[int, ...], graph: Graph) -> Tensor:
    """Return ``(n_atoms,)`` Å, the covalent radius of each atom of a graph.

    Args:
        elements: atomic numbers, of the network's elements.
        graph: of the atoms.
    """
    return graph.positions.new_tensor(covalent_radii(elements))[graph.element]


def bonded(lengths: Tensor, bond: Tensor) -> Tensor:
    """Compute to which share two atoms are bonded: 1 at a bond's length, 0 far beyond.

    It is the coordination number of D3 (Grimme et al., J. Chem. Phys. 132, 154104 (2010), Eq. 15)
    with the radii as they are: one half at 4/3 of the sum of the radii.

    Args:
        lengths: ``(n_pairs,)`` Å.
        bond: ``(n_pairs,)`` Å, sum of the covalent radii.

    Example:
        >>> bonded(torch.tensor([1.0, 4 / 3, 2.0]), torch.ones(3)).round(decimals=3)
        tensor([0.9950, 0.5000, 0.0050])
    """
    return torch.sigmoid(_STEEPNESS * (_REACH * bond / lengths - 1))


def bond_limits(elements: tuple[int, ...]) -> tuple[float, ...]:
    """Return the number of bonds from which on an atom of each element is crowded."""
    return tuple(_MOST_BONDS.get(chemical_symbols[z], _MOST_OTHERS) for z in elements)


def crowding(elements: tuple[int, ...], limits: Tensor, graph: Graph, lengths: Tensor) -> Tensor:
    """Compute the energy of atoms with more neighbours at bond lengths than they can have.

    It is 0 in molecules and grows as the square of the number too many, as the energy of
    overcoordination in ReaxFF does (van Duin et al., J. Phys. Chem. A 105, 9396 (2001), Eq. 5).

    Args:
        elements: atomic numbers, of the network's elements.
        limits: ``(n_elements,)``, from :func:`bond_limits`.
        graph: of the atoms.
        lengths: ``(n_pairs,)`` Å, of its pairs.

    Returns:
        ``(n_atoms,)`` eV.
    """
    radius = covalent_radius(elements, graph)
    share = bonded(lengths, radius[graph.pairs[0]] + radius[graph.pairs[1]])
    bonds = torch.zeros_like(radius)
    bonds = bonds.index_add(0, graph.pairs[0], share).index_add(0, graph.pairs[1], share)
    return overcoordination(bonds, limits[graph.element])


def overcoordination(bonds: Tensor, limits: Tensor) -> Tensor:
    """Compute the energy of atoms with more bonds than their limits, ``(n_atoms,)`` eV."""
    return _CROWDED * torch.relu(bonds - limits).square()


def dispersion_parameters(elements: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    """Return the coefficient C6, eV Å⁶, and the van der Waals radius, Å, of each element.

    Args:
        elements: atomic numbers.

    Raises:
        InputError: if one is not known for an element.

    Example:
        >>> [[round(x, 3) for x in row] for row in dispersion_parameters((1, 8))]
        [[1.451, 1.001], [7.255, 1.342]]
    """
    for z in elements:
        if chemical_symbols[z] not in _D2:
            raise InputError(
                f"no dispersion is known for {chemical_symbols[z]}; set dispersion to false"
            )
    unit = 1e6 * kJ / mol / 1000  # J nm⁶/mol in eV Å⁶
    return tuple((c6 * unit, radius) for c6, radius in (_D2[chemical_symbols[z]] for z in elements))


def dispersion(lengths: Tensor, parameters: Tensor) -> Tensor:
    """Compute the London dispersion between atoms, damped at short range and cut at 12 Å.

    D2 (Grimme, J. Comput. Chem. 27, 1787 (2006), Eq. 11 and 12) with s6 = 1.

    Args:
        lengths: ``(n_pairs,)`` Å.
        parameters: ``(2, n_pairs, 2)``, C6 and radius of both atoms.

    Returns:
        ``(n_pairs,)`` eV.
    """
    c6, radius = parameters.unbind(-1)
    return pair_dispersion(lengths, c6.prod(0).sqrt(), radius.sum(0)) * switch(lengths)


def pair_dispersion(lengths: Tensor, c6: Tensor, radius: Tensor) -> Tensor:
    """Compute the damped dispersion of pairs, not cut, ``(n_pairs,)`` eV.

    Args:
        lengths: ``(n_pairs,)`` Å.
        c6: ``(n_pairs,)`` eV Å⁶, geometric mean of both atoms'.
        radius: ``(n_pairs,)`` Å, sum of both atoms'.
    """
    damping = torch.sigmoid(_DAMPING * (lengths / radius - 1))
    return -c6 / lengths**6 * damping


def electrostatics(lengths: Tensor, charges: Tensor) -> Tensor:
    """Compute the energy between smeared-out partial charges, cut at 12 Å.

    E = q_i q_j / sqrt(r² + a²), the form of Klopman and Ohno that GFN2-xTB has too.

    Args:
        lengths: ``(n_pairs,)`` Å.
        charges: ``(2, n_pairs)`` e, of both atoms.

    Returns:
        ``(n_pairs,)`` eV.
    """
    return smeared_coulomb(lengths) * charges.prod(0) * switch(lengths)


def smeared_coulomb(lengths: Tensor) -> Tensor:
    """Compute the energy of two smeared-out elementary charges, not cut, ``(n_pairs,)`` eV."""
    energy: Tensor = _COULOMB * (lengths.square() + _WIDTH**2).rsqrt()
    return energy


def switch(lengths: Tensor) -> Tensor:
    """Return 1 up to 10 Å and 0 from 12 Å on, with two continuous derivatives in between."""
    x = ((lengths - (FAR - _SWITCH)) / _SWITCH).clamp(0.0, 1.0)
    share: Tensor = 1 - x**3 * (10 - x * (15 - 6 * x))
    return share


def saturate(energy: Tensor, lowest: Tensor) -> Tensor:
    """Let energies of atoms saturate smoothly where no real atom is: at 1.25 times ``lowest``.

    Above ``lowest`` they are unchanged; the first two derivatives are continuous there. An energy
    without a lower bound would be a pit that relaxations and agents fall into.

    Args:
        energy: ``(n_atoms,)`` eV.
        lowest: ``(n_atoms,)`` eV, below 0.
    """
    width = -0.25 * lowest
    return torch.where(
        energy < lowest, lowest - width * torch.tanh((lowest - energy) / width), energy
    )

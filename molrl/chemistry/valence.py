"""What an atom can be in a Lewis structure: bond orders, formal charge, unpaired electrons.

Every choice has a penalty, and the Lewis structure of the smallest sum is the one that is drawn.
The penalties rank, from the least: neutral closed-shell atoms of the lowest valence; of a higher
one (S=O, not [S+][O-]); formal charges where the element bears them well (N+, O-); unpaired
electrons; charges of carbon.
"""

from functools import cache
from typing import NamedTuple

from rdkit import Chem

from molrl.bags import valences

MAX_CHARGE = 3
HIGHER_VALENCE = 1.0  # for each lone pair opened
_UNPAIRED = {7: 9.2, 8: 9.0, 9: 10.0, 17: 9.0}  # first unpaired electron
_ELSE_UNPAIRED, _SIGMA_UNPAIRED = 9.5, 9.3
_CARBENE = 14.0  # two electrons that do not bond beside an empty orbital
_NITRENIUM = 10.0  # an empty orbital beside a lone pair, in an ion
_ELECTRON_POOR = 5.0  # an empty orbital beside an unpaired electron
_CATION = {5: 7.0, 6: 15.0, 7: 4.0, 8: 6.0, 9: 12.0, 14: 8.0, 15: 4.0, 16: 5.5, 17: 8.0, 34: 5.5}
_ANION = {5: 3.0, 6: 8.0, 7: 4.2, 8: 4.3, 9: 2.0, 14: 6.0, 15: 5.0, 16: 3.8, 17: 2.0, 34: 3.8}
_SP_ANION = {6: 5.0, 7: 3.9}  # at the end of a triple or two double bonds: CO, azides, diazo
_SIGMA_CARBANION = 11.0  # a carbene beside N+ is drawn as one
_ELSE_CATION, _ELSE_ANION = 6.0, 3.0
_HALIDE = 8.0  # a halogen with bonds: trihalides, not O=[Cl-]
_FURTHER_CHARGE = 8.0
_HALOGENS = frozenset([17, 35, 53])
_ALUMINATES = frozenset([13, 31])
METALS = frozenset(
    [3, 4, *range(11, 14), *range(19, 32), *range(37, 51), *range(55, 84), *range(87, 113)]
)
_SULFURS = frozenset([16, 34, 52])
_TABLE = Chem.GetPeriodicTable()


class AtomState(NamedTuple):
    """One choice for an atom.

    Attributes:
        extra: its bond orders beyond single bonds.
        charge: formal charge, e.
        penalty: how unlikely it is.
    """

    extra: int
    charge: int
    penalty: float


@cache
def atom_states(number: int, n_bonds: int) -> tuple[AtomState, ...]:
    """Return the choices for an atom, the likeliest first; none if it cannot have so many bonds.

    Args:
        number: atomic number.
        n_bonds: number of its neighbours.
    """
    if number in METALS:
        return _metal_states(number, n_bonds)
    best: dict[tuple[int, int], float] = {}
    electrons = 2 if number == 2 else _TABLE.GetNOuterElecs(number)
    for charge in range(-MAX_CHARGE, MAX_CHARGE + 1):
        for valence in range(n_bonds, min(electrons - charge, 8) + 1):
            penalty = _penalty(number, electrons - charge, charge, valence, n_bonds)
            if penalty is not None:
                best[valence - n_bonds, charge] = penalty
    states = [AtomState(*key, penalty) for key, penalty in best.items()]
    return tuple(sorted(states, key=lambda s: (s.penalty, s.extra, abs(s.charge), s.charge)))


def _metal_states(number: int, n_bonds: int) -> tuple[AtomState, ...]:
    """Return the neutral atom with single bonds, the bare ion, or the centre of an aluminate."""
    known = valences(number)
    if number in _ALUMINATES and n_bonds == 4:
        return (AtomState(0, -1, 3.0), AtomState(0, 0, 20.0))
    ion = AtomState(0, known[0], 1.0)
    atom = AtomState(0, 0, 0.0 if n_bonds in known else 20.0)
    return (atom,) if n_bonds else (ion, atom)


def _penalty(number: int, electrons: int, charge: int, valence: int, n_bonds: int) -> float | None:
    """Return the penalty of a choice; None if the atom has no orbitals for it."""
    free = electrons - valence  # electrons that do not bond
    orbitals = 1 if number <= 2 else 4
    empty = orbitals - valence - (free + 1) // 2
    if empty < 0 and not _can_expand(number, charge, valence, n_bonds, free % 2):
        return None
    penalty = _charged(number, charge, valence, n_bonds)
    if free % 2:
        sp2 = number == 6 and n_bonds == 2  # as in phenyl, not an allene in the ring
        penalty += _SIGMA_UNPAIRED if sp2 else _UNPAIRED.get(number, _ELSE_UNPAIRED)
    if empty < 0:
        return penalty - empty * HIGHER_VALENCE
    return penalty + _of_empty_orbitals(number, charge, free, empty)


def _can_expand(number: int, charge: int, valence: int, n_bonds: int, unpaired: int) -> bool:
    """Return whether an atom can open lone pairs, to as many atoms at least as it has pi bonds."""
    most = max(7, valences(number)[-1])
    if number <= 10 or valence > min(most, 2 * n_bonds) or (unpaired and charge):
        return False
    return bool(charge or unpaired or valence in valences(number))


def _of_empty_orbitals(number: int, charge: int, free: int, empty: int) -> float:
    if charge <= 0 and free >= 2:
        return _CARBENE * min(empty, free // 2)
    if free % 2:
        return _ELECTRON_POOR * empty
    if charge > 0 and free:
        return _NITRENIUM * empty
    return 0.0 if _is_deficient(number, charge) else _CARBENE * empty


def _is_deficient(number: int, charge: int) -> bool:
    """Return whether an empty orbital is usual, as in boranes and carbocations."""
    return number <= 2 or _TABLE.GetNOuterElecs(number) - charge <= 3


def _charged(number: int, charge: int, valence: int, n_bonds: int) -> float:
    if charge == 0:
        return 0.0
    further = (abs(charge) - 1) * _FURTHER_CHARGE
    if charge > 0:
        return _CATION.get(number, _ELSE_CATION) + further
    if n_bonds == 1 and valence - n_bonds == {6: 2, 7: 1}.get(number):
        return _SP_ANION[number] + further
    if number == 6 and n_bonds == 2:
        return _SIGMA_CARBANION + further
    if number in _HALOGENS and n_bonds:
        return _HALIDE + further
    return _ANION.get(number, _ELSE_ANION) + further


def bond_penalty(first: int, second: int, extra: int) -> float:
    """Return the penalty of a bond order; triple bonds of carbon to sulfur are no bonds.

    Args:
        first: atomic number.
        second: atomic number.
        extra: order beyond a single bond.
    """
    if extra == 2 and 6 in (first, second) and (first in _SULFURS or second in _SULFURS):
        return _CARBENE
    return 0.0

"""Bags of atoms, given as chemical formulas."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from ase.data import atomic_numbers, chemical_symbols

from molrl.errors import InputError

MAX_ATOMS = 1000
# Bonds of an atom in an ordinary closed-shell molecule, by group. They have the parity of the
# atomic number: a molecule whose valences are satisfied has an even number of electrons.
_VALENCE_OF_GROUP = (1, 2, 3, 4, 5, 6, 7, 2, 3, 2, 1, 2, 3, 4, 3, 2, 1, 0)
_COVALENT = frozenset({1, 6, 7, 8, 9, 15, 16, 17, 35, 53})  # as many bonds as their valences
_DONORS = frozenset({7, 8, 15, 16, 33, 34, 51, 52})  # groups 15 and 16
_GROUP_13 = frozenset({5, 13, 31, 49})
_PERIODS = (0, 2, 10, 18, 36, 54, 86, 118)  # atomic numbers of the noble gases, after a 0
_TOKEN = re.compile(r"([A-Z][a-z]?)([0-9]*)")


class Bag(Mapping[int, int]):
    """An immutable multiset of atoms: atomic number to count.

    Args:
        atoms: a formula (``"CH4O"``), another bag, a mapping from atomic number to count, or
            the atomic numbers themselves.

    Raises:
        InputError: if the formula is invalid, a number is not whole, or the bag holds no atoms or
            too many.

    Example:
        >>> bag = Bag("C2H6O")
        >>> bag[6], bag.n_atoms, bag.formula
        (2, 9, 'C2H6O')
    """

    def __init__(self, atoms: "str | Mapping[int, int] | Iterable[int]") -> None:
        if isinstance(atoms, str):
            counts = _parse(atoms)
        elif isinstance(atoms, Mapping):
            counts = Counter({_whole(z): _whole(n) for z, n in atoms.items()})
        elif isinstance(atoms, Iterable) and not isinstance(atoms, bytes | bytearray):
            counts = Counter(_whole(z) for z in atoms)
        else:
            raise InputError(f"a bag is a formula such as CH4O or atomic numbers, not {atoms!r}")
        for z, n in counts.items():
            if not 0 < z < len(chemical_symbols) or n < 0:
                raise InputError(f"a bag cannot hold {n} atoms of atomic number {z}")
        self._counts = {z: counts[z] for z in sorted(counts) if counts[z]}
        if not 0 < self.n_atoms <= MAX_ATOMS:
            raise InputError(f"a bag holds 1 to {MAX_ATOMS} atoms, not {self.n_atoms}")

    def __getitem__(self, number: int) -> int:
        return self._counts.get(int(number), 0)

    def __iter__(self) -> Iterator[int]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, number: object) -> bool:
        return number in self._counts

    def __hash__(self) -> int:
        return hash(tuple(self._counts.items()))

    def __repr__(self) -> str:
        return f"Bag({self.formula!r})"

    def __str__(self) -> str:
        return self.formula

    @property
    def n_atoms(self) -> int:
        """Number of atoms in the bag."""
        return sum(self._counts.values())

    @property
    def numbers(self) -> list[int]:
        """The atomic numbers, one entry per atom, ascending."""
        return [z for z, n in self._counts.items() for _ in range(n)]

    @property
    def formula(self) -> str:
        """The formula in Hill order: C, H, then the rest by symbol; by symbol without C."""
        symbols = {chemical_symbols[z]: n for z, n in self._counts.items()}
        first = [s for s in ("C", "H") if s in symbols] if "C" in symbols else []
        order = first + sorted(s for s in symbols if s not in first)
        return "".join(s + (str(symbols[s]) if symbols[s] > 1 else "") for s in order)


def _whole(number: object) -> int:
    """Return a whole number of any type as an int."""
    with suppress(TypeError, ValueError, OverflowError):
        whole: int = int(number)  # type: ignore[call-overload]  # refused below where it fails
        if whole == number:  # a word is not equal to its number
            return whole
    raise InputError(
        f"a bag holds whole numbers of atoms by their atomic numbers, not {number!r}; or write "
        "a formula such as CH4O"
    )


def _parse(formula: str) -> Counter[int]:
    text = formula.strip()
    tokens = _TOKEN.findall(text)
    if not text or "".join(symbol + count for symbol, count in tokens) != text:
        raise InputError(
            f"invalid formula {formula!r}; write element symbols and counts, as in CH4O, "
            "not a name, a SMILES or a charge"
        )
    counts: Counter[int] = Counter()
    for symbol, count in tokens:
        if symbol not in atomic_numbers or symbol == "X":
            raise InputError(f"invalid formula {formula!r}: unknown element {symbol!r}")
        if count and (int(count[:5]) == 0 or len(count) > 4):
            raise InputError(
                f"invalid formula {formula!r}: invalid count {count!r}; write 1 to {MAX_ATOMS}"
            )
        counts[atomic_numbers[symbol]] += int(count or 1)
    return counts


def valences(number: int) -> tuple[int, ...]:
    """Return the numbers of bonds that an atom can have in a closed-shell molecule, ascending.

    By group of the periodic table: H 1, C 4, N 3, O 2, F 1; from the third period on (for noble
    gases from krypton on) each lone pair adds two (S 2, 4, 6). Lanthanides and actinides have 2 or
    3, whichever has the parity of their electrons.

    Args:
        number: atomic number.

    Example:
        >>> valences(8), valences(16)
        ((2,), (2, 4, 6))
    """
    period = next(p for p, last in enumerate(_PERIODS) if number <= last)
    place = number - _PERIODS[period - 1]  # in its period, 1 for an alkali metal
    length = _PERIODS[period] - _PERIODS[period - 1]
    if length == 32 and 3 <= place <= 16:
        return (2 + number % 2,)
    # The first two places of a period are groups 1 and 2. The others are counted back from the
    # noble gas, which skips what short periods lack; helium is the last of its period, not group 2.
    group = 18 if place == length else place if place <= 2 else place - length + 18
    fewest = 1 if number == 1 else _VALENCE_OF_GROUP[group - 1]
    # With all lone pairs open, all valence electrons bond: group - 10 of them in groups 15 to 18.
    most = group - 10 if period > 2 + (group == 18) and group > 14 else fewest
    return tuple(range(fewest, most + 1, 2))


def is_closed_shell(bag: Bag) -> bool:
    """Return whether all atoms of a bag can form one molecule in which every valence is satisfied.

    That is, a connected multigraph without loops exists whose degrees are valences of the atoms.

    Args:
        bag: the atoms.

    Example:
        >>> is_closed_shell(Bag("CH4")), is_closed_shell(Bag("CH3"))
        (True, False)
    """
    return _fits(bag, [valences(number) for number in bag.numbers])


def may_be_closed_shell(bag: Bag) -> bool:
    """Return whether :func:`is_closed_shell`, or one dative bond makes a molecule of the atoms.

    That is a lone pair of groups 15 and 16 in an empty orbital of group 13, as in BH3NH3, or of the
    carbon of carbon monoxide and its like.

    Args:
        bag: the atoms.

    Example:
        >>> [may_be_closed_shell(Bag(formula)) for formula in ("CO", "BH6N", "C2H8")]
        [True, True, False]
    """
    if is_closed_shell(bag):
        return True
    numbers = list(bag.numbers)
    for donor in set(numbers) & _DONORS:
        for acceptor in set(numbers) & (_GROUP_13 | ({6} if len(numbers) == 2 else set())):
            choices = [valences(number) for number in numbers]
            choices[numbers.index(donor)] = (valences(donor)[0] + 1,)
            choices[numbers.index(acceptor)] = (3 if acceptor == 6 else 4,)
            if _fits(bag, choices):
                return True
    return False


def _fits(bag: Bag, choices: Sequence[tuple[int, ...]]) -> bool:
    """Return whether a connected multigraph without loops has degrees of these choices."""
    degrees = [choice[0] for choice in choices]
    # A connected graph of n atoms has at least n - 1 bonds, and each bond adds 2 to the degrees.
    total, needed = sum(degrees), 2 * (bag.n_atoms - 1)
    # Where the lowest valences give too few bonds, lone pairs open (SF6), two bonds at a time, but
    # only to ligands that can open them: O takes two of the new bonds, F and Cl one each.
    ligands = 2 * bag[8] + bag[9] + bag[17]
    for i, choice in enumerate(choices):
        while total < needed and degrees[i] < choice[-1] and ligands >= 2:
            degrees[i], total, ligands = degrees[i] + 2, total + 2, ligands - 2
    # A noble gas without bonds is a molecule by itself only.
    bound = bag.n_atoms == 1 or min(degrees) > 0
    # Without loops, no atom has more bonds than all others together (half of the total), nor more
    # than a triple bond to each of them.
    most = min(total // 2, 3 * (bag.n_atoms - 1))
    return total % 2 == 0 and total >= needed and max(degrees) <= most and bound


def max_rings(bag: Bag, charge: int = 0) -> int | None:
    """Return what the number of rings of a molecule cannot exceed: bonds above those of a tree.

    Args:
        bag: the atoms.
        charge: total charge, e; each may open another bond.

    Returns:
        The number; None if there are elements whose dative bonds close further rings, as boron.

    Example:
        >>> max_rings(Bag("C6H6")), max_rings(Bag("C4H10")), max_rings(Bag("C3H10BN"))
        (4, 0, None)
    """
    if not set(bag) <= _COVALENT:
        return None
    degrees = sum(valences(number)[-1] for number in bag.numbers) + abs(charge)
    return max(0, degrees // 2 - (bag.n_atoms - 1))

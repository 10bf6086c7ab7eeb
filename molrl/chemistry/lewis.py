"""Lewis structures: the bond orders and formal charges of a molecule whose bonds are known.

Of all Lewis structures with the charge of the molecule, the one with the smallest sum of penalties
(:mod:`molrl.chemistry.valence`) is found exactly, by dynamic programming over the graph: branches
are folded into the atom they hang on, and rings are swept atom by atom, with the open valences of
the atoms at the front as the state. Only states near a lower bound are kept, so that molecules of
hundreds of atoms take milliseconds, and :data:`STEPS_PER_ATOM` bounds the work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rdkit import Chem

from molrl.chemistry.sweep import BondPenalty, Network, Option, Solution, TooManySteps, solutions
from molrl.chemistry.valence import AtomState, atom_states, bond_penalty

FIRST_STEPS, STEPS_PER_ATOM = 20_000, 1_000
_SLACKS = (0.01, 2.01, 5.01, 10.01, 17.01, 30.01, 60.01)  # above the lower bound of the penalty
_OXOAMMONIUM = 9.0  # O=[N+] rather than [O-][N+], but for nitro groups
_NITRONATE = 1.0  # C=[N+]([O-])[O-] rather than [C-][N+](=O)[O-]
_DIAZENIDE = 9.0  # N-N=[N-] rather than N=[N+]=[N-]
_APART = 0.2  # the positive charge of an N-oxide is beside its oxygen, not elsewhere in the ring
_SUBSTITUTED = 0.05  # prefers charges and unpaired electrons at the ends of carbon chains
_SHORTER = 1e-4  # prefers multiple bonds where bonds are short, if nothing else decides


class PerceptionError(ValueError):
    """No Lewis structure fits the bonds and the charge; the message says why."""


@dataclass(frozen=True)
class Skeleton:
    """Atoms and which of them are bonded.

    Attributes:
        numbers: atomic numbers.
        pairs: indices of the two atoms of each bond.
        hydrogens: number of further hydrogens on each atom that are no atoms themselves.
        lengths: relative length of each bond; they decide between equally good structures.
    """

    numbers: Sequence[int]
    pairs: Sequence[Sequence[int]]
    hydrogens: Sequence[int] = ()
    lengths: Sequence[float] = ()

    @cached_property
    def near(self) -> list[list[tuple[int, int]]]:
        """The neighbours of each atom, and the indices of the bonds to them."""
        near: list[list[tuple[int, int]]] = [[] for _ in self.numbers]
        for k, (i, j) in enumerate(self.pairs):
            near[i].append((j, k))
            near[j].append((i, k))
        return near

    def states(self) -> list[tuple[AtomState, ...]]:
        """Return the choices for each atom.

        Raises:
            PerceptionError: if an atom has too many bonds.
        """
        counts = [len(near) for near in self.near]
        if self.hydrogens:
            counts = [n + more for n, more in zip(counts, self.hydrogens, strict=True)]
        found = [atom_states(z, n) for z, n in zip(self.numbers, counts, strict=True)]
        if not all(found):
            at = found.index(())
            symbol = Chem.GetPeriodicTable().GetElementSymbol(self.numbers[at])
            raise PerceptionError(f"no Lewis structure fits: {symbol} with {counts[at]} bonds")
        return found

    @cached_property
    def oxides(self) -> list[int]:
        """Number of bare oxygens on each nitrogen that bears a positive charge beside them."""
        return [
            sum(self._is_bare(j, 8) for j, _ in near)
            if z == 7 and (len(near) == 3 or self._is_in_diazo(i))
            else 0
            for i, (z, near) in enumerate(zip(self.numbers, self.near, strict=True))
        ]

    def penalty(self, bond: int, extra: int) -> float:
        """Return the penalty of the order of a bond, ``extra`` above a single bond."""
        if not extra:
            return 0.0
        i, j = self.pairs[bond]
        total = bond_penalty(self.numbers[i], self.numbers[j], extra)
        if self.lengths:
            total += extra * _SHORTER * self.lengths[bond]
        for nitrogen, other in ((i, j), (j, i)):
            if self.oxides[nitrogen]:
                total += self._nitrogen_oxide(nitrogen, other)
        return total

    def _nitrogen_oxide(self, nitrogen: int, other: int) -> float:
        """Return the penalty of a double bond of an oxide: N-oxides and nitro groups have none."""
        if self._is_bare(other, 8):
            return _OXOAMMONIUM if self.oxides[nitrogen] == 1 else 0.0
        return _NITRONATE if self.oxides[nitrogen] == 2 else 0.0

    def in_place(self, atom: int, state: AtomState) -> AtomState:
        """Return a choice for an atom with the penalty that it has beside its neighbours."""
        number, more = self.numbers[atom], 0.0
        if number == 7 and not state.charge and self._is_in_diazo(atom):
            more = _DIAZENIDE
        elif number == 7 and not state.charge and self.oxides[atom]:
            more = _APART
        elif number == 6 and state.penalty:
            more = _SUBSTITUTED * sum(self.numbers[j] > 1 for j, _ in self.near[atom])
        return state._replace(penalty=state.penalty + more) if more else state

    def _is_in_diazo(self, nitrogen: int) -> bool:
        """Return whether a nitrogen has two neighbours, one of them a bare nitrogen."""
        near = self.near[nitrogen]
        return len(near) == 2 and any(self._is_bare(j, 7) for j, _ in near)

    def _is_bare(self, atom: int, number: int) -> bool:
        """Return whether an atom is of an element and has one neighbour only."""
        if self.numbers[atom] != number or len(self.near[atom]) != 1:
            return False
        return not (self.hydrogens and self.hydrogens[atom])


@dataclass(frozen=True)
class Lewis:
    """A Lewis structure.

    Attributes:
        extras: order of each bond beyond a single bond.
        charges: formal charge of each atom, e.
    """

    extras: list[int]
    charges: list[int]


def lewis_structure(skeleton: Skeleton, charge: int) -> Lewis:
    """Return the Lewis structure of the smallest penalty.

    Args:
        skeleton: atoms and bonds.
        charge: total charge, e.

    Raises:
        PerceptionError: if there is none, or it is not found within the limit of steps.
    """
    states = skeleton.states()
    found = None if charge else _ordinary(skeleton, states)
    return found or _general(skeleton, states, charge)


def _ordinary(skeleton: Skeleton, states: Sequence[tuple[AtomState, ...]]) -> Lewis | None:
    """Return a structure of neutral atoms of the lowest valence, the commonest case, or None."""
    if any(choice[0].penalty for choice in states):
        return None
    left = [choice[0].extra for choice in states]
    extras = [0] * len(skeleton.pairs)
    if any(left) and not _fill(skeleton.near, left, extras):
        return None
    rings = {i: [AtomState(n, 0, 0.0)] for i, n in enumerate(left) if n}
    for part in _parts(skeleton.near, rings):
        found = solutions(_network(skeleton, part), _SLACKS[0], _steps(skeleton)).get(0)
        if found is None:
            return None
        for bond, extra in found.extras():
            extras[bond] += extra
    return Lewis(extras, [0] * len(left))


def _fill(near: Sequence[Sequence[tuple[int, int]]], left: list[int], extras: list[int]) -> bool:
    """Raise the orders of bonds that have no alternative, in place; False if valences stay open.

    Afterwards the atoms with open valences, if any, have two neighbours with open ones at least.
    """
    queue = [i for i, n in enumerate(left) if n]
    while queue:
        i = queue.pop()
        if not left[i]:
            continue
        open_bonds = [(j, k) for j, k in near[i] if left[j] and extras[k] < 2]
        if len(open_bonds) > 1:
            continue
        if not open_bonds:
            return False
        (j, k) = open_bonds[0]
        if left[i] > min(left[j], 2 - extras[k]):
            return False
        extras[k] += left[i]
        left[j] -= left[i]
        left[i] = 0
        queue += [j, *(other for other, _ in near[j])]
    return True


def _general(skeleton: Skeleton, states: Sequence[tuple[AtomState, ...]], charge: int) -> Lewis:
    flexible = {i: list(s) for i, s in enumerate(states) if len(s) > 1 or s[0].extra}
    charges = [0 if i in flexible else s[0].charge for i, s in enumerate(states)]
    networks = [_network(skeleton, part) for part in _parts(skeleton.near, flexible)]
    try:
        chosen = _choose(networks, charge - sum(charges), _steps(skeleton))
    except TooManySteps as error:
        raise PerceptionError("no Lewis structure found within the limit of steps") from error
    if chosen is None:
        raise PerceptionError("no Lewis structure fits")
    extras = [0] * len(skeleton.pairs)
    for solution in chosen:
        for bond, extra in solution.extras():
            extras[bond] += extra
        for atom, its_charge in solution.charges():
            charges[atom] = its_charge
    return Lewis(extras, charges)


def _choose(networks: Sequence[Network], charge: int, steps: int) -> list[Solution] | None:
    """Return the best solution of each network such that the charges sum up to ``charge``."""
    best = [_best(network, steps) for network in networks]
    lowest = [solution for solution in best if solution is not None]
    if len(lowest) == len(best) and sum(solution.charge for solution in lowest) == charge:
        return lowest
    for slack in _SLACKS[2:]:
        tables = [solutions(network, slack, steps) for network in networks]
        found = _combine(tables, charge)
        if found is not None:
            return found
    return None


def _best(network: Network, steps: int) -> Solution | None:
    for slack in _SLACKS:
        found = solutions(network, slack, steps)
        if found:
            return min(found.values(), key=lambda one: one.penalty)
    return None


def _combine(tables: Sequence[dict[int, Solution]], charge: int) -> list[Solution] | None:
    """Return one solution of each table, charges summing up to ``charge``, of least penalty."""
    sums: dict[int, tuple[float, list[Solution]]] = {0: (0.0, [])}
    for table in tables:
        larger: dict[int, tuple[float, list[Solution]]] = {}
        for total, (penalty, chosen) in sums.items():
            for q, solution in table.items():
                known = larger.get(total + q)
                if known is None or penalty + solution.penalty < known[0]:
                    larger[total + q] = (penalty + solution.penalty, [*chosen, solution])
        sums = larger
    return sums[charge][1] if charge in sums else None


def _parts(
    near: Sequence[Sequence[tuple[int, int]]], flexible: dict[int, list[AtomState]]
) -> Iterator[dict[int, list[AtomState]]]:
    """Yield the connected parts of the atoms that have a choice."""
    seen: set[int] = set()
    for start in flexible:
        if start in seen:
            continue
        part, stack = [], [start]
        seen.add(start)
        while stack:
            i = stack.pop()
            part.append(i)
            for j, _ in near[i]:
                if j in flexible and j not in seen:
                    seen.add(j)
                    stack.append(j)
        yield {i: flexible[i] for i in sorted(part)}


def _network(skeleton: Skeleton, states: dict[int, list[AtomState]]) -> Network:
    near = {i: [(j, k) for j, k in skeleton.near[i] if j in states] for i in states}
    options = {
        i: {
            (s.extra, s.charge): Option(s.penalty, atom=i, charge=s.charge)
            for s in (skeleton.in_place(i, state) for state in choice)
            if s.extra <= 2 * len(near[i])
        }
        for i, choice in states.items()
    }
    penalty: BondPenalty = skeleton.penalty
    return Network(options, near, penalty)


def _steps(skeleton: Skeleton) -> int:
    return FIRST_STEPS + STEPS_PER_ATOM * len(skeleton.numbers)

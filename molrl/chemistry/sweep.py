"""Dynamic programming over a graph whose atoms share out their open valences among their bonds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_STATES = 3_000  # kept at one atom of a sweep; ordinary molecules need tens
WINDOW = 45.0  # penalties further above the lowest are dropped
HIGHEST_EXTRA = 2  # a triple bond

BondPenalty = Callable[[int, int], float]  # of a bond, and its order beyond a single bond
Key = tuple[int, int]  # open valences, charge


class TooManySteps(Exception):
    """The limit of steps was reached."""


class Option(NamedTuple):
    """A choice for an atom with all branches that were folded into it.

    Attributes:
        penalty: sum of the penalties of the atom and the branches.
        atom: the atom, in a choice without branches.
        charge: its formal charge, e.
        rest: the choice without the last branch.
        branch: the choice for the root of that branch.
        bond: the bond to it.
        extra: its order beyond a single bond.
    """

    penalty: float
    atom: int = -1
    charge: int = 0
    rest: "Option | None" = None
    branch: "Option | None" = None
    bond: int = -1
    extra: int = 0


@dataclass
class Network:
    """Atoms that have a choice, and the bonds between them.

    Attributes:
        options: the choices for each atom, by open valences and charge.
        near: its neighbours, and the bonds to them.
        penalty: penalty of the order of a bond.
    """

    options: dict[int, dict[Key, Option]]
    near: dict[int, list[tuple[int, int]]]
    penalty: BondPenalty
    folded: bool = False

    def fold(self) -> None:
        """Fold branches into the atoms that they hang on, until rings remain or a single atom."""
        leaves = [i for i, near in self.near.items() if len(near) == 1]
        while leaves:
            leaf = leaves.pop()
            if len(self.near[leaf]) != 1:
                continue
            ((root, bond),) = self.near.pop(leaf)
            self.options[root] = self._joined(root, self.options.pop(leaf), bond)
            self.near[root] = [(j, k) for j, k in self.near[root] if k != bond]
            if len(self.near[root]) == 1:
                leaves.append(root)
        self.folded = True

    def _joined(self, root: int, leaf: dict[Key, Option], bond: int) -> dict[Key, Option]:
        joined: dict[Key, Option] = {}
        orders = [self.penalty(bond, extra) for extra in range(HIGHEST_EXTRA + 1)]
        for (left, charge), option in self.options[root].items():
            for (extra, more), branch in leaf.items():
                if extra > left or extra > HIGHEST_EXTRA:
                    continue
                total = option.penalty + branch.penalty + orders[extra]
                key = (left - extra, charge + more)
                known = joined.get(key)
                if known is None or total < known.penalty - 1e-9:
                    joined[key] = Option(total, -1, 0, option, branch, bond, extra)
        limit = min((one.penalty for one in joined.values()), default=0.0) + WINDOW
        return {key: one for key, one in joined.items() if one.penalty <= limit}


class Solution(NamedTuple):
    """Choices for all atoms of a network.

    Attributes:
        penalty: their sum.
        charge: sum of the formal charges, e.
        options: the choices for the atoms of the rings.
        orders: bonds between these, and their orders beyond single bonds.
    """

    penalty: float
    charge: int
    options: list[Option]
    orders: list[tuple[int, int]]

    def extras(self) -> Iterator[tuple[int, int]]:
        """Yield the bonds, and their orders beyond single bonds."""
        yield from self.orders
        for option in self._all():
            if option.branch is not None:
                yield option.bond, option.extra

    def charges(self) -> Iterator[tuple[int, int]]:
        """Yield the atoms, and their formal charges."""
        for option in self._all():
            if option.rest is None:
                yield option.atom, option.charge

    def _all(self) -> Iterator[Option]:
        stack = list(self.options)
        while stack:
            option = stack.pop()
            yield option
            stack += [one for one in (option.rest, option.branch) if one is not None]


class _Entry(NamedTuple):
    """A state of a sweep: its penalty so far, and how it came about."""

    penalty: float
    before: "_Entry | None" = None
    option: Option | None = None
    orders: tuple[tuple[int, int], ...] = ()


def solutions(network: Network, slack: float, steps: int) -> dict[int, Solution]:
    """Return the best solution for each charge, up to ``slack`` above a lower bound of the penalty.

    Args:
        network: the atoms; it is folded.
        slack: how much more than the sum of the lowest penalties is allowed.
        steps: how many states may be extended.

    Raises:
        TooManySteps: if they are not enough.
    """
    if not network.folded:
        network.fold()
    if not all(network.options.values()):
        return {}
    if len(network.options) == 1:
        (options,) = network.options.values()
        limit = min(one.penalty for one in options.values()) + slack
        return {
            charge: Solution(option.penalty, charge, [option], [])
            for (left, charge), option in options.items()
            if not left and option.penalty <= limit
        }
    return {charge: _solution(one, charge) for charge, one in _sweep(network, slack, steps).items()}


def _solution(entry: _Entry, charge: int) -> Solution:
    options: list[Option] = []
    orders: list[tuple[int, int]] = []
    step: _Entry | None = entry
    while step is not None and step.option is not None:
        options.append(step.option)
        orders += step.orders
        step = step.before
    return Solution(entry.penalty, charge, options, orders)


def _sweep(network: Network, slack: float, steps: int) -> dict[int, _Entry]:
    order = _order(network.near)
    lowest = {i: min(one.penalty for one in network.options[i].values()) for i in order}
    bound = sum(lowest.values()) + slack
    to_come = {i: len(network.near[i]) for i in order}  # neighbours that are not swept yet
    front: list[int] = []
    layer: dict[tuple[tuple[int, ...], int], _Entry] = {((), 0): _Entry(0.0)}
    rest = sum(lowest.values())
    for atom in order:
        rest -= lowest[atom]
        back = [(front.index(j), k) for j, k in network.near[atom] if j in front]
        for j, _ in network.near[atom]:
            to_come[j] -= 1
        front.append(atom)
        room = [HIGHEST_EXTRA * to_come[i] for i in front]
        kept = [at for at, i in enumerate(front) if to_come[i]]
        steps -= len(layer) * len(network.options[atom])
        if steps < 0:
            raise TooManySteps
        layer = _extended(network, atom, layer, back, (room, kept), bound - rest)
        front = [front[at] for at in kept]
    return {charge: entry for (_, charge), entry in layer.items()}


def _extended(
    network: Network,
    atom: int,
    layer: dict[tuple[tuple[int, ...], int], _Entry],
    back: list[tuple[int, int]],
    rooms: tuple[list[int], list[int]],
    limit: float,
) -> dict[tuple[tuple[int, ...], int], _Entry]:
    """Return the states with one atom more."""
    room, kept = rooms
    larger: dict[tuple[tuple[int, ...], int], _Entry] = {}
    options = list(network.options[atom].items())
    for (open_, charge), entry in layer.items():
        for (own, more), option in options:
            penalty = entry.penalty + option.penalty
            if penalty > limit:
                continue
            for now, further, orders in _shared(network.penalty, (*open_, own), back, room):
                total = penalty + further
                if total > limit or any(n > most for n, most in zip(now, room, strict=True)):
                    continue
                key = (tuple(now[at] for at in kept), charge + more)
                known = larger.get(key)
                if known is None or total < known.penalty - 1e-9:
                    larger[key] = _Entry(total, entry, option, orders)
    if len(larger) > MAX_STATES:
        larger = dict(sorted(larger.items(), key=lambda item: item[1].penalty)[:MAX_STATES])
    return larger


Shared = tuple[tuple[int, ...], float, tuple[tuple[int, int], ...]]


def _shared(
    penalty: BondPenalty, open_: tuple[int, ...], back: list[tuple[int, int]], room: list[int]
) -> list[Shared]:
    """Return the ways to share the open valences of the last atom with those before it.

    Each is the valences left open, the penalty of the bonds, and their orders.
    """
    ways: list[Shared] = [(open_, 0.0, ())]
    for at, bond in back:
        further: list[Shared] = []
        for now, total, orders in ways:
            least = max(0, now[at] - room[at])
            for extra in range(least, min(now[at], now[-1], HIGHEST_EXTRA) + 1):
                left = list(now)
                left[at] -= extra
                left[-1] -= extra
                one = (bond, extra)
                more = penalty(bond, extra) if extra else 0.0
                further.append((tuple(left), total + more, (*orders, one) if extra else orders))
        ways = further
    return ways


def _order(near: dict[int, list[tuple[int, int]]]) -> list[int]:
    """Return the atoms in an order that keeps the front of the sweep short."""
    start = min(near, key=lambda i: len(near[i]))
    order, front = [start], {j for j, _ in near[start]}
    done = {start}

    def n_new(atom: int) -> int:
        return sum(j not in done and j not in front for j, _ in near[atom])

    while front:
        atom = min(front, key=lambda i: (n_new(i), i))
        order.append(atom)
        done.add(atom)
        front |= {j for j, _ in near[atom]}
        front -= done
    return order

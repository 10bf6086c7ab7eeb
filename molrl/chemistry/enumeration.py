"""Random and complete enumeration of stable, neutral, closed-shell molecules with conformers.

A molecule is drawn as a graph of building blocks: elements, and a few charge-separated groups. A
random tree of single bonds is followed by increases of bond orders, which make double and triple
bonds or close rings.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from rdkit import Chem

from molrl.bags import Bag, is_closed_shell
from molrl.chemistry.embedding import embed, parse_smiles
from molrl.chemistry.identity import canonical_smiles
from molrl.errors import InputError


class NoIsomer(InputError):
    """A bag of which no molecule was found, although there may be some."""


VALENCES = {"C": 4, "N": 3, "O": 2, "F": 1, "S": 2}
_SHARES = {"C": 0.62, "N": 0.17, "O": 0.17, "F": 0.02, "S": 0.04}

# Building blocks that need formal charges or higher valences than those above: the SMILES, whose
# first atom is bonded to the rest of the molecule, and the valence it has left for that.
_GROUPS = {"[N+](=O)[O-]": 1, "S(=O)=O": 2, "[S+][O-]": 2}
_GROUP_SHARE = 0.03  # share of the random molecules that are large enough, for each group
_GROUP_SHARE_OF_BAG = 0.1  # the same where all atoms of a bag are to be used
_UNSATURATION_SHARES = (0.20, 0.27, 0.22, 0.14, 0.11, 0.06)  # of molecules with 0, 1, ... of them
_RING_WEIGHTS = {3: 0.25, 4: 0.2, 5: 0.6, 6: 0.8}  # relative to 1 for a double or triple bond
_SMALL_SHARE = 0.5  # at most this share of the molecules is from the complete list of small ones
_PATIENCE = 400  # consecutive graphs without a new molecule after which a bag counts as exhausted

# Molecules that have no Lewis structure without formal charges.
_CHARGED_DRAWINGS = {"CO": "[C-]#[O+]", "N2O": "[N-]=[N+]=O"}

_UNSTABLE_PATTERNS = tuple(
    Chem.MolFromSmarts(pattern)
    for pattern in (
        "[#8]~[#8]~[#8]",  # ozone and trioxides
        "[O;D1]=[O;D1]",  # a triplet
        "[#7,#8;!a]~[#7,#8;!a]~[#7,#8;!a]~[#7,#8;!a]",  # chains of four N and O
        "[*;r]#[*;r]",  # a triple bond in a small ring
        "[*;r]=[*;r2,r3,r4,r5,r6;D2]=[*;r]",  # an allene in a small ring
        "[*;r3]=[*]=[*]",  # an allene at a ring of three
        "[*]=[*]=[*]=[*]",  # longer cumulenes
        "[*;R3]",  # cages
        "[a;r3,r4]",  # strained rings that RDKit calls aromatic
        "[*;r3;R2]=[*]",  # a double bond at an atom that fuses a ring of three
        "[*;r3]1=[*;r3][#7,#8;r3]1",  # antiaromatic rings of three
        "[*;r4]1=[*;r4][*;r4]=[*;r4]1",  # antiaromatic rings of four
        "[*;R2;r3,r4,r5]=[*;R2;r3,r4,r5]",  # a double bond between small fused rings
    )
)


@dataclass(frozen=True)
class _Graph:
    """Building blocks (element symbols, or groups) and the orders of the bonds between them."""

    blocks: tuple[str, ...]
    orders: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """``(n,)`` int64: the valence that each building block has left for hydrogens."""
        free: np.ndarray = np.array([_valence(block) for block in self.blocks]) - self.orders.sum(1)
        return free

    def with_bond(self, i: int, j: int) -> "_Graph":
        """Return the graph with the order of the bond between i and j increased by one."""
        orders = self.orders.copy()
        orders[i, j] += 1
        orders[j, i] += 1
        return _Graph(self.blocks, orders)


def random_molecules(
    n: int,
    seed: int,
    elements: Sequence[str] = ("C", "N", "O"),
    max_heavy: int = 9,
    complete_heavy: int = 4,
    wanted: Callable[[str], bool] = lambda smiles: True,
) -> list[Chem.Mol]:
    """Return distinct molecules of hydrogen and the given elements, smallest first.

    Up to half of them are all the molecules of up to ``complete_heavy`` heavy atoms, the smallest
    first; the others are random graphs of 3 to ``max_heavy`` heavy atoms.

    Args:
        n: number of molecules.
        seed: random seed.
        elements: symbols of the heavy elements, keys of :data:`VALENCES`.
        max_heavy: maximum number of heavy atoms in a molecule.
        complete_heavy: maximum number of heavy atoms in the list of small molecules.
        wanted: called with a canonical SMILES; returns whether to accept the molecule.

    Returns:
        Neutral closed-shell molecules, distinct in canonical SMILES without stereochemistry, with
        hydrogens and one conformer optimised by MMFF94 (UFF where that has no parameters).

    Raises:
        InputError: if an element is unknown, or there are not that many molecules.

    Example:
        >>> sorted(mol.GetNumAtoms() for mol in random_molecules(3, seed=0, max_heavy=2))
        [3, 4, 5]
    """
    for symbol in elements:
        if symbol not in VALENCES:
            raise InputError(f"no molecules of {symbol!r}; known are {', '.join(VALENCES)}")
    rng = np.random.default_rng(seed)
    found: dict[str, Chem.Mol] = {}
    small = _complete(tuple(elements), min(complete_heavy, max_heavy))
    only_small = max_heavy <= complete_heavy
    limit = n if only_small else max(1, int(n * _SMALL_SHARE))
    for mols in small:
        for i in rng.permutation(len(mols)):
            if len(found) < limit and wanted(canonical_smiles(mols[i])):
                _embed_into(found, mols[i], seed)
    misses = 0
    while len(found) < n:
        if only_small or misses > 50 * _PATIENCE:
            raise InputError(f"only {len(found)} such molecules were found, not {n}")
        graph = _draw(rng, tuple(elements), max_heavy)
        mol = _molecule(graph) if graph else None
        fits = mol is not None and wanted(canonical_smiles(mol))
        misses = 0 if mol and fits and _embed_into(found, mol, seed) else misses + 1
    return sorted(found.values(), key=lambda mol: mol.GetNumHeavyAtoms())


def isomers(
    bag: Bag | str, n: int, seed: int, report: Callable[[int, int], None] = lambda done, total: None
) -> list[Chem.Mol]:
    """Return up to ``n`` distinct closed-shell molecules made of all atoms of a bag.

    Args:
        bag: the atoms.
        n: maximum number of isomers. Fewer are all that there are, as far as many tries in a row
            without a new one can tell; if there are ``n``, the enumeration is not complete.
        seed: random seed.
        report: called after every try with the number of isomers found, and ``n``.

    Returns:
        At least one molecule, as from :func:`random_molecules`.

    Raises:
        InputError: if no neutral closed-shell molecule can be made of the bag.
        NoIsomer: if one can, but none was found.

    Example:
        >>> sorted(canonical_smiles(mol) for mol in isomers("C2H6O", 10, seed=0))
        ['CCO', 'COC']
    """
    bag = Bag(bag)
    rng = np.random.default_rng(seed)
    found: dict[str, Chem.Mol] = {}
    if bag.formula in _CHARGED_DRAWINGS:
        _embed_into(found, parse_smiles(_CHARGED_DRAWINGS[bag.formula]), seed)
    if bag.formula == "H2":
        _embed_into(found, parse_smiles("[H][H]"), seed)
    misses = 0
    while len(found) < n and misses < _PATIENCE:
        graph = _random_isomer(bag, rng)
        mol = _molecule(graph) if graph else None
        new = mol is not None and _embed_into(found, mol, seed)
        misses = 0 if new else misses + 1
        report(len(found), n)
    if not found:
        raise _nothing_found(bag)
    return list(found.values())


def _nothing_found(bag: Bag) -> InputError:
    if not is_closed_shell(bag):
        return InputError(
            f"no neutral closed-shell molecule can be made of all atoms of {bag.formula}"
        )
    symbols = [Chem.Atom(z).GetSymbol() for z in bag]
    others = [symbol for symbol in symbols if symbol not in {"H", *VALENCES}]
    if others:
        return NoIsomer(f"isomers with {', '.join(others)} are not enumerated, as {bag.formula}")
    return NoIsomer(f"no isomer of {bag.formula} was found")


def _valence(block: str) -> int:
    return _GROUPS[block] if block in _GROUPS else VALENCES[block]


def _atoms(group: str) -> list[str]:
    """Return the symbols of the atoms of a group, the one that bonds first."""
    return [atom.GetSymbol() for atom in _block(group).GetAtoms()]


@cache
def _block(smiles: str) -> Chem.Mol:
    """Return a building block, not sanitised: its valences are not complete yet."""
    return Chem.MolFromSmiles(smiles, sanitize=False)


def _draw(rng: np.random.Generator, elements: tuple[str, ...], max_heavy: int) -> _Graph | None:
    """Draw a graph of 3 to ``max_heavy`` heavy atoms; None if the draws lead to no molecule."""
    sizes = np.arange(3, max_heavy + 1) if max_heavy > 3 else np.array([max_heavy])
    weights = np.where(sizes < 5, 1.5, np.where(sizes < 8, 2.0, 1.0))
    size = int(rng.choice(sizes, p=weights / weights.sum()))
    shares = np.array([_SHARES[symbol] for symbol in elements])
    blocks = [str(u) for u in rng.choice(elements, size=size, p=shares / shares.sum())]
    for group in _GROUPS:
        atoms = _atoms(group)
        if set(atoms) <= set(elements) and size > len(atoms) and rng.random() < _GROUP_SHARE:
            blocks = [*blocks[len(atoms) :], group]
            break
    increases = int(rng.choice(len(_UNSATURATION_SHARES), p=_UNSATURATION_SHARES))
    return _grow(tuple(blocks), increases, rng)


def _random_isomer(bag: Bag, rng: np.random.Generator) -> _Graph | None:
    """Draw a graph that uses all atoms of a bag; None if the draws lead to no molecule."""
    symbols = {Chem.Atom(z).GetSymbol(): count for z, count in bag.items()}
    n_hydrogen = symbols.pop("H", 0)
    if not symbols or set(symbols) - set(VALENCES):
        return None
    counts = Counter(symbols)
    for group in _GROUPS:
        atoms = Counter(_atoms(group))
        if atoms <= counts and rng.random() < _GROUP_SHARE_OF_BAG:
            counts = counts - atoms + Counter([group])
    blocks = list(counts.elements())
    # Valences that hydrogens do not take are the two ends of bonds between blocks; what a tree of
    # single bonds leaves of these bonds are increases of bond orders.
    twice_bonds = sum(_valence(block) for block in blocks) - n_hydrogen
    increases = twice_bonds // 2 - (len(blocks) - 1)
    if twice_bonds % 2 or increases < 0:
        return None
    return _grow(tuple(blocks), increases, rng)


def _grow(blocks: tuple[str, ...], increases: int, rng: np.random.Generator) -> _Graph | None:
    """Draw a tree of single bonds, then increase bond orders: double bonds, triple bonds, rings."""
    n = len(blocks)
    blocks = tuple(blocks[i] for i in rng.permutation(n))
    graph = _Graph(blocks, np.zeros((n, n), dtype=np.int64))
    used, done = 1, 0
    if increases and n > 4 and rng.random() < 0.35:
        graph, used, done = _start_ring(graph, increases, rng)
    for i in range(used, n):
        parents = np.flatnonzero(graph.free[:i] > 0)
        if not len(parents):
            return None
        graph = graph.with_bond(i, int(rng.choice(parents)))
    for _ in range(increases - done):
        pairs, weights = _possible_increases(graph)
        if not pairs:
            return None
        pair = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
        graph = graph.with_bond(*pair)
    return graph


def _start_ring(graph: _Graph, increases: int, rng: np.random.Generator) -> tuple[_Graph, int, int]:
    """Join the first 5 or 6 blocks to a ring, with alternating double bonds if possible.

    Returns:
        The graph, how many blocks are used, and how many increases; one block and none if the
        valences allow no ring.
    """
    size = int(rng.integers(5, min(6, len(graph.blocks)) + 1))
    valences = np.array([_valence(block) for block in graph.blocks[:size]])
    if (valences < 2).any():
        return graph, 1, 0
    for i in range(size):
        graph = graph.with_bond(i, (i + 1) % size)
    done = 1
    # Blocks 0-1, 2-3 and, in a ring of six, 4-5 get the double bonds.
    for i in range(0, size - 1, 2):
        if done < increases and (graph.free[i : i + 2] > 0).all():
            graph = graph.with_bond(i, i + 1)
            done += 1
    return graph, size, done


def _possible_increases(graph: _Graph) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Return the pairs of blocks whose bond order can increase, and their weights.

    A pair without a bond can get one if it closes a ring of 3 to 6.
    """
    steps = _graph_distances(graph.orders)
    free = graph.free
    pairs, weights = [], []
    for i in range(len(free)):
        for j in range(i):
            order = graph.orders[i, j]
            weight = 1.0 if order else _RING_WEIGHTS.get(int(steps[i, j]) + 1, 0.0)
            if free[i] > 0 and free[j] > 0 and order < 3 and weight:
                pairs.append((i, j))
                weights.append(weight)
    return pairs, np.array(weights)


def _graph_distances(orders: np.ndarray) -> np.ndarray:
    from scipy.sparse.csgraph import shortest_path

    distances: np.ndarray = shortest_path(orders > 0, unweighted=True)
    return distances


@cache
def _complete(elements: tuple[str, ...], max_heavy: int) -> tuple[tuple[Chem.Mol, ...], ...]:
    """Return all stable molecules without formal charges of 1, 2, ... heavy atoms.

    Every connected multigraph is a tree of single bonds whose bond orders were increased one by
    one, so all of them are found by increasing bond orders of the trees until nothing new appears.
    """
    trees = {symbol: _Graph((symbol,), np.zeros((1, 1), dtype=np.int64)) for symbol in elements}
    sizes = []
    for size in range(1, max_heavy + 1):
        if size > 1:
            trees = _distinct(
                larger for g in trees.values() for s in elements for larger in _attach(g, s)
            )
        every, frontier = dict(trees), trees
        while frontier:
            increased = _distinct(
                g.with_bond(*pair) for g in frontier.values() for pair in _possible_increases(g)[0]
            )
            frontier = {key: g for key, g in increased.items() if key not in every}
            every |= frontier
        mols = [_molecule(every[key]) for key in sorted(every)]
        sizes.append(tuple(mol for mol in mols if mol is not None))
    return tuple(sizes)


def _attach(graph: _Graph, symbol: str) -> list[_Graph]:
    """Return the graph with one atom more, at each block with a free valence."""
    orders = np.pad(graph.orders, (0, 1))
    larger = _Graph((*graph.blocks, symbol), orders)
    return [larger.with_bond(len(orders) - 1, int(i)) for i in np.flatnonzero(graph.free > 0)]


def _distinct(graphs: Iterable[_Graph]) -> dict[str, _Graph]:
    """Return the distinct graphs by the SMILES of their drawing, of equal ones the last."""
    return {Chem.MolToSmiles(_drawing(graph)): graph for graph in graphs}


def _drawing(graph: _Graph) -> Chem.Mol:
    """Return the graph as an RDKit molecule, not sanitised."""
    bond_types = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
    mol = Chem.RWMol()
    first_atoms = []
    for block in graph.blocks:
        first_atoms.append(mol.GetNumAtoms())
        mol.InsertMol(_block(block))
    for i, j in zip(*np.nonzero(np.triu(graph.orders)), strict=True):
        mol.AddBond(first_atoms[i], first_atoms[j], bond_types[int(graph.orders[i, j])])
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(False)  # hydrogens fill the free valences
    return mol


def _molecule(graph: _Graph) -> Chem.Mol | None:
    """Return the sanitised molecule, or None if it is not stable."""
    mol = _drawing(graph)
    if Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    if any(mol.HasSubstructMatch(pattern) for pattern in _UNSTABLE_PATTERNS):
        return None
    if _has_tight_rings(mol):
        return None
    # Through SMILES, so that equal molecules have the same order of atoms from every graph.
    return Chem.MolFromSmiles(Chem.MolToSmiles(mol))


def _has_tight_rings(mol: Chem.Mol) -> bool:
    """Return whether a ring of 3 shares an atom with one of 3 or 4 (bicyclobutane and worse)."""
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings() if len(ring) <= 4]
    return any(a & b and len(a) + len(b) <= 7 for a, b in combinations(rings, 2))


def _embed_into(found: dict[str, Chem.Mol], mol: Chem.Mol, seed: int) -> bool:
    """Embed a molecule and add it to ``found``; False if it is there or cannot be embedded."""
    key = canonical_smiles(mol)
    if key in found:
        return False
    embedded = embed(mol, seed)
    if embedded is None:
        return False
    found[key] = embedded
    return True

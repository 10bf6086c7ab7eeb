"""Molecules drawn as random graphs from a seed: sane, closed-shell, neutral, embedded in 3D."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from rdkit.rdBase import BlockLogs

from molrl.bags import Bag
from molrl.chemistry.identity import canonical_smiles
from molrl.errors import InputError

VALENCES = {"C": 4, "N": 3, "O": 2, "F": 1, "S": 2}
_SHARES = {"C": 0.62, "N": 0.17, "O": 0.17, "F": 0.02, "S": 0.04}

# Groups that no drawing of bonds without charges and with the valences above gives: SMILES, whose
# first atom bonds to the rest, and the valence it has left for that.
_GROUPS = {"[N+](=O)[O-]": 1, "S(=O)=O": 2, "[S+][O-]": 2}
_GROUP_SHARE = 0.03  # for each group, of the random molecules that are large enough
_GROUP_SHARE_OF_BAG = 0.1  # likewise where all atoms of a bag are to be used
_RAISES = (0.20, 0.27, 0.22, 0.14, 0.11, 0.06)  # share of molecules with 0, 1, ... unsaturations
_RING_WEIGHTS = {3: 0.25, 4: 0.2, 5: 0.6, 6: 0.8}  # against 1 for a bond made double or triple
_SMALL_SHARE = 0.5  # at most this share of the molecules is the complete list of small ones
_PATIENCE = 400  # graphs in a row that bring nothing new before a bag counts as exhausted

# Molecules that no drawing of bonds without charges gives.
_CHARGED_DRAWINGS = {"CO": "[C-]#[O+]", "N2O": "[N-]=[N+]=O"}

_INSANE = tuple(
    Chem.MolFromSmarts(pattern)
    for pattern in (
        "[#8]~[#8]~[#8]",  # ozone and trioxides
        "[O;D1]=[O;D1]",  # a triplet
        "[#7,#8;!a]~[#7,#8;!a]~[#7,#8;!a]~[#7,#8;!a]",
        "[*;r]#[*;r]",  # a triple bond in a small ring
        "[*;r]=[*;r2,r3,r4,r5,r6;D2]=[*;r]",  # an allene in a small ring
        "[*;r3]=[*]=[*]",
        "[*]=[*]=[*]=[*]",  # longer cumulenes
        "[*;R3]",  # cages
        "[a;r3,r4]",  # RDKit calls aromatic what is strained beyond reason
        "[*;r3;R2]=[*]",
        "[*;r3]1=[*;r3][#7,#8;r3]1",  # antiaromatic three-rings
        "[*;r4]1=[*;r4][*;r4]=[*;r4]1",  # antiaromatic four-rings
        "[*;R2;r3,r4,r5]=[*;R2;r3,r4,r5]",  # a double bond between small fused rings
    )
)


@dataclass(frozen=True)
class _Graph:
    """Units (element symbols, or groups) and the orders of the bonds between them."""

    units: tuple[str, ...]
    orders: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """``(n,)``: the valence of each unit that is left for hydrogens."""
        free: np.ndarray = np.array([_valence(unit) for unit in self.units]) - self.orders.sum(1)
        return free

    def with_bond(self, i: int, j: int) -> "_Graph":
        """The graph with the bond between i and j one order higher."""
        orders = self.orders.copy()
        orders[i, j] += 1
        orders[j, i] += 1
        return _Graph(self.units, orders)


def random_molecules(
    n: int,
    seed: int,
    elements: Sequence[str] = ("C", "N", "O"),
    max_heavy: int = 9,
    complete_heavy: int = 4,
    wanted: Callable[[str], bool] = lambda smiles: True,
) -> list[Chem.Mol]:
    """Distinct molecules of hydrogen and the given elements, smallest first.

    Half of them at most are all the molecules of up to ``complete_heavy`` heavy atoms, the
    smallest first; the others are random graphs of 3 to ``max_heavy`` heavy atoms.

    Args:
        n: how many.
        seed: of all random choices.
        elements: symbols of the heavy elements, out of :data:`VALENCES`.
        max_heavy: the most heavy atoms of a molecule.
        complete_heavy: up to how many heavy atoms the list of small molecules goes.
        wanted: called with a canonical SMILES; says whether the molecule may be among them.

    Returns:
        Neutral closed-shell molecules, distinct in canonical SMILES without stereochemistry, with
        hydrogens and one conformer of MMFF94 (UFF where that has no parameters).

    Raises:
        InputError: if an element is not known, or there are not that many molecules.
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


def isomers(bag: Bag | str, n: int, seed: int) -> list[Chem.Mol]:
    """Up to ``n`` distinct closed-shell molecules made of all atoms of a bag.

    Args:
        bag: the atoms.
        n: the most isomers wanted; fewer are returned if no more are found.
        seed: of all random choices.

    Returns:
        At least one molecule, as :func:`random_molecules` returns them.

    Raises:
        InputError: if the bag can have none.
    """
    bag = Bag(bag)
    rng = np.random.default_rng(seed)
    found: dict[str, Chem.Mol] = {}
    if bag.formula in _CHARGED_DRAWINGS:
        _embed_into(found, _parse(_CHARGED_DRAWINGS[bag.formula]), seed)
    if bag.formula == "H2":
        _embed_into(found, _parse("[H][H]"), seed)
    misses = 0
    while len(found) < n and misses < _PATIENCE:
        graph = next(_random_isomers(bag, rng), None)
        mol = _molecule(graph) if graph else None
        new = mol is not None and _embed_into(found, mol, seed)
        misses = 0 if new else misses + 1
    if not found:
        raise InputError(
            f"no neutral closed-shell molecule can be made of all atoms of {bag.formula}"
        )
    return list(found.values())


def from_smiles(smiles: str, seed: int) -> Chem.Mol:
    """The molecule of a SMILES with hydrogens and one optimised conformer.

    Raises:
        InputError: if it is no SMILES, or cannot be embedded.
    """
    mol = _parse(smiles)
    embedded = embed(mol, seed)
    if embedded is None:
        raise InputError(f"{smiles!r} cannot be embedded in 3D")
    return embedded


def _parse(smiles: str) -> Chem.Mol:
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InputError(f"{smiles!r} is no SMILES")
    return mol


def _valence(unit: str) -> int:
    return _GROUPS[unit] if unit in _GROUPS else VALENCES[unit]


def _atoms(group: str) -> list[str]:
    """Symbols of the atoms of a group, the one that bonds first."""
    return [atom.GetSymbol() for atom in _unit(group).GetAtoms()]


@cache
def _unit(smiles: str) -> Chem.Mol:
    """An element or a group as it is drawn, not sanitised: its valences are not full yet."""
    return Chem.MolFromSmiles(smiles, sanitize=False)


def _draw(rng: np.random.Generator, elements: tuple[str, ...], max_heavy: int) -> _Graph | None:
    """A random graph of 3 to ``max_heavy`` heavy atoms, or None if the dice led nowhere."""
    sizes = np.arange(3, max_heavy + 1) if max_heavy > 3 else np.array([max_heavy])
    weights = np.where(sizes < 5, 1.5, np.where(sizes < 8, 2.0, 1.0))
    size = int(rng.choice(sizes, p=weights / weights.sum()))
    shares = np.array([_SHARES[symbol] for symbol in elements])
    units = [str(u) for u in rng.choice(elements, size=size, p=shares / shares.sum())]
    for group in _GROUPS:
        atoms = _atoms(group)
        if set(atoms) <= set(elements) and size > len(atoms) and rng.random() < _GROUP_SHARE:
            units = [*units[len(atoms) :], group]
            break
    return _grow(tuple(units), int(rng.choice(len(_RAISES), p=_RAISES)), rng)


def _random_isomers(bag: Bag, rng: np.random.Generator) -> Iterator[_Graph]:
    """At most one random graph that uses up the bag; none if the valences do not add up."""
    symbols = {Chem.Atom(z).GetSymbol(): count for z, count in bag.items()}
    n_hydrogen = symbols.pop("H", 0)
    if not symbols or set(symbols) - set(VALENCES):
        return
    bag_units = Counter(symbols)
    for group in _GROUPS:
        atoms = Counter(_atoms(group))
        if atoms <= bag_units and rng.random() < _GROUP_SHARE_OF_BAG:
            bag_units = bag_units - atoms + Counter([group])
    units = list(bag_units.elements())
    twice_bonds = sum(_valence(unit) for unit in units) - n_hydrogen
    raises = twice_bonds // 2 - (len(units) - 1)
    if twice_bonds % 2 or raises < 0:
        return
    graph = _grow(tuple(units), raises, rng)
    if graph is not None:
        yield graph


def _grow(units: tuple[str, ...], raises: int, rng: np.random.Generator) -> _Graph | None:
    """A random tree of single bonds, then ``raises`` bonds more: double, triple, or rings."""
    n = len(units)
    units = tuple(units[i] for i in rng.permutation(n))
    graph = _Graph(units, np.zeros((n, n), dtype=np.int64))
    used, done = 1, 0
    if raises and n > 4 and rng.random() < 0.35:
        graph, used, done = _start_ring(graph, raises, rng)
    for i in range(used, n):
        parents = np.flatnonzero(graph.free[:i] > 0)
        if not len(parents):
            return None
        graph = graph.with_bond(i, int(rng.choice(parents)))
    for _ in range(raises - done):
        pairs, weights = _raisable(graph)
        if not pairs:
            return None
        pair = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
        graph = graph.with_bond(*pair)
    return graph


def _start_ring(graph: _Graph, raises: int, rng: np.random.Generator) -> tuple[_Graph, int, int]:
    """The first 5 or 6 units as a ring, with alternating double bonds if there are enough."""
    size = int(rng.integers(5, min(6, len(graph.units)) + 1))
    valences = np.array([_valence(unit) for unit in graph.units[:size]])
    if (valences < 2).any():
        return graph, 1, 0
    for i in range(size):
        graph = graph.with_bond(i, (i + 1) % size)
    done = 1
    # Atoms 0-1, 2-3 and, in a ring of six, 4-5 take the double bonds.
    for i in range(0, size - 1, 2):
        if done < raises and (graph.free[i : i + 2] > 0).all():
            graph = graph.with_bond(i, i + 1)
            done += 1
    return graph, size, done


def _raisable(graph: _Graph) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Pairs of units whose bond can be raised, or that can close a ring of 3 to 6, weighted."""
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
    """All sane molecules without charges of 1, 2, ... heavy atoms, each size a tuple.

    Every connected multigraph is a tree of single bonds with bonds raised one by one, so closing
    the trees under raising finds all of them.
    """
    trees = {symbol: _Graph((symbol,), np.zeros((1, 1), dtype=np.int64)) for symbol in elements}
    sizes = []
    for size in range(1, max_heavy + 1):
        if size > 1:
            trees = _keyed(_attach(g, s) for g in trees.values() for s in elements)
        every, frontier = dict(trees), trees
        while frontier:
            raised = _keyed(
                g.with_bond(*pair) for g in frontier.values() for pair in _raisable(g)[0]
            )
            frontier = {key: g for key, g in raised.items() if key not in every}
            every |= frontier
        mols = [_molecule(every[key]) for key in sorted(every)]
        sizes.append(tuple(mol for mol in mols if mol is not None))
    return tuple(sizes)


def _attach(graph: _Graph, symbol: str) -> list[_Graph]:
    """The graph with one unit more, at each place that is free."""
    orders = np.pad(graph.orders, (0, 1))
    larger = _Graph((*graph.units, symbol), orders)
    return [larger.with_bond(len(orders) - 1, int(i)) for i in np.flatnonzero(graph.free > 0)]


def _keyed(graphs: "Iterator[_Graph] | Iterator[list[_Graph]]") -> dict[str, _Graph]:
    """The graphs by the SMILES of their drawing, so that equal ones fall together."""
    out = {}
    for item in graphs:
        for graph in item if isinstance(item, list) else [item]:
            out[Chem.MolToSmiles(_drawing(graph))] = graph
    return out


def _drawing(graph: _Graph) -> Chem.Mol:
    """The graph as an RDKit molecule, not sanitised."""
    bond_types = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
    mol = Chem.RWMol()
    places = []
    for unit in graph.units:
        places.append(mol.GetNumAtoms())
        mol.InsertMol(_unit(unit))
    for i, j in zip(*np.nonzero(np.triu(graph.orders)), strict=True):
        mol.AddBond(places[i], places[j], bond_types[int(graph.orders[i, j])])
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(False)  # what valence is left goes to hydrogens
    return mol


def _molecule(graph: _Graph) -> Chem.Mol | None:
    """The sanitised molecule, or None if it is not sane."""
    mol = _drawing(graph)
    if Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    if any(mol.HasSubstructMatch(pattern) for pattern in _INSANE) or _has_tight_rings(mol):
        return None
    # Through SMILES, so that equal molecules have equal atom order whatever graph they came from.
    return Chem.MolFromSmiles(Chem.MolToSmiles(mol))


def _has_tight_rings(mol: Chem.Mol) -> bool:
    """Whether two rings of 3 and 3 or 4 atoms share an atom (bicyclobutane and worse)."""
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings() if len(ring) <= 4]
    return any(a & b and len(a) + len(b) <= 7 for a, b in combinations(rings, 2))


def _embed_into(found: dict[str, Chem.Mol], mol: Chem.Mol, seed: int) -> bool:
    """Embed and keep a molecule unless it is known already or cannot be embedded."""
    key = canonical_smiles(mol)
    if key in found:
        return False
    embedded = embed(mol, seed)
    if embedded is None:
        return False
    found[key] = embedded
    return True


def embed(mol: Chem.Mol, seed: int) -> Chem.Mol | None:
    """The molecule with hydrogens and one optimised conformer, or None if none is found."""
    mol = Chem.AddHs(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed % (2**31 - 1)  # type: ignore[assignment]  # RDKit's stub errs
    parameters.maxIterations = 20  # type: ignore[assignment]  # RDKit's stub errs
    block = BlockLogs()  # what fails here is dropped, which is expected
    try:
        if rdDistGeom.EmbedMolecule(mol, parameters) != 0:
            return None
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=500)
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=500)
    finally:
        del block
    positions = mol.GetConformer().GetPositions()
    return mol if np.isfinite(positions).all() else None

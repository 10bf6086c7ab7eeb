import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from molrl import neighbors
from molrl.neighbors import all_pairs, both_ways, find_neighbors, neighbor_pairs

sizes = st.lists(st.integers(0, 7), min_size=0, max_size=6)


@given(sizes)
def test_all_pairs_agrees_with_two_loops(n_atoms):
    wanted, start = [], 0
    for n in n_atoms:
        wanted += [(start + j, start + i) for i in range(n) for j in range(i)]
        start += n
    assert (
        list(map(tuple, all_pairs(torch.tensor(n_atoms, dtype=torch.int64)).T.tolist())) == wanted
    )


@given(sizes)
def test_neighbor_pairs_lists_the_pairs_within_the_cutoff(n_atoms):
    counts = torch.tensor(n_atoms, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    positions = torch.randn(int(counts.sum()), 3, generator=generator, dtype=torch.float64)
    pairs = all_pairs(counts)
    near = (positions[pairs[0]] - positions[pairs[1]]).norm(dim=-1) < 1.3
    assert torch.equal(neighbor_pairs(positions, counts, 1.3), pairs[:, near])


@given(sizes)
def test_both_ways_lists_each_pair_in_both_orders(n_atoms):
    wanted, start = set(), 0
    for n in n_atoms:
        wanted |= {(start + j, start + i) for i in range(n) for j in range(n) if i != j}
        start += n
    edges = both_ways(all_pairs(torch.tensor(n_atoms, dtype=torch.int64)))
    assert edges.shape[1] == len(wanted)
    assert set(map(tuple, edges.T.tolist())) == wanted


def crystals(seed, n):
    """Yield structures of 1 to 8 atoms, periodic in some directions, some outside their cell."""
    rng = np.random.default_rng(seed)
    while n:
        cell = np.diag(rng.uniform(1.5, 5, 3)) + rng.normal(0, 0.6, (3, 3))
        if abs(np.linalg.det(cell)) > 4:
            size = int(rng.integers(1, 9))
            positions = rng.normal(0, 4, (size, 3))
            yield Atoms("H" * size, positions, cell=cell, pbc=rng.random(3) < 0.6)
            n -= 1


def search(images, cutoff):
    """Return the neighbours as sorted ``(first, second, image)`` both ways, and as found."""
    tensors = [np.concatenate([a.positions for a in images]), [len(a) for a in images]]
    cell, pbc = np.array([np.asarray(a.cell) for a in images]), np.array([a.pbc for a in images])
    positions, counts = (torch.tensor(np.array(t)) for t in tensors)
    found = find_neighbors(positions, counts, cutoff, torch.tensor(cell), torch.tensor(pbc))
    images = torch.zeros(found.pairs.shape[1], 3) if found.images is None else found.images
    rows = torch.cat([found.pairs.T, images.long()], 1)
    back = torch.cat([found.pairs.flip(0).T, -images.long()], 1)
    return sorted(map(tuple, torch.cat([rows, back]).tolist())), found


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.floats(1.0, 6.0))
def test_find_neighbors_in_cells_smaller_than_the_cutoff_agrees_with_ase(seed, cutoff):
    images = list(crystals(seed, 3))
    wanted, start = [], 0
    for atoms in images:
        i, j, shift = neighbor_list("ijS", atoms, cutoff)
        wanted += map(tuple, np.c_[i + start, j + start, shift].tolist())
        start += len(atoms)
    found, listed = search(images, cutoff)
    assert found == sorted(wanted)
    assert int(listed.n_pairs.sum()) == len(wanted) // 2


def test_shifts_bring_the_second_atom_within_the_cutoff():
    (atoms,) = crystals(3, 1)
    atoms.pbc = True
    _, found = search([atoms], 4.0)
    positions, cell = torch.tensor(atoms.positions), torch.tensor(np.asarray(atoms.cell))[None]
    first, second = found.pairs
    vectors = positions[second] - positions[first] + found.shifts(cell)
    assert len(first) > 0
    assert float(vectors.norm(dim=-1).max()) < 4.0
    assert (second.diff() >= 0).all()


def test_find_neighbors_of_a_large_molecule_agrees_with_all_pairs(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    positions = 12 * torch.rand(230, 3, generator=generator, dtype=torch.float64)
    counts = torch.tensor([0, 150, 80])
    dense = find_neighbors(positions, counts, 3.0)
    monkeypatch.setattr(neighbors, "_LARGE", 100)
    by_cells = find_neighbors(positions, counts, 3.0)
    assert torch.equal(by_cells.pairs, dense.pairs)
    assert torch.equal(by_cells.n_pairs, dense.n_pairs)
    assert by_cells.images is None


@pytest.mark.parametrize("periodic", [False, True])
def test_find_neighbors_needs_memory_in_proportion_to_the_atoms(periodic):
    """200,000 atoms have 2e10 pairs, which would not fit into memory."""
    n, side = 200_000, 126.0
    generator = torch.Generator().manual_seed(0)
    positions = side * torch.rand(n, 3, generator=generator, dtype=torch.float64)
    cell, pbc = side * torch.eye(3)[None].double(), torch.full((1, 3), periodic)
    found = find_neighbors(positions, torch.tensor([n]), 1.0, cell, pbc)
    density = n / side**3
    assert found.pairs.shape[1] == pytest.approx(n * density * 4.19 / 2, rel=0.05)

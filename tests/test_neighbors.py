import torch
from hypothesis import given
from hypothesis import strategies as st

from molrl.neighbors import all_pairs, both_ways, neighbor_pairs

sizes = st.lists(st.integers(0, 7), min_size=0, max_size=6)


@given(sizes)
def test_all_pairs_are_those_of_two_loops(n_atoms):
    wanted, start = [], 0
    for n in n_atoms:
        wanted += [(start + j, start + i) for i in range(n) for j in range(i)]
        start += n
    assert (
        list(map(tuple, all_pairs(torch.tensor(n_atoms, dtype=torch.int64)).T.tolist())) == wanted
    )


@given(sizes)
def test_neighbors_are_the_pairs_within_the_cutoff(n_atoms):
    counts = torch.tensor(n_atoms, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    positions = torch.randn(int(counts.sum()), 3, generator=generator, dtype=torch.float64)
    pairs = all_pairs(counts)
    near = (positions[pairs[0]] - positions[pairs[1]]).norm(dim=-1) < 1.3
    assert torch.equal(neighbor_pairs(positions, counts, 1.3), pairs[:, near])


@given(sizes)
def test_both_ways_are_all_ordered_pairs_of_distinct_atoms(n_atoms):
    wanted, start = set(), 0
    for n in n_atoms:
        wanted |= {(start + j, start + i) for i in range(n) for j in range(n) if i != j}
        start += n
    edges = both_ways(all_pairs(torch.tensor(n_atoms, dtype=torch.int64)))
    assert edges.shape[1] == len(wanted)
    assert set(map(tuple, edges.T.tolist())) == wanted

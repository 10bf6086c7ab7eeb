from collections import Counter

import torch

from molrl.generators.simgen.competition import change_elements, select
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.skeletons import Skeletons

N = 4000


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def many(particles, numbers=(6, 7, 8)):
    n = N * particles
    z = torch.tensor(numbers).repeat(n)
    return Skeletons(z, torch.zeros(len(z), 3), torch.full((n,), len(numbers)))


def test_change_elements_draws_atoms_by_beta_once():
    config = SimgenConfig(particles=2, swap_share=0.01)  # one atom
    copies = many(2, (6, 7, 7))  # the first changes whenever one of a pair of C and N is drawn
    log_k = torch.tensor([0.0, 0.0, -1.0]).repeat(len(copies))
    beta = 2.0
    found = change_elements(copies, log_k, uniform(len(log_k), 2), beta, config)
    rows = found.numbers.view(-1, 3)
    changed = (rows[1::2] != torch.tensor([6, 7, 7])).any(-1).float().mean()
    assert float(changed) == 1.0  # another element is there to exchange with
    assert torch.equal(rows[::2], copies.numbers.view(-1, 3)[::2])  # the first copy is as it was
    # C is third if the third atom was drawn, or the first was and its partner is the third.
    weights = torch.exp(-beta * torch.tensor([0.0, 0.0, -1.0]))
    share = weights / weights.sum()
    expected = float(share[2] + 0.5 * share[0])
    third = (rows[1::2, 2] == 6).float().mean()
    assert abs(float(third) - expected) < 0.03


def test_change_elements_keeps_the_composition_and_fixed_atoms():
    config = SimgenConfig(particles=5, swap_share=0.5)
    copies = many(5, (6, 6, 7, 8, 8))
    fixed = torch.tensor([False, False, False, False, True]).repeat(len(copies))
    copies = Skeletons(copies.numbers, copies.positions, copies.n_atoms, fixed=fixed)
    noise = uniform(len(fixed), 2)
    found = change_elements(copies, torch.zeros(len(fixed)), noise, 1.0, config)
    rows = found.numbers.view(-1, 5)
    assert torch.equal(rows.sort(-1).values, copies.numbers.view(-1, 5).sort(-1).values)
    assert bool((rows[:, 4] == 8).all())
    assert len(Counter(map(tuple, rows.tolist()))) > 9  # of the 12 arrangements of 6, 6, 7, 8


def test_select_draws_copies_by_their_similarity():
    config = SimgenConfig(particles=2)
    copies = many(2, (6,))
    log_k = torch.tensor([0.0, 1.0]).repeat(N)
    copies = Skeletons(torch.tensor([6, 7]).repeat(N), copies.positions, copies.n_atoms)
    found = select(copies, log_k, uniform(2 * N), 2.0, config)
    share = float((found.numbers == 7).float().mean())
    assert abs(share - 1 / (1 + torch.e**-2)) < 0.03


def test_select_rejects_holes_and_what_is_not_a_number():
    config = SimgenConfig(particles=3)
    copies = Skeletons(torch.tensor([6, 7, 8]), torch.zeros(3, 3), torch.ones(3).long())
    log_k = torch.tensor([9.0, 1.0, torch.nan])
    assert select(copies, log_k, uniform(3), 10.0, config).numbers.tolist() == [7]

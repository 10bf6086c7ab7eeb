"""The particle filter: copies of a molecule whose elements change, of which one goes on."""

from dataclasses import replace

import torch
from torch import Tensor

from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.skeletons import Skeletons


def change_elements(
    copies: Skeletons, log_similarity: Tensor, uniform: Tensor, beta: float, config: SimgenConfig
) -> Skeletons:
    """Return copies in which dissimilar atoms have exchanged their elements with other atoms.

    The composition of a molecule stays what it is. In each copy but the first of a molecule, the
    share ``swap_share`` of the free atoms is drawn with the probability exp(-β log k), and each of
    them exchanges its element with a free atom of another element, all equally likely.

    Args:
        copies: ``config.particles`` in a row of each molecule.
        log_similarity: ``(n_atoms_total,)``, log k of each atom.
        uniform: ``(n_atoms_total, 2)`` in (0, 1).
        beta: inverse temperature.
        config: the settings.
    """
    atom, empty = copies.slots()
    closed = empty | copies.fixed[atom]
    order = _drawn_order(-beta * log_similarity[atom], uniform[atom, 0], closed)
    n_free = (~closed).sum(-1)
    n_swaps = (config.swap_share * n_free).ceil().long()
    n_swaps[:: config.particles] = 0
    numbers = copies.numbers[atom].masked_fill(empty, 0)
    rows = torch.arange(len(copies), device=copies.device)
    for i in range(int(n_swaps.max())):
        one = order[:, i]
        others = closed | (numbers == numbers[rows, one][:, None])
        # Which of the others: the numbers of another column, shifted, serve as fresh ones.
        fresh = (uniform[atom, 1] + 0.618034 * i) % 1
        other = fresh.masked_fill(others, -1.0).argmax(-1)
        swapping = (i < n_swaps) & ~others.all(-1)
        first, second = numbers[rows, one], numbers[rows, other]
        numbers[rows, one] = torch.where(swapping, second, first)
        numbers[rows, other] = torch.where(swapping, first, second)
    return replace(copies, numbers=numbers[~empty])


def select(
    copies: Skeletons, log_similarity: Tensor, uniform: Tensor, beta: float, config: SimgenConfig
) -> Skeletons:
    """Return one copy of each molecule, drawn with the probability exp(β log k of all its atoms).

    Copies whose atoms are more similar than any molecule is are not drawn, where others are left.

    Args:
        copies: ``config.particles`` in a row of each molecule.
        log_similarity: ``(n_atoms_total,)``, log k of each atom.
        uniform: ``(n_copies,)`` in (0, 1).
        beta: inverse temperature.
        config: the settings.
    """
    total = copies.sum_atoms(log_similarity.nan_to_num(-1e4))
    hole = total > config.hole * copies.n_atoms
    score = (beta * total).masked_fill(hole, -1e30) + _gumbel(uniform)
    best = score.view(-1, config.particles).argmax(-1)
    first = config.particles * torch.arange(len(best), device=best.device)
    return copies[first + best]


def _drawn_order(logits: Tensor, uniform: Tensor, closed: Tensor) -> Tensor:
    """Return the slots in the order in which they are drawn without replacement, closed ones last.

    Adding Gumbel noise to logarithms of weights and sorting draws so (Kool et al., ICML 2019).
    """
    noisy = (logits.nan_to_num(0.0) + _gumbel(uniform)).masked_fill(closed, -torch.inf)
    return noisy.argsort(dim=-1, descending=True)


def _gumbel(uniform: Tensor) -> Tensor:
    inside = uniform.clamp(1e-7, 1 - 1e-7)
    return -torch.log(-torch.log(inside))

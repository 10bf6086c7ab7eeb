"""An evolution strategy for structures that a model binds strongly and believes that it knows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from molrl.attacks.room import Room
from molrl.energy.interface import EnergyModel
from molrl.molecules import MoleculeBatch
from molrl.structures.structure import Structure, to_batch

_PARENTS, _CHILDREN = 4, 16
_GENERATIONS = 24
_STEP = 0.25  # Å, of each coordinate, at the start
_CAUTION = 0.5  # eV per atom for each unit of the uncertainty


def evolve(
    model: EnergyModel, structures: Sequence[Structure], guard: float, seed: int
) -> list[Structure]:
    """Search low energies per atom where the uncertainty is low too, near each structure.

    Minimises E / n + 0.5 eV u, where E is the interaction energy of n atoms and u the uncertainty,
    by a (4, 16) evolution strategy with recombination of all parents and a step that each child
    inherits and varies (Beyer and Schwefel, Natural Computing 1, 3 (2002)). The searches are
    independent; the children of all of them share one energy call per generation.

    Args:
        model: what is attacked; it must offer an uncertainty.
        structures: where the searches start, neutral.
        guard: smallest distance as a share of the sum of covalent radii.
        seed: of all random choices.

    Returns:
        The best of each search that is behind the guard, of kind ``overbound``.
    """
    if not structures:
        return []
    padded = to_batch(structures).to_padded()
    numbers, mean = padded["numbers"], padded["positions"]
    n, width = numbers.shape
    random = torch.Generator().manual_seed(seed)
    step = mean.new_full((n,), _STEP)
    best, least = mean.clone(), mean.new_full((n,), torch.inf)
    rate = (2 * 3 * width) ** -0.5
    every = numbers.repeat_interleave(_CHILDREN, 0)
    room = Room.of(every, guard)
    rows = torch.arange(n)[:, None]
    for _ in range(_GENERATIONS):
        noise = torch.randn(n, _CHILDREN, generator=random, dtype=mean.dtype)
        steps = step[:, None] * (rate * noise).exp()
        moves = torch.randn(n, _CHILDREN, width, 3, generator=random, dtype=mean.dtype)
        children = mean[:, None] + steps[..., None, None] * moves
        pushed, allowed = room.push(children.flatten(0, 1))
        score = _score(model, every, pushed, allowed).view(n, _CHILDREN)
        children = pushed.view_as(children)
        order = score.argsort(dim=1)[:, :_PARENTS]
        first = order[:, 0]
        lowest = score[rows[:, 0], first]
        better = lowest < least
        best[better] = children[rows[:, 0], first][better]
        least = torch.where(better, lowest, least)
        known = lowest.isfinite()
        mean = torch.where(known[:, None, None], children[rows, order].mean(1), mean)
        step = torch.where(known, steps[rows, order].mean(1), 0.5 * step)
    return [
        s.at(best[i, : len(s)].numpy(), "overbound")
        for i, s in enumerate(structures)
        if least[i].isfinite()
    ]


def _score(model: EnergyModel, numbers: Tensor, x: Tensor, allowed: Tensor) -> Tensor:
    """``(B,)`` eV per atom, infinite where not allowed."""
    score = x.new_full((len(x),), torch.inf)
    if allowed.any():
        molecules = MoleculeBatch.from_padded(numbers[allowed], x[allowed])
        output = model.evaluate(molecules, uncertainty=True)
        assert output.uncertainty is not None  # asked for, of a model that has one
        energy = output.energy.cpu() - model.isolated_energy(molecules).cpu()
        found = energy / molecules.n_atoms + _CAUTION * output.uncertainty.cpu()
        score[allowed] = found.nan_to_num(torch.inf, torch.inf, -torch.inf)
    return score

"""Train, valid and test splits of labelled structures, molecule by molecule."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from molrl.chemistry.molecule_set import SPLITS

_SHARES = {"valid": 0.1, "test": 0.05}
_TRAIN = 0.7  # the least share of the train split if there is a test split
_FEW = 20  # structures; fewer have no test split


def split_structures(identities: Sequence[str]) -> Tensor:
    """Assign splits so that no molecule is in two of them.

    Molecules are taken in an order given by their names alone, so that the split does not depend
    on the order of a file. Structures that are all of one molecule are split one by one, at random
    with a fixed seed.

    Args:
        identities: the molecule of each structure.

    Returns:
        ``(n_structures,)`` int64, index into :data:`molrl.chemistry.molecule_set.SPLITS`. About
        10 % are of the valid split, one at least of two structures or more, and about 5 % of the
        test split, where there are molecules enough.
    """
    sizes = Counter(identities)
    if len(sizes) == 1:
        return _split_at_random(len(identities))
    split_of = _split_molecules(sizes)
    return torch.tensor([split_of.get(name, 0) for name in identities], dtype=torch.int64)


def _split_at_random(n: int) -> Tensor:
    split = torch.zeros(n, dtype=torch.int64)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    n_valid = max(1, round(_SHARES["valid"] * n)) if n > 1 else 0
    n_test = max(1, round(_SHARES["test"] * n)) if n >= _FEW else 0
    split[order[:n_valid]] = SPLITS.index("valid")
    split[order[n_valid : n_valid + n_test]] = SPLITS.index("test")
    return split


def _split_molecules(sizes: Counter[str]) -> dict[str, int]:
    """The split of each molecule that is not of the train split."""
    total = sizes.total()
    left = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest())
    out: dict[str, int] = {}
    for split, share in _SHARES.items():
        taken = _take(left, sizes, share * total)
        train = total - sum(sizes[name] for name in [*out, *taken])
        if split == "test" and (total < _FEW or train < _TRAIN * total):
            continue
        out |= dict.fromkeys(taken, SPLITS.index(split))
        left = [name for name in left if name not in taken]
    return out


def _take(names: Sequence[str], sizes: Counter[str], wanted: float) -> list[str]:
    """Molecules of about so many structures together; the smallest, if all are of more."""
    taken: list[str] = []
    count = 0
    for name in names:
        if count < wanted and count + sizes[name] <= 2 * wanted:
            taken.append(name)
            count += sizes[name]
    return taken or [min(names, key=lambda name: sizes[name])]

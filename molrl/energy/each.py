"""Evaluation one molecule at a time, where an energy model raises on a batch."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from operator import attrgetter

import torch
from torch import Tensor

from molrl.energy.output import EnergyOutput, Wanted
from molrl.energy.properties import is_of_atoms
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

_OF_ATOMS = ("forces", "descriptors", "atom_uncertainty")
_FIELDS = ("energy", "stress", "uncertainty", *_OF_ATOMS)


def evaluate_each(
    name: str,
    evaluate: Callable[[MoleculeBatch], EnergyOutput],
    molecules: MoleculeBatch,
    wanted: Wanted,
) -> EnergyOutput:
    """Evaluate molecules one at a time, so that one that raises fails alone.

    Args:
        name: of the energy model.
        evaluate: evaluates a batch.
        molecules: n molecules, at least one.
        wanted: what to compute besides the energy.

    Returns:
        NaN, and the exception as the reason, for each molecule that raises.

    Raises:
        InputError: as ``evaluate`` does.
        Exception: of a single atom, where all molecules raise, and it must tell how many numbers
            a descriptor or a further property has.
    """
    found: list[EnergyOutput | None] = []
    failures: dict[int, str] = {}
    faults: Counter[str] = Counter()
    for i in range(len(molecules)):
        try:
            output = evaluate(molecules[i : i + 1])
        except InputError:
            raise
        except Exception as error:  # a model of somebody else's can raise anything
            failures[i] = described(name, error)
            found.append(None)
            continue
        if output.failures:
            failures[i] = output.failures[0]
        faults += output.faults
        found.append(output)
    like = next(filter(None, found), None) or _of_atom(evaluate, molecules, wanted)
    joined = _join(found, molecules, like)
    joined.failures, joined.faults = failures, faults
    return joined


def described(name: str, error: Exception) -> str:
    """Return one line that names an exception, and what raised it.

    Args:
        name: of the energy model or the reward term.
        error: what it raised.

    Example:
        >>> described("spring", ValueError("no water"))
        'spring: ValueError: no water'
    """
    return " ".join(f"{name}: {type(error).__name__}: {error}".split()).removesuffix(":")


def _join(
    found: list[EnergyOutput | None], molecules: MoleculeBatch, like: EnergyOutput
) -> EnergyOutput:
    """Concatenate outputs of one molecule each, with NaN in the shapes of ``like`` for None."""
    sizes = molecules.n_atoms.tolist()

    def join(value: Callable[[EnergyOutput], Tensor], of_atoms: bool) -> Tensor:
        shape = value(like).shape[1:]
        return torch.cat(
            [
                value(like).new_full((n if of_atoms else 1, *shape), torch.nan, dtype=torch.float64)
                if output is None
                else value(output)
                for output, n in zip(found, sizes, strict=True)
            ]
        )

    joined = EnergyOutput(torch.zeros(0))
    for field in _FIELDS:
        if getattr(like, field) is not None:
            setattr(joined, field, join(attrgetter(field), field in _OF_ATOMS))
    for name in like.properties:
        joined.properties[name] = join(partial(_property, name), is_of_atoms(name))
    return joined


def _property(name: str, output: EnergyOutput) -> Tensor:
    return output.properties[name]


def _of_atom(
    evaluate: Callable[[MoleculeBatch], EnergyOutput], molecules: MoleculeBatch, wanted: Wanted
) -> EnergyOutput:
    """Return an output that has the shapes of one molecule's, where no molecule has one."""
    if wanted.descriptors or wanted.uncertainty or wanted.properties:
        # Their shapes are known to the model alone, which may know a single atom.
        first = molecules.numbers[:1], molecules.positions[:1]
        return evaluate(MoleculeBatch(*first, torch.ones_like(molecules.n_atoms[:1])))
    one = torch.zeros(1, dtype=torch.float64, device=molecules.device)
    return EnergyOutput(
        one,
        forces=one.expand(1, 3) if wanted.forces else None,
        stress=one.expand(1, 3, 3) if wanted.stress else None,
    )

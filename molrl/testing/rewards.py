"""The check of a reward term."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from ase.build import molecule

from molrl.energy import EnergyModel, load_energy
from molrl.molecules import MoleculeBatch
from molrl.rewards import EnergyDifference, PlacedAtoms, Placements, build_reward, combine_wants
from molrl.rewards.chemistry import CustomTerm
from molrl.rewards.interface import RewardTerm
from molrl.rewards.wants import check_wanted
from molrl.testing.rules import copy_of, require, require_close, require_unchanged, rule

_TOLERANCE = 1e-3  # eV, Å: the noise of a relaxation in float32
_NAMES = ("H2O", "CH3OH", "NH3", "CO")


def check_reward_term(
    obj: RewardTerm | type | Callable[..., Any] | str,
    *,
    seed: int = 0,
    energy: EnergyModel | str | None = None,
) -> None:
    """Check that a reward term keeps the contract of :class:`molrl.rewards.RewardTerm`.

    The rules, in this order: it says when it is computed and what it wants; it returns one finite
    number for each canvas; canvases one by one, in another order and once more give the same
    numbers; the canvases are not changed. They are water, methanol, ammonia and carbon monoxide
    with the last atom as the new one, the first as fixed, and points to fill.

    Args:
        obj: the term, a class of terms without further options, a function of the finished
            molecules, or a registered name.
        seed: of the displacements of the atoms.
        energy: energy model, or its name; None for ``"mace"``, or ``"gfn2"`` for a term that wants
            what ``"mace"`` does not compute.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_reward_term("valid")
    """
    with rule("it is a reward term, a function, or the name or class of a term"):
        term, model = _built(obj, energy)
    with rule("at_end is True or False"):
        require(isinstance(term.at_end, bool), f"{term.at_end!r}")
    wants = getattr(term, "wants", ())
    with rule("wants is a tuple of what the energy model computes"):
        require(isinstance(wants, tuple | list), f"{wants!r}")
        check_wanted(combine_wants(wants), model)
    placed = _placed(model, wants, np.random.default_rng(seed))
    before = copy_of(placed.molecules)
    n = len(placed)
    with rule("it returns one finite number for each canvas"):
        values = _values(term, placed)
        require(np.isfinite(values).all(), f"{values}")
    with rule("the canvases are not changed"):
        require_unchanged(placed.molecules, before)
    with rule("canvases one by one give the same numbers"):
        single = [_values(term, placed[np.array([i])]) for i in range(n)]
        _require_same(np.concatenate(single), values)
    with rule("canvases in another order give the same numbers"):
        _require_same(_values(term, placed[np.arange(n - 1, -1, -1)]), values[::-1])
    with rule("the same canvases give the same numbers again"):
        _require_same(_values(term, placed), values)


def _built(obj: Any, energy: EnergyModel | str | None) -> tuple[RewardTerm, EnergyModel]:  # noqa: ANN401 - of four kinds
    spec = {obj: 1.0} if isinstance(obj, str) else None
    if energy is None:
        named = build_reward(spec, load_energy("mace"), ("fixed", "shape")) if spec else obj
        computed = {"forces", "descriptors", "uncertainty"}
        energy = "mace" if set(getattr(named, "wants", ())) <= computed else "gfn2"
    model = load_energy(energy)
    if spec:
        return build_reward(spec, model, ("fixed", "shape")).terms[obj][1], model
    if isinstance(obj, type):
        term: RewardTerm = obj(model)
        return term, model
    return (obj if hasattr(obj, "at_end") else CustomTerm(obj)), model


def _placed(model: EnergyModel, wants: Sequence[str], rng: np.random.Generator) -> PlacedAtoms:
    atoms = [molecule(name) for name in _NAMES]
    for one in atoms:
        one.positions += rng.normal(scale=0.03, size=one.positions.shape)
    molecules = MoleculeBatch.from_ase(atoms)
    canvas = model.evaluate([one[:-1] for one in atoms]).energy.cpu().numpy()
    numbers = np.array([one.numbers[-1] for one in atoms])
    difference = EnergyDifference(model, sorted(set(numbers.tolist())), combine_wants(wants))
    output = difference.compute_reward(Placements(molecules, numbers, canvas))
    points = rng.normal(size=(len(atoms), 5, 3)).astype(np.float32)
    fixed = np.ones(len(atoms), np.int64)
    return PlacedAtoms(
        molecules, fixed, points, output.reward, output.energy, output.properties, model
    )


def _values(term: RewardTerm, placed: PlacedAtoms) -> np.ndarray:
    values = term(placed)
    require(isinstance(values, np.ndarray), f"it returned {type(values).__name__}, not an array")
    require(values.shape == (len(placed),), f"shape {values.shape} for {len(placed)} canvases")
    return values


def _require_same(found: np.ndarray, wanted: np.ndarray) -> None:
    require_close(torch.from_numpy(found.copy()), torch.from_numpy(wanted.copy()), _TOLERANCE)

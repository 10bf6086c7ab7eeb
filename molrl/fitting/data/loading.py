"""Datasets and labelled files as one dataset."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from molrl.errors import InputError
from molrl.fitting.data.dataset import FORMER_REFERENCE, Dataset, lacks_reference
from molrl.fitting.data.labelled import read_labelled
from molrl.fitting.data.splits import split_structures
from molrl.runs.progress import log_message


def load_data(
    paths: str | Path | Sequence[str | Path],
    reference: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
) -> Dataset:
    """Load files of labelled structures as one dataset.

    Args:
        paths: of datasets (``.npz``), extended XYZ files (``.extxyz``, ``.xyz``) and ASE databases
            (``.db``, ``.json``); one, or several.
        reference: name of the energy model that labelled the files that do not name it.
        energy_key: key of the energies in files other than ``.npz``; found if None.
        forces_key: key of the forces in them, likewise.

    Returns:
        All structures. Those of ``.npz`` files keep their splits, and so do those of files that
        say them. Others are split by molecule: by SMILES if all of them have one, else by formula.
        A molecule of an ``.npz`` file is of the split that it has most often there.

    Raises:
        InputError: if there is no path, a file is missing, broken or not in eV and eV/Å, or the
            files are labelled by different references.

    Example:
        >>> data = load_data("mine.extxyz", energy_key="REF_energy")  # doctest: +SKIP
        >>> len(data), data.kinds  # doctest: +SKIP
        (500, ('mine',))
    """
    return Dataset.join(load_parts(paths, reference, energy_key, forces_key))


def load_parts(
    paths: str | Path | Sequence[str | Path],
    reference: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
) -> list[Dataset]:
    """Load files of labelled structures, each as a dataset; see :func:`load_data`.

    Datasets of earlier versions, which could name no reference, are taken for labelled by
    GFN2-xTB if ``reference`` is None.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if not several:
        raise InputError("data: name one file at least")
    parts: list[Dataset] = []
    unsplit: list[int] = []
    for i, path in enumerate(map(Path, several)):
        if path.suffix == ".npz":
            part = Dataset.load(path)
            if reference is None and lacks_reference(path):
                part = replace(part, reference=FORMER_REFERENCE)
        else:
            part, has_split = read_labelled(path, energy_key, forces_key)
            if not has_split and len(part):
                unsplit.append(i)
        parts.append(_of_reference(part, reference, path))
    _assign_splits(parts, unsplit, [str(path) for path in several])
    if not sum(map(len, parts)):
        raise InputError(f"data: {', '.join(map(str, several))} hold isolated atoms only")
    return parts


def assumption(paths: Sequence[str], reference: str | None) -> str:
    """Return words on the reference that :func:`load_parts` assumes; empty if it assumes none."""
    old = [path for path in paths if path.endswith(".npz") and lacks_reference(path)]
    if reference is not None or not old:
        return ""
    return f"{old[0]} names no reference, so {FORMER_REFERENCE} is assumed"


def _of_reference(part: Dataset, reference: str | None, path: Path) -> Dataset:
    if reference and part.reference not in (None, reference):
        raise InputError(
            f"{path} is labelled by {part.reference}, not by the reference {reference}"
        )
    return replace(part, reference=reference or part.reference)


def _assign_splits(parts: list[Dataset], unsplit: Sequence[int], paths: Sequence[str]) -> None:
    """Split the structures of all files that do not say their splits, together."""
    if not unsplit:
        return
    said = [i for i in range(len(parts)) if i not in unsplit and len(parts[i])]
    said = [i for i in said if not paths[i].endswith(".npz")]
    if said:
        raise InputError(
            f"{paths[said[0]]} says the split of its structures, {paths[unsplit[0]]} does not; "
            "give all a split, or none"
        )
    old = [part for i, part in enumerate(parts) if i not in unsplit]
    split = _split_beside(old, [parts[i] for i in unsplit])
    for i, some in zip(unsplit, torch.split(split, [len(parts[i]) for i in unsplit]), strict=True):
        parts[i] = replace(parts[i], split=some)


def _split_beside(old: Sequence[Dataset], new: Sequence[Dataset]) -> Tensor:
    """Split new structures, those of molecules that have a split as these."""
    formulas = [name for part in new for name in _formulas(part)]
    by_formula = any(_names(part) == _formulas(part) for part in new)
    names = formulas if by_formula else [name for part in new for name in _names(part)]
    known = _known_splits(old, by_formula)
    # datasets may name a molecule by its formula, too
    found = [known.get(a, known.get(b)) for a, b in zip(names, formulas, strict=True)]
    rest = [name for name, split in zip(names, found, strict=True) if split is None]
    if len(set(rest)) == 1:
        log_message(
            f"all structures without a split are {rest[0]}: split at random, not by molecule"
        )
    out = torch.tensor([-1 if split is None else split for split in found])
    if rest:
        out[out < 0] = split_structures(rest)
    return out


def _known_splits(parts: Sequence[Dataset], by_formula: bool) -> dict[str, int]:
    """The split that most structures of a molecule have, by its name."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for part in parts:
        names = _formulas(part) if by_formula else _names(part)
        for name, split in zip(names, part.split.tolist(), strict=True):
            counts[name][split] += 1
    return {name: splits.most_common(1)[0][0] for name, splits in counts.items()}


def _names(part: Dataset) -> list[str]:
    return [part.identities[i] for i in part.identity.tolist()]


def _formulas(part: Dataset) -> list[str]:
    return [bag.formula for bag in part.molecules.bags()]

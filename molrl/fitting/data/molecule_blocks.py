"""Molecule sets beyond the shipped one: made block by block, each kept, so that it can go on."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.enumeration import random_molecules
from molrl.chemistry.identity import canonical_smiles
from molrl.chemistry.molecule_set import SPLITS, MoleculeSet, shipped_molecules, split_of
from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.fitting.data import conformer_worker
from molrl.fitting.data.config import MoleculeSetConfig
from molrl.fitting.data.labels import Progress
from molrl.fitting.data.relaxing import relax_all
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_text

_WHAT = "making new molecules"
_STEPS = 250
_EMBEDDING = 60.0  # s, the time limit of the conformers of one molecule
_EVERY = 10  # blocks; one of so many is of the larger molecules
_SAME = 2e-3  # eV; minima whose energies are nearer are one conformer


def extend_molecule_set(
    config: MoleculeSetConfig, progress: Progress
) -> tuple[MoleculeSet, Counter[str]]:
    """Add new molecules to a set, with several conformers each, relaxed with GFN2-xTB.

    Blocks of molecules are kept in the folder ``<output>.blocks`` when they are finished, and are
    not made again by a second call, whose result is the same. Molecules of the formulas that are
    held out are made, and marked.

    Args:
        config: what to make, with its ``base``.
        progress: called with how many of the molecules that are still missing are made.

    Returns:
        The set: the base as it is, then ``n`` distinct molecules less those of the base, the
        conformers of each one after another, the lowest first; and how many were left out, by
        reason.

    Raises:
        InputError: if the base is missing or has ``n`` molecules already, the folder holds blocks
            of another config, or there are not enough such molecules.
    """
    base = shipped_molecules() if config.base == "shipped" else MoleculeSet.load(str(config.base))
    folder = _prepare(config)
    seen, lost = set(base.identities), Counter[str]()
    missing = config.n - len(seen)
    if missing <= 0:
        raise InputError(f"n: the base has {len(seen)} molecules; give more than that")
    parts: list[MoleculeSet] = []
    begun = missing  # when the finished blocks are read: the time left is that of what is to do
    number = 0
    while missing > 0:
        path = folder / f"{number:05}.npz"
        record = path.with_suffix(".json")  # written last: with it the block is finished
        kept = record.exists()
        if not kept:
            names = _enumerate(config, number, seen)
            count = _counted(progress, begun - missing, len(names), begun)
            made, left_out = _make_block(config, names, count)
            made.save(path)
            write_text(record, json.dumps({"tried": names, "lost": left_out}) + "\n")
        of_block = json.loads(record.read_text(encoding="utf-8"))
        part = _first_molecules(MoleculeSet.load(path), missing)
        missing -= len(set(part.identities))
        begun = missing if kept else begun
        seen.update(of_block["tried"])
        lost.update(of_block["lost"])
        parts.append(part)
        number += 1
    progress(_WHAT, begun, begun)
    return _mark(_join([base, *parts]), config.held_out), lost


def _counted(progress: Progress, done: int, n: int, total: int) -> Progress:
    """Return what turns the progress within a block of n molecules into that of the whole."""
    return lambda what, part, parts: progress(_WHAT, min(total, done + part * n // parts), total)


def _prepare(config: MoleculeSetConfig) -> Path:
    """Make the folder of the blocks, or check that it is of the same config."""
    folder = Path(f"{config.output}.blocks")
    settings = config.model_dump(mode="json", exclude={"output", "n", "held_out"})
    text = json.dumps(settings, sort_keys=True) + "\n"
    kept = folder / "config.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(kept, text)
    elif kept.read_text(encoding="utf-8") != text:
        raise InputError(f"{folder} holds blocks of another config; remove it, or name another")
    return folder


def _enumerate(config: MoleculeSetConfig, number: int, seen: set[str]) -> list[str]:
    """Return the SMILES of a block of new molecules."""
    larger = config.larger is not None and number % _EVERY == _EVERY - 1
    most = config.larger if larger and config.larger else config.max_heavy

    def wanted(smiles: str) -> bool:
        return smiles not in seen and (not larger or _heavy(smiles) > config.max_heavy)

    seed = int(np.random.SeedSequence([config.seed, number]).generate_state(1)[0])
    drawn = random_molecules(config.block, seed, config.elements, most, wanted=wanted)
    return [canonical_smiles(mol) for mol in drawn]


def _heavy(smiles: str) -> int:
    mol: Chem.Mol = Chem.MolFromSmiles(smiles)
    return int(mol.GetNumHeavyAtoms())


def _make_block(
    config: MoleculeSetConfig, names: Sequence[str], progress: Progress
) -> tuple[MoleculeSet, Counter[str]]:
    """Embed and relax conformers of molecules; keep minima that are distinct and named right."""
    lost: Counter[str] = Counter()
    conformers: list[tuple[np.ndarray, np.ndarray]] = []
    owners: list[str] = []
    for name, found in zip(names, _embed(config, names), strict=True):
        if isinstance(found, str):
            lost["no conformer"] += 1
            continue
        numbers, positions = found
        conformers += [(numbers, x) for x in positions]
        owners += [name] * len(positions)
    drawn = MoleculeBatch.from_arrays(conformers)
    results = relax_all(drawn, config.force_tolerance, [_STEPS] * len(drawn), progress)
    relaxed, kept = [], []
    for (numbers, _), name, result in zip(drawn.arrays(), owners, results, strict=True):
        if isinstance(result, str) or not result[1]:
            lost["conformers not relaxed"] += 1
            continue
        relaxed.append((numbers, result[0]))
        kept.append(name)
    return _distinct(MoleculeBatch.from_arrays(relaxed, dtype=torch.float32), kept, lost), lost


def _embed(config: MoleculeSetConfig, names: Sequence[str]) -> list[Any]:
    tasks = [(name, config.seed % (2**31 - 1), config.conformers) for name in names]
    pool = Pool(Path(conformer_worker.__file__), cores_of_this_rank(), _EMBEDDING)
    try:
        return pool.map(tasks)
    finally:
        pool.close()


def _distinct(molecules: MoleculeBatch, names: Sequence[str], lost: Counter[str]) -> MoleculeSet:
    """Return the conformers of another energy each, of the molecules that they are named after."""
    found = validity(molecules)
    # GFN2-xTB's energies belong to the positions as they are stored, in float32.
    energy = load_energy("gfn2").evaluate(molecules).energy
    sortable = energy.nan_to_num(nan=float("inf")).tolist()
    order = sorted(range(len(names)), key=lambda i: (names.index(names[i]), sortable[i]))
    chosen: list[int] = []
    for i in order:
        last = chosen[-1] if chosen and names[chosen[-1]] == names[i] else None
        if found.smiles[i] != names[i]:
            lost["conformers of another molecule"] += 1
        elif not torch.isfinite(energy[i]):
            lost["conformers without an energy"] += 1
        elif last is not None and float(energy[i] - energy[last]) < _SAME:
            lost["conformers met twice"] += 1
        else:
            chosen.append(i)
    index = torch.tensor(chosen, dtype=torch.int64)
    identities = tuple(names[i] for i in chosen)
    return MoleculeSet(
        molecules=molecules[index],
        energy=energy[index],
        identities=identities,
        split=torch.tensor([SPLITS.index(split_of(name)) for name in identities]).long(),
    )


def _first_molecules(part: MoleculeSet, n: int) -> MoleculeSet:
    """Return the first n distinct molecules, with all their conformers."""
    names = list(dict.fromkeys(part.identities))[:n]
    return part[[i for i, name in enumerate(part.identities) if name in set(names)]]


def _join(parts: Sequence[MoleculeSet]) -> MoleculeSet:
    return MoleculeSet(
        molecules=MoleculeBatch.cat([part.molecules for part in parts]),
        energy=torch.cat([part.energy for part in parts]),
        identities=tuple(name for part in parts for name in part.identities),
        split=torch.cat([part.split for part in parts]),
    )


def _mark(molecules: MoleculeSet, formulas: Iterable[str]) -> MoleculeSet:
    """Mark the molecules of formulas as held out."""
    held_out = {Bag(formula).formula for formula in formulas}
    marks = [bag.formula in held_out for bag in molecules.molecules.bags()]
    return replace(molecules, held_out=torch.tensor(marks))

"""Structures that no data holds: molecules together, large ones, and attacks on a model."""

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from crowds import search
from energy_large import LARGE
from packing import packed, placed, turned, unit

from molrl.attacks.hopping import grow
from molrl.chemistry.embedding import from_smiles
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.envs.config import Rules
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch

DIMERS, CLUSTERS, RANDOM, DISTORTED = 200, 100, 200, 200
ATOMS = 30  # of one cluster of molecules, at most about
SHAKEN = 0.08  # Å
SMALLEST, LARGEST = 4, 10  # atoms of random clusters


def fresh_structures(model: EnergyModel, qm7: str | None, seed: int) -> dict[str, MoleculeBatch]:
    """Return structures by kind, real ones and attacks.

    Args:
        model: the energy model that is attacked.
        qm7: file of QM7; None: without its molecules.
        seed: of all random choices.
    """
    rng = np.random.default_rng(seed)
    small = small_molecules(rng)
    clusters = random_clusters(model.elements, rng)
    found = {
        "dimers": MoleculeBatch.from_ase([dimer(small, rng) for _ in range(DIMERS)]),
        "clusters of molecules": MoleculeBatch.from_ase(
            [packed(few(small, rng), rng) for _ in range(CLUSTERS)]
        ),
        "large molecules": MoleculeBatch.from_rdkit(
            [from_smiles(smiles, seed) for smiles in LARGE.values()]
        ),
        "attack: random clusters": clusters,
        "attack: relaxed clusters": apart(relax(clusters, model).molecules),
        "attack: crowds": search(model, 1, seed)[1],
    }
    if qm7:
        found["QM7, distorted"] = distorted(qm7, model.elements, rng)
    return found


def small_molecules(rng: np.random.Generator) -> list[Atoms]:
    """Return closed-shell molecules of the test split, without those of more than 12 atoms."""
    test = shipped_molecules().of_split("test").molecules
    return test[rng.permutation(np.flatnonzero((test.n_atoms <= 12).numpy()))].to_ase()


def dimer(molecules: Sequence[Atoms], rng: np.random.Generator) -> Atoms:
    first, second = (turned(molecules[i], rng) for i in rng.integers(len(molecules), size=2))
    return first + placed(first, second, unit(rng), float(rng.uniform(1.7, 4.5)))


def few(molecules: Sequence[Atoms], rng: np.random.Generator) -> list[Atoms]:
    """Return three molecules or more, of some thirty atoms at most."""
    drawn = [molecules[i] for i in rng.integers(len(molecules), size=8)]
    fitting = int((np.cumsum([len(one) for one in drawn]) <= ATOMS).sum())
    return drawn[: max(3, fitting)]


def random_clusters(elements: Sequence[int], rng: np.random.Generator) -> MoleculeBatch:
    """Return clusters of random atoms behind the guard."""
    arrays = []
    for _ in range(RANDOM):
        n = int(rng.integers(SMALLEST, LARGEST + 1))
        numbers = np.sort(rng.choice(elements, n))[::-1]
        arrays.append((numbers, grow(numbers, Rules().clash_fraction, rng)))
    return MoleculeBatch.from_arrays(arrays)


def apart(molecules: MoleculeBatch) -> MoleculeBatch:
    """Return the molecules without those that have two atoms in nearly one place."""
    near = molecules.neighbors(0.3).pairs[0]
    clashing = torch.zeros(len(molecules), dtype=torch.bool)
    clashing[molecules.molecule[near]] = True
    return molecules[~clashing]


def distorted(path: str, elements: Sequence[int], rng: np.random.Generator) -> MoleculeBatch:
    """Return molecules of QM7 with shaken atoms."""
    molecules = read_molecules(path)
    foreign = ~torch.isin(molecules.numbers, torch.tensor(elements))
    known = np.flatnonzero(molecules.sum_atoms(foreign.long()).numpy() == 0)
    drawn = molecules[rng.permutation(known)[:DISTORTED]].to_ase()
    for one in drawn:
        one.positions += rng.normal(scale=SHAKEN, size=one.positions.shape)
    return MoleculeBatch.from_ase(drawn)

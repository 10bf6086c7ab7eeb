"""The molecules that structures are made of: from a molecule set, or named by their SMILES."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ase.data import atomic_numbers
from rdkit import Chem

from molrl.chemistry.molecule_set import MoleculeSet, shipped_molecules
from molrl.errors import InputError
from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.draws import stream
from molrl.fitting.data.labels import Progress
from molrl.fitting.data.large import make_large
from molrl.fitting.data.relaxing import relax_all
from molrl.structures.species import (
    ENOLS,
    EVERYWHERE,
    FLAT,
    HYPERVALENT,
    SOLVENTS,
    embed_species,
)
from molrl.structures.structure import Structure, to_batch, to_structures

_SMALL = 4  # heavy atoms; half of the molecules at most are as small
_FMAX = 0.05  # eV/Å
_MAX_STEPS = 60  # enough for a conformer of a force field; what is left is small
_LARGE = 16  # heavy atoms of a molecule whose torsions are turned, at most
_PARTS = ("solvents", "flat")  # which are labelled as parts of complexes only
_TURNS = 80  # torsions for each large molecule


@dataclass(frozen=True)
class Bases:
    """Relaxed molecules that structures are made of.

    Attributes:
        molecules: of the molecule set, one or more.
        everywhere: the smallest common molecules, the partners of most complexes.
        solvents: other common partners.
        flat: aromatic molecules.
        reactive: hypervalent species, enols and the like.
        large: molecules of 10 to 16 heavy atoms.
    """

    molecules: Sequence[Structure]
    everywhere: Sequence[Structure] = ()
    solvents: Sequence[Structure] = ()
    flat: Sequence[Structure] = ()
    reactive: Sequence[Structure] = ()
    large: Sequence[Structure] = ()


def prepare_bases(config: DataConfig, held_out: Collection[str], progress: Progress) -> Bases:
    """Choose, embed and relax the molecules that the structures of a config are made of.

    Those named by their SMILES, and the large ones, are as many as structures are asked for at
    most; none of them is held out, except for common parts of complexes, without which no complex
    would have them. The rest is empty where no kind needs it.

    Args:
        config: what to make.
        held_out: identities of molecules that nothing is made of.
        progress: called with how far it is.

    Raises:
        InputError: if there is no molecule set, or nothing is left of it.
    """
    molecules = starting_molecules(config, held_out)
    counts = config.counts
    complexes = counts.dimers + counts.clusters
    wanted = {
        "everywhere": (EVERYWHERE, complexes + counts.reactions),
        "solvents": (SOLVENTS, complexes),
        "flat": (FLAT, counts.dimers),
        "reactive": (HYPERVALENT + ENOLS, counts.reactions),
    }
    elements = [atomic_numbers[symbol] for symbol in config.elements]
    species = {
        name: embed_species(smiles, elements, () if name in _PARTS else held_out)[:count]
        for name, (smiles, count) in wanted.items()
        if count
    }
    n_large = -(-counts.torsions // _TURNS)
    species["large"] = make_large(config, molecules, held_out, (n_large, _LARGE), progress)
    known = {molecule.identity: molecule for molecule in molecules}
    new = [s for found in species.values() for s in found if s.identity not in known]
    known |= {molecule.identity: molecule for molecule in _relax(new, progress)}
    chosen = {
        name: [known[s.identity] for s in found if s.identity in known]
        for name, found in species.items()
    }
    return Bases(molecules=molecules, **chosen)


def _relax(structures: Sequence[Structure], progress: Progress) -> list[Structure]:
    """The structures at a minimum of GFN2-xTB, or near it, without those that failed."""
    if not structures:
        return []
    results = relax_all(to_batch(structures), _FMAX, [_MAX_STEPS] * len(structures), progress)
    return [
        s.at(result[0], "relaxed")
        for s, result in zip(structures, results, strict=True)
        if not isinstance(result, str)
    ]


def starting_molecules(config: DataConfig, held_out: Collection[str]) -> list[Structure]:
    """Choose the molecules of the set that all kinds start from.

    Up to half of them are small, the smallest first; the seed chooses the others.

    Args:
        config: the set, and what to choose from it.
        held_out: identities of molecules that are not chosen.

    Returns:
        Structures of kind ``relaxed``.

    Raises:
        InputError: if there is no such set, or nothing is left of it.
    """
    given = config.molecules
    molecules = shipped_molecules() if given is None else MoleculeSet.load(given)
    group = None if config.holding is None else Chem.MolFromSmarts(config.holding)
    known = {1, *(atomic_numbers[symbol] for symbol in config.elements)}
    batch = molecules.molecules
    found = [
        structure
        for structure in to_structures(batch, "relaxed", molecules.identities)
        if known.issuperset(structure.numbers.tolist())
        and (structure.numbers > 1).sum() <= config.max_heavy
        and structure.identity not in held_out
        and (group is None or Chem.MolFromSmiles(structure.identity).HasSubstructMatch(group))
    ]
    if not found:
        raise InputError(
            f"molecules: nothing in {given or 'the shipped set'} has {', '.join(config.elements)} "
            f"only, up to {config.max_heavy} heavy atoms"
            + (f", holds {config.holding}" if config.holding else "")
            + ", and is not held out"
        )
    found = [found[i] for i in stream(config, "relaxed", 0).permutation(len(found))]
    heavy = [int((s.numbers > 1).sum()) for s in found]
    small = sorted((i for i, n in enumerate(heavy) if n <= _SMALL), key=lambda i: heavy[i])
    large = [i for i, n in enumerate(heavy) if n > _SMALL]
    n = config.counts.relaxed
    n_small = max(n // 2, n - len(large))
    chosen = small[:n_small]
    chosen += large[: n - len(chosen)]
    return [found[i] for i in chosen]

"""Draws of complexes, whose molecules are of one split."""

from molrl.chemistry.molecule_set import SPLITS, shipped_molecules, split_of
from molrl.energy import load_energy
from molrl.fitting.data.complexes import ComplexDraws
from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.labels import label
from molrl.fitting.data.starting import Bases
from molrl.structures.structure import to_structures


def test_complexes_are_of_molecules_of_one_split_which_is_theirs():
    chosen = [m for name in SPLITS for m in small_of(name)[:6]]
    bases = Bases(chosen, everywhere=[m for m in small_of("train") if m.identity == "O"])
    draws = ComplexDraws(DataConfig(output="unused.npz", seed=0), bases)
    drawn = [*draws.dimers(120), *draws.clusters(30)]
    for structure in drawn:
        own = {split_of(name) for name in structure.identity.split(".") if name != "O"}
        assert own in (set(), {structure.split}), structure.identity
    assert {structure.split for structure in drawn} == {None, *SPLITS}
    data = label(drawn[:20], load_energy("gfn2"), 400.0, lambda *_: None)[0]
    splits = [SPLITS[i] for i in data.split.tolist()]
    wanted = {s.identity: s.split or split_of(s.identity) for s in drawn}
    assert splits == [wanted[data.identities[i]] for i in data.identity.tolist()]


def small_of(split):
    """Return structures of the shipped molecules of a split, of up to four heavy atoms."""
    known = shipped_molecules().of_split(split)
    found = to_structures(known.molecules, "relaxed", known.identities)
    return [m for m in found if (m.numbers > 1).sum() <= 4]

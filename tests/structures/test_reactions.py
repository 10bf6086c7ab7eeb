import numpy as np

from molrl.bags import Bag
from molrl.structures.complexes import draw_dimer
from molrl.structures.reactions import move_hydrogen, stretch_bond
from molrl.structures.species import ENOLS, EVERYWHERE, FLAT, HYPERVALENT, SOLVENTS, embed_species
from molrl.structures.structure import NEAREST, distances, find_bonds


def test_stretch_bond_moves_one_side_rigidly(shipped):
    methanol = shipped["CO"]
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(200):
        moved = stretch_bond(methanol, rng)
        if moved is None:
            continue
        assert moved.kind == "reaction"
        assert distances(moved.positions).min() > NEAREST
        shift = moved.positions - methanol.positions
        assert len(np.unique(shift.round(9), axis=0)) == 2
        bonded = find_bonds(methanol)
        ratio = distances(moved.positions)[bonded] / distances(methanol.positions)[bonded]
        changed = ratio[~np.isclose(ratio, 1)]
        assert len(changed) == 2  # one bond, both ways
        ratios.append(changed[0])
    assert 0.8 <= min(ratios) < 0.9
    assert 2.6 < max(ratios) <= 3.0


def test_stretch_bond_refuses_a_ring(shipped):
    rng = np.random.default_rng(0)
    cyclopropane = shipped["C1CC1"]
    made = [stretch_bond(cyclopropane, rng) for _ in range(60)]
    assert any(structure is None for structure in made)
    carbon = np.flatnonzero(cyclopropane.numbers == 6)
    for structure in (s for s in made if s is not None):
        kept = distances(structure.positions[carbon])
        assert np.allclose(kept, distances(cyclopropane.positions[carbon]))


def test_move_hydrogen_ends_between_donor_and_acceptor():
    (enol,) = embed_species([r"O/C=C\C=O"], [6, 8], ())
    rng = np.random.default_rng(0)
    made = [s for s in (move_hydrogen(enol, rng) for _ in range(100)) if s is not None]
    assert len(made) > 20
    for structure in made:
        assert structure.kind == "reaction"
        shift = np.linalg.norm(structure.positions - enol.positions, axis=-1)
        (h,) = np.flatnonzero(shift)
        assert enol.numbers[h] == 1
        assert distances(structure.positions)[h].min() >= 0.6


def test_move_hydrogen_crosses_a_hydrogen_bond(shipped):
    rng = np.random.default_rng(0)
    nearest = []
    for _ in range(200):
        moved = move_hydrogen(draw_dimer(shipped["O"], shipped["N"], rng), rng)
        if moved is not None:
            assert moved.part is None
            assert Bag(moved.numbers).formula == "H5NO"
            h = moved.numbers == 1
            nearest.append(distances(moved.positions)[moved.numbers == 7][:, h].min())
    assert len(nearest) > 10
    assert move_hydrogen(shipped["C"], rng) is None


def test_embed_species_knows_all_lists():
    elements = (6, 7, 8, 9, 16)
    for names in (EVERYWHERE, SOLVENTS, FLAT, HYPERVALENT, ENOLS):
        made = embed_species(names, elements, ())
        assert len(made) >= len(names) - 4  # a few name one molecule twice
        assert all(np.isfinite(s.positions).all() for s in made)
    assert {s.identity for s in embed_species(EVERYWHERE, elements, {"O"})}.isdisjoint({"O"})
    only = embed_species(EVERYWHERE, [6], ())
    assert {z for s in only for z in s.numbers.tolist()} == {1, 6}

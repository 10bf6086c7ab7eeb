import numpy as np
import pytest
from ase.data import covalent_radii

from molrl.bags import Bag
from molrl.structures.crowds import (
    crowd_canvas,
    draw_chain,
    draw_crowd,
    draw_ligands,
    pack_atoms,
    surround,
)
from molrl.structures.structure import distances

ELEMENTS = [1, 6, 7, 8, 9, 16]
GUARD = 0.65


def nearest_share(structure):
    radii = covalent_radii[structure.numbers]
    return (distances(structure.positions) / (radii[:, None] + radii)).min()


def test_draw_crowd_keeps_the_guard_and_names_the_composition(shipped):
    rng = np.random.default_rng(0)
    molecules = [shipped["CC(C)O"], shipped["CS(C)(=O)=O"], shipped["c1ccoc1"]]
    drawn = [draw_crowd(molecules[i % 3], ELEMENTS, rng, GUARD) for i in range(300)]
    made = [crowd for crowd in drawn if crowd is not None]
    assert len(made) > 280
    for crowd in made:
        assert crowd.kind == "crowd"
        assert nearest_share(crowd) >= GUARD - 1e-9
        if crowd.identity not in shipped:
            assert crowd.identity == f"crowd:{Bag(crowd.numbers).formula}"
    assert {len(crowd) for crowd in made} >= set(range(4, 15))
    assert min(map(nearest_share, made)) < 0.7


@pytest.mark.parametrize("number", [1, 6, 9, 16])
@pytest.mark.parametrize("n", [4, 14])
def test_surround_puts_ligands_on_all_sides(number, n):
    rng = np.random.default_rng(n)
    for ligand in (1, 9):
        crowd = surround(number, np.full(n, ligand), rng, GUARD)
        assert crowd.numbers.tolist() == [number, *[ligand] * n]
        assert nearest_share(crowd) >= GUARD - 1e-9
        directions = crowd.positions[1:] / np.linalg.norm(crowd.positions[1:], axis=1)[:, None]
        assert np.linalg.norm(directions.mean(0)) < 0.35
        away = crowd.positions[1:] / (covalent_radii[number] + covalent_radii[ligand])
        assert np.linalg.norm(away, axis=1).min() >= 0.65 - 1e-9


def test_crowd_canvas_adds_atoms_about_one(shipped):
    rng = np.random.default_rng(0)
    molecule = shipped["CCCO"]
    made = [crowd_canvas(molecule, ELEMENTS, rng, GUARD) for _ in range(40)]
    made = [crowd for crowd in made if crowd is not None]
    assert len(made) > 25
    for crowd in made:
        assert crowd.identity == "CCCO"
        gaps = np.linalg.norm(crowd.positions[:, None] - molecule.positions, axis=-1).min(1)
        old = np.flatnonzero(gaps == 0)
        assert 2 <= len(old) < len(crowd) - 2
        assert nearest_share(crowd) >= GUARD - 1e-9


def test_pack_atoms_gives_dense_clusters():
    numbers = np.array([6, 1, 1, 8, 9, 16, 7, 1, 1, 6, 6, 8, 9])
    crowd = pack_atoms(numbers, np.random.default_rng(0), GUARD)
    assert np.array_equal(crowd.numbers, numbers)
    assert nearest_share(crowd) >= GUARD - 1e-9
    assert distances(crowd.positions).min(1).max() < 3.5


@pytest.mark.parametrize("guard", [0.65, 0.8])
def test_draw_chain_is_of_one_element(guard):
    rng = np.random.default_rng(0)
    for number in ELEMENTS:
        chain = draw_chain(number, rng, guard)
        assert set(chain.numbers.tolist()) == {number}
        assert 3 <= len(chain) <= 12
        assert nearest_share(chain) >= guard - 1e-9


def test_draw_ligands_are_mostly_hydrogen_and_fluorine():
    rng = np.random.default_rng(0)
    drawn = np.concatenate([draw_ligands(10, ELEMENTS, rng) for _ in range(200)])
    assert np.isin(drawn, [1, 9]).mean() > 0.85
    assert {6, 7, 8, 16} <= set(drawn.tolist())
    assert set(draw_ligands(50, [1, 6], rng).tolist()) <= {1, 6}

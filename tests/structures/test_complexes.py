import numpy as np
import pytest

from molrl.chemistry.molecule_set import split_of
from molrl.energy import load_energy
from molrl.structures.clusters import build_cluster, draw_cluster_size
from molrl.structures.complexes import (
    contact_shares,
    draw_dimer,
    is_flat,
    join_molecules,
    move_into_contact,
    point_at_plane,
    put_in_contact,
    scan_dimer,
    stack,
)
from molrl.structures.hydrogen_bonds import (
    bond_by_hydrogen,
    bond_twice,
    find_acceptors,
    find_donors,
    find_side_by_side,
)
from molrl.structures.structure import NEAREST, distances, to_batch

PAIRS = [("O", "O"), ("CCO", "O"), ("C", "F"), ("c1ccccc1", "N"), ("OC=O", "NC=O"), ("[H][H]", "S")]


def of(shipped, name):
    return shipped[{"OC=O": "O=CO"}.get(name, name)]


def halves(dimer):
    return [dimer.only(np.flatnonzero(dimer.part == i), dimer.kind) for i in (0, 1)]


def same_shape(structure, molecule):
    return np.allclose(distances(structure.positions), distances(molecule.positions), atol=1e-6)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_draw_dimer_places_both_molecules_whole_and_without_overlap(shipped, pair):
    a, b = (of(shipped, name) for name in pair)
    rng = np.random.default_rng(0)
    for _ in range(60):
        dimer = draw_dimer(a, b, rng)
        assert dimer.kind == "dimer"
        assert distances(dimer.positions).min() > NEAREST
        first, second = halves(dimer)
        assert 0.57 < contact_shares(first, second).min() < 2.2 + 1e-6
        assert {first.identity, second.identity} == {dimer.identity}
        whole = sorted([a, b], key=len)
        for part, molecule in zip(sorted([first, second], key=len), whole, strict=True):
            assert sorted(part.numbers.tolist()) == sorted(molecule.numbers.tolist())
            assert same_shape(part, molecule)


def test_draw_dimer_covers_near_and_far_contacts(shipped):
    rng = np.random.default_rng(0)
    drawn = [draw_dimer(shipped["C"], shipped["C=O"], rng) for _ in range(300)]
    shares = np.array([contact_shares(*halves(dimer)).min() for dimer in drawn])
    parts = [((low <= shares) & (shares < high)).mean() for low, high in ((0.6, 0.75), (1.3, 2.21))]
    assert parts == pytest.approx([0.15, 0.25], abs=0.07)


def test_join_molecules_takes_the_identity_of_the_largest_first(shipped):
    rng = np.random.default_rng(0)
    dimers = [put_in_contact(shipped["O"], shipped["CCO"], 1.0, rng) for _ in range(2)]
    assert [dimer.identity for dimer in dimers] == ["CCO.O", "CCO.O"]
    three = join_molecules([shipped["O"], shipped["C"], shipped["CCO"]], "cluster")
    assert three.identity == "CCO.C.O"
    assert three.part.tolist() == [0] * 3 + [1] * 5 + [2] * 9
    assert split_of(join_molecules([shipped["O"]] * 2, "dimer").identity) == "train"


def test_move_into_contact_meets_the_nearest_pair_at_the_share(shipped):
    water, methane = shipped["O"], shipped["C"]
    moved = move_into_contact(water, methane, np.array([0.0, 0.0, 1.0]), 0.9)
    assert contact_shares(water, moved).min() == pytest.approx(0.9)
    aside = methane.at(methane.positions + np.array([30.0, 0, 0]), "relaxed")
    assert move_into_contact(water, aside, np.array([0.0, 0.0, 1.0]), 0.9) is None


def test_bond_by_hydrogen_points_a_donor_to_a_lone_pair(shipped):
    water, formaldehyde = shipped["O"], shipped["C=O"]
    oxygen = int(np.flatnonzero(formaldehyde.numbers == 8)[0])
    rng = np.random.default_rng(0)
    angles = []
    for _ in range(50):
        placed = bond_by_hydrogen(water, formaldehyde, rng)
        gaps = np.linalg.norm(placed.positions - formaldehyde.positions[oxygen], axis=-1)
        h = int(np.flatnonzero(placed.numbers == 1)[gaps[placed.numbers == 1].argmin()])
        assert 1.6 <= gaps[h] <= 2.4
        x = placed.positions[placed.numbers == 8][0] - placed.positions[h]
        y = formaldehyde.positions[oxygen] - placed.positions[h]
        angles.append(np.degrees(np.arccos(x @ y / np.linalg.norm(x) / np.linalg.norm(y))))
        assert same_shape(placed, water)
    assert np.mean(angles) > 150
    assert bond_by_hydrogen(shipped["C"], water, rng) is None
    assert len(find_donors(shipped["CO"])) == 1
    assert find_acceptors(shipped["C"]).size == 0


def test_hydrogen_bonded_dimers_attract(shipped):
    water = shipped["O"]
    rng = np.random.default_rng(0)
    placed = [bond_by_hydrogen(water, water, rng) for _ in range(5)]
    dimers = [join_molecules([donor, water], "dimer") for donor in placed]
    energy = load_energy("gfn2").evaluate(to_batch([*dimers, water])).energy
    assert (energy[:-1] - 2 * energy[-1]).median() < -0.05  # eV


def test_stack_keeps_planes_parallel(shipped):
    benzene = shipped["c1ccccc1"]
    assert is_flat(benzene)
    assert not is_flat(shipped["C1CCOC1"])
    assert not is_flat(shipped["C=C"])
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = halves(stack(benzene, benzene, rng))
        assert np.abs(first.positions[:, 2]).max() < 0.02
        assert 3.18 <= second.positions[:, 2].min() <= second.positions[:, 2].max() <= 4.02
        assert np.linalg.norm(second.positions.mean(0)[:2]) <= 2.6
        assert same_shape(second, benzene)


def test_scan_dimer_moves_one_molecule_along_a_line(shipped):
    rng = np.random.default_rng(3)
    dimer = draw_dimer(shipped["O"], shipped["CO"], rng)
    points = scan_dimer(dimer, rng)
    assert len(points) == 8
    shares = [contact_shares(*halves(point)).min() for point in points]
    assert shares == sorted(shares)
    assert shares[0] < 0.75
    assert shares[-1] > 1.75
    shifts = np.array([halves(point)[1].positions[0] for point in points])
    assert np.linalg.matrix_rank(shifts - shifts[0], tol=1e-6) == 1
    assert all(np.array_equal(point.part, dimer.part) for point in points)


@pytest.mark.parametrize("names", [["O"] * 12, ["CCO", *["O"] * 5], ["C", "N", "CO"]], ids=str)
def test_build_cluster_packs_whole_molecules(shipped, names):
    molecules = [shipped[name] for name in names]
    cluster = build_cluster(molecules, np.random.default_rng(0))
    assert cluster.kind == "cluster"
    assert len(cluster) == sum(map(len, molecules))
    for i, molecule in enumerate(molecules):
        atoms = np.flatnonzero(cluster.part == i)
        assert same_shape(cluster.only(atoms, ""), molecule)
        others = cluster.only(np.flatnonzero(cluster.part != i), "")
        assert 0.57 < contact_shares(cluster.only(atoms, ""), others).min() <= 1.03


def test_build_cluster_is_about_as_dense_as_water(shipped):
    rng = np.random.default_rng(0)
    cluster = build_cluster([shipped["O"]] * 20, rng)
    oxygen = cluster.positions[cluster.numbers == 8]
    gyration = np.sqrt(((oxygen - oxygen.mean(0)) ** 2).sum(1).mean())
    volume = 4 / 3 * np.pi * (gyration * np.sqrt(5 / 3) + 1.2) ** 3
    assert 0.4 < 20 * 30 / volume < 1.3  # 30 Å³ a molecule in the liquid


def test_draw_cluster_size_is_mostly_below_ten():
    rng = np.random.default_rng(0)
    sizes = np.array([draw_cluster_size(rng) for _ in range(500)])
    assert (sizes.min(), sizes.max()) == (3, 20)
    assert 0.7 < (sizes < 10).mean() < 0.9


def test_bond_twice_brings_two_hydrogens_to_two_acceptors(shipped):
    amide = of(shipped, "NC=O")
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(50):
        placed = bond_twice(amide, amide, rng)
        gaps = np.linalg.norm(placed.positions[:, None] - amide.positions, axis=-1)
        polar = gaps[np.ix_(amide.numbers == 1, amide.numbers == 8)].min()
        back = gaps[np.ix_(amide.numbers == 8, amide.numbers == 1)].min()
        assert same_shape(placed, amide)
        lengths.append((polar, back))
    assert 1.4 < np.median(lengths) < 2.5
    assert np.mean(np.max(lengths, axis=1) < 2.9) > 0.7


def test_bond_twice_needs_a_donor_and_an_acceptor_side_by_side(shipped):
    assert bond_twice(shipped["C"], of(shipped, "NC=O"), np.random.default_rng(0)) is None
    assert len(find_side_by_side(shipped["O"])) == 0
    assert len(find_side_by_side(of(shipped, "OC=O"))) == 1


def test_point_at_plane_lays_a_hydrogen_above_a_ring(shipped):
    ring, water = shipped["c1ccccc1"], shipped["O"]
    rng = np.random.default_rng(0)
    drawn = [point_at_plane(ring, water, rng) for _ in range(40)]
    dimers = [dimer for dimer in drawn if dimer is not None]
    assert len(dimers) > 20
    for dimer in dimers:
        first, second = halves(dimer)
        heavy = first.positions[first.numbers == 6]
        normal = np.linalg.svd(heavy - heavy.mean(0))[2][2]
        heights = np.abs((second.positions - heavy.mean(0)) @ normal)
        assert 2.0 < heights.min() < 3.5
        assert second.numbers[heights.argmin()] == 1

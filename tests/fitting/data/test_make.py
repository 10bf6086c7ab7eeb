from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.data import atomic_numbers
from rdkit import Chem

from molrl.chemistry.embedding import from_smiles
from molrl.chemistry.identity import canonical_smiles
from molrl.chemistry.molecule_set import SPLITS, shipped_molecules, split_of
from molrl.energy import load_energy
from molrl.energy.lower_bound import evaluate_or_bound
from molrl.errors import InputError
from molrl.files import write_sdf
from molrl.fitting.data.config import DataConfig, KindCounts
from molrl.fitting.data.held_out import read_identities
from molrl.fitting.data.labels import SEPARATED, label
from molrl.fitting.data.make import draw_structures, make_dataset
from molrl.fitting.data.starting import starting_molecules
from molrl.molecules import MoleculeBatch
from molrl.runs.config import load_config, parse_config
from molrl.structures.build import make_pair
from molrl.structures.species import FLAT, SOLVENTS
from molrl.structures.structure import Structure, to_structures

COUNTS = KindCounts(
    relaxed=40,
    distorted=30,
    twisted=20,
    half_built=30,
    placed=30,
    clash=30,
    fragments=20,
    pair=20,
    random_walks=30,
    partially_relaxed=15,
)


def quiet(what, done, total):
    assert 0 < done <= total


def stretched_methane():
    """Methane with a hydrogen 5 Å away, whose SCF does not converge at 300 K."""
    atoms = molecule("CH4")
    atoms.set_distance(0, 1, 5.0, fix=0)
    return MoleculeBatch.from_ase(atoms)


@pytest.fixture(scope="module")
def config():
    return DataConfig(output="unused.npz", seed=1, max_heavy=5, counts=COUNTS)


@pytest.fixture(scope="module")
def made(config):
    return make_dataset(config, quiet)


@pytest.fixture(scope="module")
def data(made):
    return made[0]


def test_make_dataset_makes_every_kind(data):
    kinds = {
        "relaxed",
        "distorted",
        "twisted",
        "half-built",
        "placed",
        "clash",
        "fragments",
        "pair",
        "random walk",
        "partially relaxed",
    }
    assert set(data.kinds) == kinds
    for kind in data.kinds:
        assert data.of_kind(kind).sum() >= 8, kind


def test_starting_molecules_holds_the_substructure():
    sulfonyl = Chem.MolFromSmarts("S(=O)=O")
    config = DataConfig(output="unused.npz", holding="S(=O)=O", counts=KindCounts(relaxed=1000))
    found = starting_molecules(config, ())
    assert len(found) >= 5
    assert all(Chem.MolFromSmiles(s.identity).HasSubstructMatch(sulfonyl) for s in found)
    with pytest.raises(InputError, match=r"holding: 'S\(' is not a valid SMARTS"):
        parse_config({"output": "unused.npz", "holding": "S("}, DataConfig, "config")
    with pytest.raises(InputError, match="is not held out"):
        starting_molecules(config, [s.identity for s in found])


def test_make_dataset_refuses_an_unsuitable_reference_before_drawing(config):
    for changed, message in (
        ({"reference": "gfn3"}, "did you mean 'gfn2'"),
        ({"reference": "mace", "elements": ("C", "Cl")}, "elements: mace does not know Cl"),
    ):
        with pytest.raises(InputError, match=message):
            make_dataset(config.model_copy(update=changed), never)


def never(*_):
    raise AssertionError("nothing is to be made")


def test_make_dataset_counts_dropped_structures(made):
    data, dropped = made
    drawn = sum(COUNTS.model_dump().values())
    lost = dropped.failed.total() + dropped.large_force.total() + dropped.not_made.total()
    assert len(data) + lost == drawn
    assert dropped.large_force["clash"] > 0


def test_make_dataset_gives_the_same_data_for_the_same_config(config, data):
    again, _ = make_dataset(config, quiet)
    assert torch.equal(again.molecules.numbers, data.molecules.numbers)
    assert again.identities == data.identities
    # Partially relaxed ones have gone up to 12 steps downhill by forces of another SCF.
    torch.testing.assert_close(
        again.molecules.positions, data.molecules.positions, atol=1e-4, rtol=0
    )
    low_force = data.largest_force() < 20  # eV/Å: 1e-4 Å changes the energy by little
    assert low_force.double().mean() > 0.5
    torch.testing.assert_close(again.energy[low_force], data.energy[low_force], atol=1e-2, rtol=0)


def test_make_dataset_splits_are_disjoint_in_identity(data):
    for i in range(len(data.identities)):
        assert len(set(data.split[data.identity == i].tolist())) <= 1
    for identity, split in zip(data.identity.tolist(), data.split.tolist(), strict=True):
        assert SPLITS[split] == split_of(data.identities[identity])


def test_make_dataset_labels_are_of_the_stored_positions(data):
    part = data[::7]
    out = load_energy("gfn2").evaluate(part.molecules, forces=True)
    known = torch.isfinite(out.energy)
    for i in torch.nonzero(~known & ~part.bound).flatten().tolist():
        assert part.molecules.n_atoms[i] == 2
        assert part.molecules[i].positions.diff(dim=0).norm() > SEPARATED
    assert torch.allclose(out.energy[known], part.energy[known], atol=1e-5)


def test_make_dataset_forces_are_the_negative_gradient(data):
    chosen = torch.nonzero(
        data.of_kind("distorted") & (data.largest_force() < 30) & (data.molecules.n_atoms > 3)
    ).flatten()[:4]
    step = 1e-3
    for molecules, forces in ((data[[i]].molecules, data[[i]].forces) for i in chosen.tolist()):
        ((numbers, positions),) = molecules.arrays()
        moved = []
        for sign in (1, -1):
            shifted = positions.copy()
            shifted[1, 2] += sign * step
            moved.append((numbers, shifted))
        up, down = load_energy("gfn2").evaluate(MoleculeBatch.from_arrays(moved)).energy.tolist()
        assert -(up - down) / (2 * step) == pytest.approx(float(forces[1, 2]), abs=0.02)


def test_starting_molecules_follow_the_seed_and_half_are_small(config):
    def chosen(n, seed=1, **keys):
        counts = COUNTS.model_copy(update={"relaxed": n})
        changed = {"seed": seed, "counts": counts, "max_heavy": 9, **keys}
        return starting_molecules(config.model_copy(update=changed), frozenset())

    heavy = np.array([(s.numbers > 1).sum() for s in chosen(60)])
    assert ((heavy <= 4).sum(), (heavy > 4).sum()) == (30, 30)
    assert [s.identity for s in chosen(60)] == [s.identity for s in chosen(60)]
    assert {s.identity for s in chosen(60)} != {s.identity for s in chosen(60, seed=2)}
    only = chosen(10**6, elements=("C", "O"), max_heavy=3)
    assert {z for s in only for z in s.numbers.tolist()} == {1, 6, 8}
    assert max((s.numbers > 1).sum() for s in only) == 3


def test_make_dataset_relaxed_molecules_have_small_forces(data):
    relaxed = data[data.of_kind("relaxed")]
    assert relaxed.largest_force().max() < 0.06
    assert len(set(relaxed.identity.tolist())) == len(relaxed)


def test_make_dataset_keeps_to_the_largest_force(data, config):
    assert data.largest_force().max() <= config.max_force


def test_make_dataset_random_walks_keep_the_guard(data, config):
    from ase.data import covalent_radii

    walks = data[data.of_kind("random walk")]
    for numbers, positions in walks.molecules.arrays():
        gaps = np.linalg.norm(positions[:, None] - positions, axis=-1)
        radii = covalent_radii[numbers]
        shares = gaps / (radii[:, None] + radii)
        assert shares[np.triu_indices(len(gaps), 1)].min() >= config.guard - 1e-5


def test_label_gives_a_separated_pair_the_energy_of_two_atoms():
    reference = load_energy("gfn2")
    isolated = reference.atom_energies()
    data, dropped = label([make_pair([1, 6], 5.0)], reference, 400.0, quiet)
    assert dropped.failed.total() == 0
    assert float(data.energy[0]) == pytest.approx(isolated[1] + isolated[6], abs=0.1)
    assert data.forces.abs().max() < 0.1
    assert not data.site_energy.any()
    assert not data.dipole.any()


def test_label_keeps_a_lower_bound_where_the_scf_does_not_converge():
    molecules = stretched_methane()
    (structure,) = to_structures(molecules, "fragments", ["C"])
    data, dropped = label([structure], load_energy("gfn2"), 400.0, quiet)
    assert dropped.failed.total() == 0
    assert data.bound.tolist() == [True]
    output, _ = evaluate_or_bound(load_energy("gfn2"), data.molecules)
    assert float(data.energy[0]) == pytest.approx(float(output.energy[0]), abs=1e-4)
    assert not data.forces.any()
    assert data.site_energy.isnan().all()
    assert data.dipole.isnan().all()


def test_label_gives_site_energies_and_dipoles():
    structures = [make_pair([1, 9], 0.92), make_pair([1, 6], 5.0)]
    data, _ = label(structures, load_energy("gfn2"), 400.0, quiet)
    isolated = load_energy("gfn2").isolated_energy(data.molecules)
    of_sites = data.molecules.sum_atoms(data.site_energy)
    assert of_sites.tolist() == pytest.approx((data.energy - isolated).tolist(), abs=1e-4)
    assert data.dipole[0].norm() > 0.3
    assert not data.bound.any()


def test_label_computes_the_interaction_of_parts():
    reference = load_energy("gfn2")
    numbers = np.array([8, 1, 1, 8, 1, 1])  # a water dimer, with a hydrogen bond to atom 3
    positions = np.array(
        [
            [0, 0, 0],
            [0.96, 0, 0],
            [-0.24, 0.93, 0],
            [2.9, 0, 0],
            [3.2, 0.5, 0.76],
            [3.2, 0.5, -0.76],
        ]
    )
    whole = Structure(numbers, positions, "dimer", "O.O", part=np.array([0, 0, 0, 5, 5, 5]))
    alone = whole.only([0, 1, 2], "water"), whole.only([3, 4, 5], "water")
    charged = replace(whole, charge=1)
    data, _ = label([whole, *alone, charged], reference, 400.0, quiet)
    assert data.part.tolist() == [0, 0, 0, 1, 1, 1] + [0] * 6 + [0, 0, 0, 1, 1, 1]
    assert data.interaction[1:].isnan().all()
    wanted = float(data.energy[0] - data.energy[1] - data.energy[2])
    assert -0.4 < wanted < -0.1
    assert float(data.interaction[0]) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        *("data", "small", "soft", "sulfur", "built", "reference-data"),
        *("complexes", "torsions", "large", "crowds"),
    ],
)
def test_make_dataset_makes_what_a_shipped_config_asks_for(name):
    path = Path(__file__).parents[3] / "experiments" / "energy" / f"{name}.yaml"
    shipped = load_config(path, [], DataConfig)
    few = 4 if name in ("complexes", "large") else 8  # large structures take their time
    counts = {kind: min(count, few) for kind, count in shipped.counts.model_dump().items()}
    config = shipped.model_copy(update={"counts": KindCounts(**counts)})
    data, _ = make_dataset(config, quiet)
    wanted = {kind for kind, n in config.counts.by_kind().items() if n}
    if name in ("complexes", "large"):  # whose kinds keep their names when partially relaxed
        wanted.remove("partially relaxed")
    assert set(data.kinds) == wanted
    known = {1, *(atomic_numbers[symbol] for symbol in config.elements)}
    assert known.issuperset(data.molecules.numbers.tolist())
    relaxed = data[data.of_kind("relaxed")].molecules
    heavy = relaxed.sum_atoms((relaxed.numbers > 1).long())
    assert 0 < heavy.max() <= config.max_heavy


NEW = KindCounts(
    **dict.fromkeys(KindCounts.model_fields, 0)
    | {"relaxed": 60, "dimers": 40, "clusters": 4, "torsions": 30, "reactions": 30, "crowds": 20}
    | {"large": 3, "distorted_large": 4}
)


@pytest.fixture(scope="module")
def drawn():
    config = DataConfig(output="unused.npz", seed=1, max_heavy=5, counts=NEW)
    return draw_structures(config, frozenset(), quiet)


def test_draw_structures_makes_as_many_as_asked_for(drawn):
    counts = Counter(structure.kind for structure in drawn)
    wanted = {kind: n for kind, n in NEW.by_kind().items() if n}
    assert counts == wanted


def test_draw_structures_marks_the_parts_of_complexes(drawn):
    for structure in drawn:
        if structure.kind in ("dimer", "cluster"):
            n_parts = structure.identity.count(".") + 1
            assert set(structure.part.tolist()) == set(range(n_parts))
            parts = Counter(
                tuple(sorted(structure.numbers[structure.part == i])) for i in range(n_parts)
            )
            mols = [Chem.AddHs(Chem.MolFromSmiles(name)) for name in structure.identity.split(".")]
            assert parts == Counter(
                tuple(sorted(atom.GetAtomicNum() for atom in mol.GetAtoms())) for mol in mols
            )
        else:
            assert structure.part is None


def test_draw_structures_keeps_held_out_molecules_out_of_all_parts(drawn, tmp_path):
    names = ["CCO", "c1ccccc1", "CC(C)=O", "O=CO", "NC=O", "COC", r"O/C=C\C=O"]
    held_out = [canonical_smiles(Chem.MolFromSmiles(name)) for name in names]
    mols = [from_smiles(name, seed=0) for name in names]
    write_sdf(tmp_path / "held-out.sdf", mols)
    parts = {part for structure in drawn for part in structure.identity.split(".")}
    assert parts & set(held_out)  # they are there unless held out
    config = DataConfig(
        output="unused.npz",
        seed=1,
        max_heavy=5,
        held_out=str(tmp_path / "held-out.sdf"),
        counts=NEW.model_copy(
            update={"large": 0, "distorted_large": 0, "torsions": 0, "crowds": 0}
        ),
    )
    structures = draw_structures(config, read_identities(config.held_out, quiet), quiet)
    common = {canonical_smiles(Chem.MolFromSmiles(name)) for name in SOLVENTS + FLAT}
    left = {part for s in structures for part in s.identity.split(".")}
    assert not left & (set(held_out) - common)
    alone = {s.identity for s in structures if "." not in s.identity}
    assert not alone & set(held_out)  # common ones are parts of complexes only


def test_make_dataset_relaxes_complexes_and_keeps_their_kind():
    counts = NEW.model_copy(
        update=dict.fromkeys(("torsions", "reactions", "crowds", "large", "distorted_large"), 0)
        | {"dimers": 6, "clusters": 2, "partially_relaxed": 8}
    )
    config = DataConfig(output="unused.npz", seed=0, max_heavy=3, counts=counts)
    data, dropped = make_dataset(config, quiet)
    assert int(data.of_kind("dimer").sum()) == 12
    assert int(data.of_kind("cluster").sum()) == 4
    assert dropped.not_made.total() == 60 - int(data.of_kind("relaxed").sum())
    dimers = data[data.of_kind("dimer")]
    assert dimers.largest_force()[6:].median() < dimers.largest_force()[:6].median()


def test_data_config_refuses_an_unknown_kind():
    with pytest.raises(InputError, match="walks"):
        parse_config({"output": "a.npz", "counts": {"walks": 3}}, DataConfig, "config")


def test_label_keeps_charge_and_spin():
    reference = load_energy("gfn2")
    corners = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) * 0.6
    numbers, positions = np.array([7, 1, 1, 1, 1]), np.vstack([np.zeros(3), corners])
    neutral = Structure(numbers, positions, "relaxed", "N")
    cation = Structure(numbers, positions, "relaxed", "[NH4+]", charge=1)
    quartet = Structure(numbers, positions, "relaxed", "N", spin=4)
    data, _ = label([neutral, cation, quartet], reference, 400.0, quiet)
    assert data.molecules.charge.tolist() == [0, 1, 0]
    assert data.molecules.spin.tolist() == [2, 1, 4]
    assert data.reference == "gfn2"
    assert data.atomic_energies[1] == pytest.approx(reference.atom_energies()[1])
    alone = MoleculeBatch.from_arrays([(numbers, positions)])
    wanted = reference.evaluate(alone.charged([1])).energy
    assert float(data.energy[1]) == pytest.approx(float(wanted[0]), abs=1e-4)
    assert float(data.energy[1]) - float(data.energy[0]) > 3.0  # eV; it costs to take an electron


def test_starting_molecules_keep_charge_and_spin(config, tmp_path):
    few = shipped_molecules()[[0, 1, 2]]
    ions = replace(few.molecules, charge=torch.tensor([1, -1, 0]), spin=torch.tensor([4, 4, 3]))
    replace(few, molecules=ions).save(tmp_path / "ions.npz")
    changed = {"molecules": str(tmp_path / "ions.npz"), "max_heavy": 9}
    found = starting_molecules(config.model_copy(update=changed), frozenset())
    assert sorted((s.charge, s.spin) for s in found) == [(-1, 4), (0, 3), (1, 4)]

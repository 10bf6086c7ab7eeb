from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation

from molrl.chemistry.bonds import bonded_mols, perceive_bonds, validity
from molrl.chemistry.embedding import from_smiles
from molrl.chemistry.identity import canonical_smiles, parse
from molrl.chemistry.lewis import PerceptionError
from molrl.files import read_molecules, write_sdf
from molrl.molecules import MoleculeBatch

KNOWN = {
    "CH4": "C",
    "CH3OH": "CO",
    "CH3CH2OH": "CCO",
    "CH3OCH3": "COC",
    "H2O": "O",
    "NH3": "N",
    "HCN": "C#N",
    "H2CO": "C=O",
    "HCOOH": "O=CO",
    "CH3CONH2": "CC(N)=O",
    "CH3CN": "CC#N",
    "C2H2": "C#C",
    "C2H4": "C=C",
    "C3H4_D2d": "C=C=C",
    "C3H6_D3h": "C1CC1",
    "C6H6": "c1ccccc1",
    "C5H5N": "c1ccncc1",
    "C4H4NH": "c1cc[nH]c1",
    "C4H4O": "c1ccoc1",
    "bicyclobutane": "C1C2CC12",
    "CO2": "O=C=O",
    "CO": "[C-]#[O+]",
    "CH3NO2": "C[N+](=O)[O-]",
    "N2": "N#N",
    "H2": "[H][H]",
    "H2O2": "OO",
    "N2H4": "NN",
    "CH3SH": "CS",
    "CH3Cl": "CCl",
}
RADICALS = ["CH3", "OH", "NH2", "C2H5", "CH3O", "CCH", "NO", "NO2", "CH2_s1A1d", "H", "O", "C"]


def batch(*images):
    return MoleculeBatch.from_ase(list(images))


def embedded(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    return MoleculeBatch.from_rdkit(mol)


def test_validity_recognises_known_molecules():
    found = validity(batch(*map(molecule, KNOWN)))
    assert dict(zip(KNOWN, found.smiles, strict=True)) == KNOWN
    assert found.valid.all()
    assert set(found.reasons) == {""}
    assert (found.n_fragments == 1).all()


def test_validity_refuses_radicals_and_single_atoms():
    found = validity(batch(*map(molecule, RADICALS)))
    assert not found.valid.any()
    assert all(found.reasons)


@pytest.mark.parametrize("name", ["CH4", "CH3OH", "CH3CONH2", "C6H6", "H2O"])
def test_validity_refuses_a_missing_hydrogen(name):
    whole = molecule(name)
    for i in np.flatnonzero(whole.numbers == 1):
        broken = whole.copy()
        del broken[i]
        assert not validity(batch(broken)).valid[0]


def test_validity_refuses_two_fragments():
    far = molecule("H2O")
    far.positions += 8
    found = validity(batch(molecule("CH4") + far))
    assert not found.valid[0]
    assert found.n_fragments[0] == 2
    assert found.reasons[0] == "2 fragments"
    assert found.smiles == ["C.O"]


@pytest.mark.parametrize(
    ("name", "smiles", "reason"),
    [
        ("CH3", "[CH3]", "1 radical electron"),
        ("NO", "[N]=O", "1 radical electron"),
        ("NO2", "[O]N=O", "1 radical electron"),
        ("CH2_s1A1d", "[CH2]", "2 radical electrons on C: a carbene"),
        ("H", "[H]", "1 radical electron"),
    ],
)
def test_validity_names_radicals_and_carbenes(name, smiles, reason):
    found = validity(batch(molecule(name)))
    assert found.smiles == [smiles]
    assert found.reasons == [reason]


@pytest.mark.parametrize(("name", "scale"), [("H2O", 0.5), ("C2H6", 0.3), ("CH3CHO", 0.3)])
def test_validity_refuses_atoms_that_overlap(name, scale):
    crushed = molecule(name)
    crushed.positions *= scale
    found = validity(batch(crushed))
    assert not found.valid[0]
    assert found.reasons[0].startswith("atoms 0 and 1 overlap")


# Distances of GFN2-xTB minima, Å.
IONIC = {
    "sodium acetate": (
        Atoms(
            "CCOOHHHNa",
            [[0, 0, 0], [1.51, 0, 0], [2.12, 1.11, 0], [2.12, -1.11, 0], [-0.38, 1.02, 0],
             [-0.38, -0.5, 0.88], [-0.38, -0.5, -0.88], [4.0, 0, 0]],
        ),
        "CC(=O)[O][Na]",
        "",
    ),
    "lithium formate": (
        Atoms("COOHLi", [[0, 0, 0], [0.6, 1.1, 0], [0.6, -1.1, 0], [-1.1, 0, 0], [2.1, 0, 0]]),
        "[Li][O]C=O",
        "",
    ),
    "dilithium": (molecule("Li2"), "[Li][Li]", ""),
    "diborane": (
        Atoms(
            "BBHHHHHH",
            [[0.88, 0, 0], [-0.88, 0, 0], [0, 0, 0.97], [0, 0, -0.97], [1.46, 1.03, 0],
             [1.46, -1.03, 0], [-1.46, 1.03, 0], [-1.46, -1.03, 0]],
        ),
        "B[BH3-].[H+]",
        "2 fragments; separated formal charges; a hydrogen between two atoms is bonded to one of "
        "them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IONIC)
def test_validity_of_salts_and_bridges(name):
    atoms, smiles, reason = IONIC[name]
    found = validity(batch(atoms))
    assert found.smiles == [smiles]
    assert found.reasons == [reason]


OCTAHEDRON = np.vstack([np.eye(3), -np.eye(3)])
PENTAGON = np.array([[np.cos(a), np.sin(a), 0.0] for a in 2 * np.pi * np.arange(5) / 5])
TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)


@pytest.mark.parametrize(
    ("formula", "ligands", "smiles"),
    [
        ("IF7", 1.86 * np.vstack([PENTAGON, OCTAHEDRON[[2, 5]]]), "FI(F)(F)(F)(F)(F)F"),
        ("KrF2", 1.89 * OCTAHEDRON[[2, 5]], "F[Kr]F"),
        ("XeF6", 1.94 * OCTAHEDRON, "F[Xe](F)(F)(F)(F)F"),
        ("XeO4", 1.74 * TETRAHEDRON, "O=[Xe](=O)(=O)=O"),
    ],
)
def test_validity_takes_halogens_and_noble_gases_of_high_valence(formula, ligands, smiles):
    found = validity(batch(Atoms(formula, np.vstack([np.zeros(3), ligands]))))
    assert (found.smiles, found.reasons) == ([smiles], [""])


def test_validity_says_that_bonds_to_metals_are_single():
    tetroxide = Atoms("OsOOOO", [[0, 0, 0], *(np.array(TETRAHEDRON) * 0.99)])
    assert (
        validity(batch(tetroxide)).reasons[0].endswith("bonds to metals are taken as single ones")
    )


TETRAHEDRON = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]


def test_validity_refuses_a_diradical():
    found = validity(embedded("[CH2]C[CH2]"))
    assert found.smiles == ["[CH2]C[CH2]"]
    assert found.reasons == ["2 radical electrons"]


def known_bonds():
    """Return molecules at minima of GFN2-xTB, and their SMILES; the bonds of each are known."""
    images = ase.io.read(Path(__file__).with_name("known_bonds.extxyz"), ":")
    return batch(*images), [str(image.info["smiles"]) for image in images]


def test_validity_recognises_every_functional_group():
    molecules, names = known_bonds()
    found = validity(molecules)
    wanted = [canonical_smiles(parse(name)) for name in names]
    wrong = {a: b for a, b in zip(wanted, found.smiles, strict=True) if a != b}
    assert wrong == {}
    radical = [any(a.GetNumRadicalElectrons() for a in mol.GetAtoms()) for mol in found.mols]
    reasons = {r for r, odd in zip(found.reasons, radical, strict=True) if not odd}
    assert reasons == {"", "separated formal charges", "2 unpaired electrons"}


def test_validity_of_every_functional_group_is_independent_of_the_order_of_atoms():
    molecules, _ = known_bonds()
    rng = np.random.default_rng(0)
    shuffled = []
    for numbers, positions in molecules.arrays():
        order = rng.permutation(len(numbers))
        shuffled.append((numbers[order], positions[order]))
    again = MoleculeBatch.from_arrays(shuffled)
    again = replace(again, charge=molecules.charge, spin=molecules.spin)
    assert validity(again).smiles == validity(molecules).smiles


def test_validity_takes_large_molecules():
    peptide = embedded("NCC(=O)" * 8 + "O").to_ase()[0]
    crowd = peptide.copy()
    for i in range(1, 8):
        other = peptide.copy()
        other.positions += 60 * i
        crowd += other
    assert len(crowd) > 420
    assert validity(batch(crowd)).smiles == [".".join(validity(batch(peptide)).smiles * 8)]


def test_validity_depends_on_the_charge_of_an_ion():
    ammonium = embedded("[NH4+]")
    found = validity(ammonium)
    assert found.smiles == ["[NH4+]"]
    assert found.valid[0]
    assert not validity(ammonium.charged([0])).valid[0]
    assert not validity(batch(molecule("CH4")).charged([1])).valid[0]


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("O=C[O-]", ""),
        ("C[N+](C)(C)C", ""),
        ("[NH3+]CC(=O)O", ""),
        ("[NH3+]CC[NH3+]", ""),
        ("[O-]C(=O)C[N+](=O)[O-]", ""),
        ("Cn1cc[n+]([O-])c1", ""),
        ("[O-]Cl", ""),
        ("[AlH4-]", ""),
        ("[NH3+]CC(=O)[O-]", "separated formal charges"),
    ],
)
def test_validity_takes_formal_charges_that_make_up_the_charge(smiles, reason):
    found = validity(MoleculeBatch.from_rdkit(from_smiles(smiles, 0)))
    assert found.reasons == [reason]


NEIGHBOURS = [
    *("C[N+](=O)[O-]", "C[N+](C)(C)[O-]", "C=[N+](C)[O-]", "[O-][n+]1ccccc1", "CN=[N+]=[N-]"),
    *("C[N+]#[C-]", "[C-]#[O+]", "C=[N+]=[N-]", "CC#[N+][O-]", "[N-]=[N+]=O", "C[N+](C)=[N-]"),
]
YLIDES = ["[CH2-][NH3+]", "[CH2-][N+](C)(C)C", "C=[NH+][CH2-]", "[CH2-][n+]1ccccc1"]
NEUTRAL = ["CS(C)=O", "CS(C)(=O)=O", "C=S(C)C", "CP(C)(C)=O", "O=S=O", "OS(=O)(=O)O"]


def test_validity_takes_charges_that_a_neighbour_neutralises():
    names = [*NEIGHBOURS, *YLIDES, *NEUTRAL]
    found = validity(MoleculeBatch.cat([embedded(name) for name in names]))
    wrong = {n: (r, s) for n, r, s in zip(names, found.reasons, found.smiles, strict=True) if r}
    assert wrong == {}
    charged = [any(a.GetFormalCharge() for a in mol.GetAtoms()) for mol in found.mols]
    assert charged == [name not in NEUTRAL for name in names]
    carbanion = Chem.MolFromSmarts("[#6-]-[+]")  # as the description of Validity says
    assert [m.HasSubstructMatch(carbanion) for m in found.mols] == [n in YLIDES for n in names]


def test_validity_refuses_charges_that_no_neighbour_neutralises():
    names = [
        *("[CH2-]C[NH3+]", "[O-]C(=O)C[NH3+]", "[O-]CC[NH3+]", "[NH-]CC[OH2+]"),
        *("[O-]CCC[S+](C)C", "[O-]C(=O)C[N+](C)(C)C", "[O-]S(=O)(=O)CC[NH3+]"),
    ]
    found = validity(MoleculeBatch.cat([embedded(name) for name in names]))
    assert dict(zip(names, found.reasons, strict=True)) == dict.fromkeys(
        names, "separated formal charges"
    )


def test_validity_refuses_unpaired_electrons():
    oxygen = molecule("O2")
    oxygen.info["spin"] = 3
    assert validity(batch(oxygen)).reasons == ["2 unpaired electrons"]
    oxygen.info["spin"] = 1
    assert validity(batch(oxygen)).valid[0]


def test_bonded_mols_keep_charge_and_spin_without_a_lewis_structure(tmp_path):
    radical_cation, triplet = molecule("CH4"), molecule("O2")
    radical_cation.info["charge"], triplet.info["spin"] = 1, 3
    images = batch(radical_cation, triplet, molecule("CH3"))
    found = validity(images)
    assert found.mols[0] is None
    write_sdf(tmp_path / "a.sdf", bonded_mols(images, found))
    back = read_molecules(tmp_path / "a.sdf")
    assert back.charge.tolist() == [1, 0, 0]
    assert back.spin.tolist() == [2, 3, 2]


def test_validity_refuses_a_molecule_without_atoms():
    found = validity(batch(molecule("CH4"), Atoms(), molecule("H2O")))
    assert found.valid.tolist() == [True, False, True]
    assert found.n_fragments.tolist() == [1, 0, 1]
    assert found.reasons[1] == "no atoms"
    assert len(validity(MoleculeBatch.from_arrays([])).valid) == 0


@pytest.mark.parametrize("name", ["CH3NO2", "CH3CONH2", "C4H4NH", "CO", "C6H6", "N2O"])
@pytest.mark.parametrize("seed", range(3))
def test_validity_is_independent_of_order_and_orientation(name, seed):
    atoms = molecule(name)
    shuffled = atoms[np.random.default_rng(seed).permutation(len(atoms))]
    shuffled.positions = Rotation.random(random_state=seed).apply(shuffled.positions) + 3
    first, second = validity(batch(atoms)), validity(batch(shuffled))
    assert first.smiles == second.smiles
    assert first.valid[0]
    assert second.valid[0]


def test_validity_is_robust_to_small_noise():
    quiet = batch(*map(molecule, KNOWN))
    noise = torch.randn(quiet.positions.shape, generator=torch.Generator().manual_seed(0))
    noisy = validity(replace(quiet, positions=quiet.positions + 0.03 * noise))
    assert noisy.smiles == list(KNOWN.values())
    assert noisy.valid.all()


def test_perceive_bonds_keeps_order_and_positions_of_atoms():
    atoms = molecule("CH3CONH2")
    (bare,) = batch(atoms).to_rdkit()
    mol = perceive_bonds(bare)
    assert [atom.GetAtomicNum() for atom in mol.GetAtoms()] == atoms.numbers.tolist()
    np.testing.assert_allclose(mol.GetConformer().GetPositions(), atoms.positions)
    lengths = [
        atoms.get_distance(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()
    ]
    assert max(lengths) < 1.7
    assert bare.GetNumBonds() == 0


@pytest.mark.parametrize(("name", "charge"), [("H2O", 7), ("CH4", 1), ("CH4", -1)])
def test_perceive_bonds_refuses_what_has_no_lewis_structure(name, charge):
    (mol,) = batch(molecule(name)).to_rdkit()
    with pytest.raises(PerceptionError, match="no Lewis structure fits"):
        perceive_bonds(mol, charge)


@settings(max_examples=60)
@given(n=st.integers(1, 25), seed=st.integers(0, 10_000), spread=st.floats(0.3, 3))
def test_validity_takes_random_clouds(n, seed, spread):
    rng = np.random.default_rng(seed)
    numbers, positions = rng.choice([1, 6, 7, 8, 16], n), spread * rng.normal(size=(n, 3))
    found = validity(MoleculeBatch.from_arrays([(numbers, positions)]))
    assert found.valid[0] == (found.reasons[0] == "")
    assert 1 <= found.n_fragments[0] <= n


def test_validity_refuses_clouds_of_distant_atoms():
    rng = np.random.default_rng(0)
    clouds = [(rng.choice([1, 6, 8], 12), 6 * rng.normal(size=(12, 3))) for _ in range(50)]
    assert not validity(MoleculeBatch.from_arrays(clouds)).valid.any()


def test_validity_smiles_omit_stereochemistry_and_isomeric_smiles_have_it():
    left, right = embedded("N[C@@H](C)C(=O)O"), embedded("N[C@H](C)C(=O)O")
    found = validity(MoleculeBatch.cat([left, right, embedded("F/C=C/F"), embedded("F/C=C\\F")]))
    assert found.valid.all()
    assert found.smiles[0] == found.smiles[1] == "CC(N)C(=O)O"
    assert set(found.isomeric_smiles[:2]) == {"C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"}
    assert found.smiles[2] == found.smiles[3] == "FC=CF"
    assert found.isomeric_smiles[2:] == ["F/C=C/F", "F/C=C\\F"]


def test_isomeric_smiles_of_an_octahedron_depends_on_no_order_of_its_atoms():
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    orders = [np.random.default_rng(seed).permutation(6) for seed in range(6)]
    octahedra = [Atoms("SF6", [[0, 0, 0], *(1.58 * axes[order])]) for order in orders]
    assert set(validity(batch(*octahedra)).isomeric_smiles) == {"FS(F)(F)(F)(F)F"}

import pytest
from rdkit import Chem

from molrl.chemistry.identity import canonical_smiles, parse

NOTATIONS = [
    ("CS(C)=O", "C[S+](C)[O-]"),
    ("CN=S(C)C", "C[N-][S+](C)C"),
    ("CP(C)(C)=O", "C[P+](C)(C)[O-]"),
    ("C=P(C)(C)C", "[CH2-][P+](C)(C)C"),
    ("CN=[N+]=[N-]", "C[N-][N+]#N"),
    ("COC(=O)C=[N+]=[N-]", "COC(=O)[CH-][N+]#N"),
    ("C[n+]1ccn(CC)c1", "Cn1cc[n+](CC)c1"),
    ("CC(=O)[CH-]C(C)=O", "CC([O-])=CC(C)=O"),
    ("CNC(N)=[NH2+]", "C[NH+]=C(N)N"),
    ("CN=C(C)[O-]", "C[N-]C(C)=O"),
    ("[CH2]C=C", "C=C[CH2]"),
    ("[CH2]C=CC", "C=C[CH]C"),
    ("O=[N+]([O-])c1cc[n+]([O-])cc1", "O=[N+]([O-])c1ccn(=O)cc1"),
    ("[O][O]", "O=O"),
    ("O=Cl[O-]", "[O-][Cl+][O-]"),
    ("O=I(=O)[O-]", "[O-][I+2]([O-])[O-]"),
]


@pytest.mark.parametrize(("first", "second"), NOTATIONS)
def test_canonical_smiles_is_one_notation(first, second):
    assert canonical_smiles(parse(first)) == canonical_smiles(parse(second))


@pytest.mark.parametrize(
    "smiles",
    [
        "CS(C)=O",
        "CN=[N+]=[N-]",
        "C=[N+]=[N-]",
        "C[N+](=O)[O-]",
        "[O-][n+]1ccccc1",
        "C[N+](C)(C)[O-]",
        "[C-]#[N+]C",
        "F[P-](F)(F)(F)(F)F",
        "FCl(F)F",
        "FI(F)(F)(F)(F)(F)F",
        "F[Kr]F",
        "O=[Xe](=O)(=O)=O",
        "CC(=O)[O-].[Na+]",
        "[NH3+]CC(=O)[O-]",
        "O=[N+]([O-])c1ccc([N+](=O)[O-])cc1",
    ],
)
def test_canonical_smiles_is_the_usual_notation(smiles):
    assert canonical_smiles(parse(smiles)) == smiles


def test_canonical_smiles_counts_explicit_hydrogens():
    mol = Chem.MolFromSmiles("CC(N)[N+](=O)[O-]")
    assert canonical_smiles(Chem.AddHs(mol)) == canonical_smiles(mol) == "CC(N)[N+](=O)[O-]"


def test_canonical_smiles_tells_tautomers_apart():
    assert canonical_smiles(parse("CC(O)=N")) != canonical_smiles(parse("CC(N)=O"))


def test_canonical_smiles_keeps_stereochemistry_of_what_is_drawn_anew():
    for smiles in ("O=[N+]([O-])/C=C/F", "O=[N+]([O-])/C=C\\F", "C[C@H](F)[N+](=O)[O-]"):
        assert canonical_smiles(parse(smiles), stereo=True) == smiles


def test_canonical_smiles_is_independent_of_the_input_smiles():
    assert canonical_smiles(Chem.MolFromSmiles("OCC")) == canonical_smiles(
        Chem.AddHs(Chem.MolFromSmiles("C(C)O"))
    )


def test_canonical_smiles_keeps_a_metal_complex_as_it_is():
    smiles = "[NH3+][Pt-2](Cl)(Cl)[NH3+]"
    assert Chem.CanonSmiles(canonical_smiles(parse(smiles))) == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize("smiles", ["C(C)(C)(C)(C)C", "C1CC", "FClF"])
def test_parse_refuses_an_invalid_smiles(smiles):
    assert parse(smiles) is None

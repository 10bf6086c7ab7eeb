import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import SPLITS, MoleculeSet, shipped_molecules, split_of
from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.fitting.data.config import MoleculeSetConfig
from molrl.fitting.data.molecule_blocks import _make_block, extend_molecule_set
from molrl.runs.yaml_text import read_yaml

N_BASE = 12


def config(folder, **changes):
    base = folder / "base.npz"
    if not base.exists():
        shipped_molecules()[:N_BASE].save(base)
    given = {
        "output": str(folder / "set.npz"),
        "base": str(base),
        "seed": 3,
        "elements": ("C", "O"),
        "max_heavy": 4,
        "n": N_BASE + 7,
        "conformers": 3,
        "block": 4,
        "held_out": ("C2H6O2", "H2O"),
    }
    return MoleculeSetConfig(**{**given, **changes})


def silent(what, done, total):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return extend_molecule_set(config(folder), silent)[0]


def test_extend_molecule_set_begins_with_its_base(made):
    base = shipped_molecules()[:N_BASE]
    assert made.identities[:N_BASE] == base.identities
    assert torch.equal(made[:N_BASE].molecules.positions, base.molecules.positions)
    assert torch.equal(made[:N_BASE].energy, base.energy)
    assert len(set(made.identities)) == N_BASE + 7


def test_extend_molecule_set_gives_minima_of_the_named_molecules(made):
    new = made[N_BASE:]
    output = load_energy("gfn2").evaluate(new.molecules, forces=True)
    assert torch.allclose(output.energy, new.energy, atol=1e-6)
    assert output.forces.norm(dim=-1).max() < 0.021
    assert tuple(validity(new.molecules).smiles) == new.identities
    assert [SPLITS[i] for i in made.split] == [split_of(s) for s in made.identities]


def test_make_block_keeps_distinct_conformers_lowest_first(tmp_path):
    made, lost = _make_block(config(tmp_path), ["CCO", "CO", "CC(=O)C", "OCC(O)CO"], silent)
    pairs = list(zip(made.identities, made.energy.tolist(), strict=True))
    gaps = [b[1] - a[1] for a, b in pairwise(pairs) if a[0] == b[0]]
    assert list(dict.fromkeys(made.identities)) == ["CCO", "CO", "OCC(O)CO"]
    assert lost["conformers of another molecule"] >= 1  # acetone, under a name not canonical
    assert gaps
    assert min(gaps) >= 2e-3


def test_extend_molecule_set_marks_held_out_formulas(made, tmp_path):
    marked = {made.identities[i] for i in torch.nonzero(made.held_out).flatten().tolist()}
    formulas = {bag.formula for bag in made[made.held_out].molecules.bags()}
    assert "O" in marked
    assert formulas <= {"H2O", "C2H6O2"}
    made.save(tmp_path / "marked.npz")
    assert torch.equal(MoleculeSet.load(tmp_path / "marked.npz").held_out, made.held_out)


class Killed(Exception):
    pass


def test_extend_molecule_set_goes_on_after_it_was_killed(made, tmp_path):
    def kill(what, done, total):
        if done >= 5:
            raise Killed

    with pytest.raises(Killed):
        extend_molecule_set(config(tmp_path), kill)  # in the second block
    blocks = Path(tmp_path / "set.npz.blocks")
    assert not (blocks / "00001.json").exists()
    first = (blocks / "00000.npz").stat().st_mtime_ns
    (blocks / "00001.npz").write_bytes(b"half")  # of a block that was being written
    again, _ = extend_molecule_set(config(tmp_path), silent)
    assert (blocks / "00000.npz").stat().st_mtime_ns == first
    made.save(tmp_path / "whole.npz")
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_extend_molecule_set_refuses_blocks_of_another_config(tmp_path):
    (tmp_path / "set.npz.blocks").mkdir()
    (tmp_path / "set.npz.blocks" / "config.json").write_text("{}\n")
    with pytest.raises(InputError, match="holds blocks of another config"):
        extend_molecule_set(config(tmp_path), silent)


def test_extend_molecule_set_refuses_a_base_that_is_large_enough(tmp_path):
    with pytest.raises(InputError, match="the base has 12 molecules; give more"):
        extend_molecule_set(config(tmp_path, n=N_BASE), silent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"larger": 4}, "above max_heavy, 4"),
        ({"base": None}, "need a base"),
        ({"held_out": ("C2Xx",)}, "Xx"),
    ],
)
def test_config_refuses_what_does_not_fit_a_base(tmp_path, change, message):
    with pytest.raises((InputError, ValueError), match=message):
        config(tmp_path, **change)


def test_recipe_of_50000_molecules_is_valid():
    path = Path(__file__).parents[3] / "experiments" / "energy" / "molecules-50k.yaml"
    given = read_yaml(path.read_text(encoding="utf-8"), path.name)
    recipe = MoleculeSetConfig.model_validate_json(json.dumps(given))
    assert recipe.n == 50_000
    assert len(set(recipe.held_out)) == 26

import functools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from ase import Atoms

from molrl.agents.random import RandomAgent
from molrl.attacks.room import is_behind_guard
from molrl.chemistry.molecule_set import split_of
from molrl.errors import InputError
from molrl.fitting.active.config import LearnConfig, Shares
from molrl.fitting.active.sources import Sources, _named
from molrl.fitting.data.config import GUARD
from molrl.molecules import MoleculeBatch
from molrl.runs.config import parse_config

ATTACKS = {  # kinds of what each source gives
    "crowds": {"crowd"},
    "hops": {"hop"},
    "clusters": {"dimer", "cluster"},
    "overbound": {"overbound"},
    "hacked": {"hacked"},
}


def config(**changes):
    given = {
        "run_dir": "unused",
        "data": ["unused.npz"],
        "labels": 24,
        "bags": ["CH4O", "CH2O"],
        "placements": 20,
        "guards": [0.65, 0.3],
        "dynamics": {"steps": 20},
    }
    return parse_config(given | changes, LearnConfig, "config")


@pytest.fixture(scope="module")
def sources(certain, data):
    shares = dict.fromkeys(Shares.model_fields, 1)
    settings = config(shares=shares, generators=["random"], generator_bags=["CH4O", "CH2O"])
    return Sources(settings, certain, data, [RandomAgent(certain)], frozenset(), 1)


@pytest.fixture(scope="module")
def found(sources):
    """``found(source)``: eight structures of a source, drawn once."""
    return functools.cache(lambda source: getattr(sources, source)(8))


def test_shares_counts_divide_the_labels():
    counts = Shares(hyperactive=2, placements=1, gradient=1, episodes=0, minima=0).counts(100)
    assert {name: n for name, n in counts.items() if name not in ATTACKS} == {
        "hyperactive": 50,
        "placements": 25,
        "gradient": 25,
        "episodes": 0,
        "minima": 0,
        "generated": 0,
    }
    assert [counts[name] for name in ATTACKS] == [0] * len(ATTACKS)


@pytest.mark.parametrize("n", [10, 11, 24, 25, 100, 1000])
@pytest.mark.parametrize(
    "shares",
    [{}, dict.fromkeys(Shares.model_fields, 1), {"crowds": 0.004}, {"hops": 1e-3, "hacked": 1e-3}],
)
def test_shares_counts_sum_to_the_labels_and_leave_out_no_source(shares, n):
    divided = Shares(**shares)
    counts = divided.counts(n)
    given = {name: share for name, share in divided.model_dump().items() if share}
    assert sum(counts.values()) == n
    assert {name for name, count in counts.items() if count} <= given.keys()
    if n >= len(given):
        exact = {name: n * share / sum(given.values()) for name, share in given.items()}
        assert all(counts[name] >= max(1, int(exact[name]) - 1) for name in given)


@pytest.mark.parametrize("source", list(Shares.model_fields))
def test_sources_give_train_structures_and_the_same_again(sources, found, source):
    structures, again = found(source), getattr(sources, source)(8)
    assert 4 <= len(structures) <= 8
    assert all(split_of(s.identity) == "train" for s in structures)
    assert all(np.isfinite(s.positions).all() for s in structures)
    for a, b in zip(structures, again, strict=True):
        assert a.identity == b.identity
        np.testing.assert_allclose(b.positions, a.positions, rtol=0, atol=1e-3)


@pytest.mark.parametrize("source", ["hyperactive", "episodes", "generated"])
def test_sources_give_the_most_uncertain_first(sources, found, source):
    batch = MoleculeBatch.from_arrays((s.numbers, s.positions) for s in found(source))
    uncertainty = sources.model.evaluate(batch, uncertainty=True).uncertainty.tolist()
    assert all(a >= b - 1e-2 for a, b in pairwise(uncertainty))


def test_sources_minima_have_small_forces_under_the_model(sources, found):
    minima = found("minima")
    forces = [
        sources.model.evaluate(MoleculeBatch.from_arrays([(s.numbers, s.positions)]), forces=True)
        .forces.norm(dim=-1)
        .max()
        for s in minima
    ]
    assert np.median(forces) < 0.3
    assert {s.kind for s in minima} == {"minimum"}


def test_sources_generated_are_molecules_of_the_bags_whole_and_half_built(sources):
    found = sources.generated(30)
    assert {s.kind for s in found} == {"generated"}
    assert len({len(s) for s in found}) > 2
    for structure in found:
        counts = {z: int((structure.numbers == z).sum()) for z in (1, 6, 8)}
        assert counts[1] <= 4
        assert counts[6] <= 1
        assert counts[8] <= 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shares": {"generated": 0.5}}, "if and only if generators"),
        ({"generators": ["random"]}, "if and only if generators"),
        ({"bags": []}, "bags: name one formula"),
        (
            {"shares": dict.fromkeys(Shares.model_fields, 0)},
            "one of them must be above 0",
        ),
        ({"bags": ["methanol"]}, "invalid formula 'methanol'"),
        ({"dynamics": {"temprature": 3}}, "did you mean 'dynamics.temperature'?"),
    ],
)
def test_learn_config_refuses_values_that_do_not_fit_together(changes, said):
    with pytest.raises(InputError, match=".*".join(said.split("?")[:1])):
        config(**changes)


@pytest.mark.parametrize("source", ATTACKS)
def test_sources_of_attacks_give_their_kinds_behind_the_guard(sources, found, source):
    structures = found(source)
    assert {s.kind for s in structures} <= ATTACKS[source]
    assert all(is_behind_guard(s.numbers, s.positions, GUARD) for s in structures)
    assert all(set(s.numbers) <= set(sources.model.elements) for s in structures)


def test_sources_clusters_keep_their_molecules_apart(found):
    assert all(s.part.max() >= 1 for s in found("clusters"))


def test_sources_of_attacks_leave_out_held_out_molecules(sources):
    everything = {s.identity for s in sources._adversaries.molecules}
    without = replace(sources, held_out=everything - {"C"})
    assert [s.identity for s in without._adversaries.molecules] == ["C"]


def test_sources_keep_charge_and_spin_of_the_data(sources):
    molecules = sources.data.molecules
    charge = torch.ones_like(molecules.charge)
    spin = 3 + (molecules.sum_atoms(molecules.numbers) - charge) % 2  # above the lowest
    charged = replace(molecules, charge=charge, spin=spin)
    data = replace(sources.data, molecules=charged)
    found = replace(sources, model=sources.model.ignoring_charge(), data=data).minima(8)
    assert found
    assert all((s.charge, s.spin) == (1, 3 + (int(s.numbers.sum()) - 1) % 2) for s in found)


def test_sources_generated_keep_charge_and_spin():
    water = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], info={"spin": 3})
    assert [(s.charge, s.spin) for s in _named(MoleculeBatch.from_ase(water), "walk:H2O")] == [
        (0, 3)
    ]

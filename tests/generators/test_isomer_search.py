"""A search for isomers by several generators: shares of the budget, resume, constraints."""

import numpy as np
import pytest
import torch
from ase.build import molecule

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import CountedEnergy, load_energy
from molrl.errors import InputError
from molrl.generation import Generated, NotCompleted
from molrl.generators.search.config import SearchConfig
from molrl.generators.search.isomers import Constraints, Isomers
from molrl.generators.search.run import IsomerSearch
from molrl.generators.search.sources import GeneratorSource, make_source
from molrl.molecules import MoleculeBatch
from molrl.runs.config import parse_config
from molrl.runs.ranks import Ranks


def config_of(**keys):
    given = {"run_dir": "unused", "bag": "CH3NO", "energy": "mace-small", "batch_size": 4}
    return parse_config({**given, **keys}, SearchConfig, "test")


class Interrupted(Exception):
    pass


MOST = 15  # energies of a structure of the next


class Costly:
    """A generator that spends energies, more for some structures than for others."""

    name = "costly-of-a-test"

    def __init__(self, energy):
        self.energy = energy

    def generate(self, task, n, seed):
        energy, rng = CountedEnergy(self.energy), np.random.default_rng(seed)
        energy.evaluate(int(rng.integers(5, MOST + 1, n).sum()) * [molecule("H2O")])
        made = [molecule("H2O") for _ in range(n)]
        for each in made:
            each.positions += rng.normal(0, 0.1, (3, 3))
        return Generated(MoleculeBatch.from_ase(made), n, energy.evaluations, 0, 0.0)


def run_whole_and_resumed(config):
    """Return a search, and the same that was interrupted after 150 energies and resumed."""
    whole, first, second = (IsomerSearch(config, Ranks()) for _ in range(3))
    whole.run(lambda *_: None)

    def stop(step, figures):
        if step > 150:
            raise Interrupted

    with pytest.raises(Interrupted):
        first.run(stop)
    second.restore(first.snapshot())
    second.run(lambda *_: None)
    return whole, second


def assert_same_geometries(one, other):
    """The isomers of two searches are at the same positions."""
    found, wanted = one.isomers.tensors(), other.isomers.tensors()
    assert found.keys() == wanted.keys()
    assert len(found) > 0
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.bitwise
def test_search_resumes_exactly():
    whole, resumed = run_whole_and_resumed(config_of(energy_calls=300))
    assert resumed.isomers.state() == whole.isomers.state()
    assert_same_geometries(resumed, whole)
    assert resumed.energy_calls == whole.energy_calls
    assert whole.has_ended
    assert 200 < whole.steps == whole.energy_calls <= 300


def test_search_shares_the_budget_and_keeps_it():
    methods = ["random-search", "basin-hopping"]
    search = IsomerSearch(config_of(energy_calls=800, methods=methods), Ranks())
    search.run(lambda *_: None)
    calls = [source.energy_calls for source in search.sources]
    assert len(calls) == 2
    assert 700 < sum(calls) <= 800
    assert max(calls) - min(calls) < 4 * 151
    assert {isomer.method for isomer in search.isomers.by_smiles.values()} == {*methods}
    assert all(0 < isomer.energy_calls <= 800 for isomer in search.isomers.by_smiles.values())


@pytest.mark.bitwise
@pytest.mark.parametrize("budget", [1, 40, 150])
def test_search_exceeds_a_budget_by_one_structure_at_most(budget):
    molrl.register("generator", Costly.name, Costly, replace=True)
    config = config_of(bag="H2O", methods=[Costly.name], energy_calls=budget)
    whole, first, second = (IsomerSearch(config, Ranks()) for _ in range(3))
    whole.run(lambda *_: None)
    assert whole.energy_calls <= budget + MOST
    assert budget < 90 or whole.energy_calls > budget - 80  # the rest has room for no structure

    def stop(*_):
        raise Interrupted

    with pytest.raises(Interrupted):
        first.run(stop)
    second.restore(first.snapshot())
    second.run(lambda *_: None)
    assert second.energy_calls == whole.energy_calls
    assert second.isomers.state() == whole.isomers.state()
    assert_same_geometries(second, whole)


@pytest.mark.parametrize("methods", [["random-search"], ["basin-hopping"]])
def test_search_uses_a_budget_of_less_than_a_batch(methods):
    search = IsomerSearch(config_of(bag="H2O", methods=methods, energy_calls=60), Ranks())
    search.run(lambda *_: None)
    assert list(search.isomers.by_smiles) == ["O"]
    assert 60 - 10 <= search.energy_calls <= 60


def test_search_goes_on_without_a_method_that_cannot_make_the_bag(capsys):
    methods = ["covariant", "random-search"]
    search = IsomerSearch(config_of(bag="HF", methods=methods, energy_calls=100), Ranks())
    assert "covariant does not make FH: bag FH has no heavy atom" in capsys.readouterr().err
    search.run(lambda *_: None)
    assert list(search.isomers.by_smiles) == ["F"]
    with pytest.raises(InputError, match="no method makes FH: bag FH has"):
        IsomerSearch(config_of(bag="HF", methods=methods[:1]), Ranks())


def test_search_relaxes_the_lowest_of_what_is_made_and_isomers_that_are_wanted_first():
    """Of the isomers of C3H8O the ether is the highest; 2-propanol is the lowest."""
    config = config_of(bag="C3H8O", methods=["covariant"])
    made = shipped_molecules().isomers("C3H8O").molecules
    made = MoleculeBatch.cat([made, made])

    def chosen(n, *wanted):
        source = make_source("covariant", config, load_energy("mace-small"), wanted.__contains__)
        assert isinstance(source, GeneratorSource)
        return validity(source._choose(made, n)).smiles

    assert chosen(3, "CCOC", "CCCO") == ["CCCO", "CCOC", "CC(C)O"]
    assert chosen(2) == ["CC(C)O", "CC(C)O"]


class GivesUp:
    """A generator that evaluates seven energies, and gives up."""

    name = "gives-up"

    def __init__(self, energy):
        self.energy = energy

    def generate(self, task, n, seed):
        for _ in range(7):
            self.energy.evaluate(molecule("H2O"))
        raise NotCompleted("too few")


def test_search_counts_the_energies_of_a_generator_that_gives_up():
    molrl.register("generator", "gives-up", GivesUp, replace=True)
    config = config_of(bag="C3H8O", methods=["gives-up"])
    source = make_source("gives-up", config, load_energy("mace-small"), lambda smiles: True)
    assert (source.stopped, source.energy_calls) == ("too few", 7)
    source.stopped = ""
    assert source.advance(1000) is None
    assert (source.stopped, source.energy_calls) == ("too few", 14)


@pytest.mark.bitwise
def test_search_of_an_agent_keeps_its_budget_and_resumes_exactly():
    """The agent evaluates no energy: of four molecules one is relaxed."""
    config = config_of(bag="C3H8O", methods=["covariant"], energy_calls=400, excludes=["COC"])
    whole, resumed = run_whole_and_resumed(config)
    assert resumed.isomers.state() == whole.isomers.state()
    assert_same_geometries(resumed, whole)
    assert 400 - 50 <= whole.energy_calls == resumed.energy_calls <= 400
    (source,) = whole.sources
    assert source.attempts >= 4 * len(whole.isomers)
    assert set(whole.isomers.by_smiles) == {"CCCO", "CC(C)O"}


def test_what_is_wanted_is_new_and_keeps_the_constraints():
    isomers = Isomers(Constraints(excludes=["COC"]))
    assert isomers.wants("CCCO")
    assert not isomers.wants("CCOC")
    assert not isomers.excluded  # nothing was found


def test_search_ends_with_the_time():
    limits = {"energy_calls": None, "minutes": 1e-6}
    search = IsomerSearch(config_of(methods=["random-search"], **limits), Ranks())
    steps = []
    search.run(lambda step, figures: steps.append(step))
    assert search.has_ended
    assert steps[-1] == int(search.seconds)
    assert len(steps) == 2  # a batch, and the end


def test_search_takes_other_generators():
    search = IsomerSearch(config_of(bag="H2O", methods=["random"], energy_calls=300), Ranks())
    search.run(lambda *_: None)
    assert list(search.isomers.by_smiles) == ["O"]
    (source,) = search.sources
    assert source.energy_calls > 0
    assert source.attempts >= 4


@pytest.mark.parametrize(
    ("constraints", "allowed"),
    [
        (Constraints(), {"CCO", "C1CO1", "CC=O"}),
        (Constraints(contains=("C=O",)), {"CC=O"}),
        (Constraints(contains=("[OX2H]", "C")), {"CCO"}),
        (Constraints(contains=("[H]OC",)), {"CCO"}),
        (Constraints(excludes=("C=O",), rings=0), {"CCO"}),
        (Constraints(rings=1), {"C1CO1"}),
    ],
)
def test_constraints_allow(constraints, allowed):
    assert {s for s in ("CCO", "C1CO1", "CC=O") if constraints.allow(s)} == allowed


def test_constraints_allow_chlorine_of_three_bonds():
    assert Constraints(rings=0).allow("FCl(F)F")


def test_constraints_count_the_rings_of_a_cage_as_its_name_does():
    """Pentacyclo[4.2.0.0.0.0]octane, cubane, has six faces."""
    cubane = "C12C3C4C1C5C2C3C45"
    assert Constraints(rings=5).allow(cubane)
    assert not Constraints(rings=6).allow(cubane)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"bag": "CH3"}, "odd number of electrons"),
        ({"bag": "CH6"}, "no closed-shell molecule"),
        ({"energy_calls": None}, "give energy_calls or minutes"),
        ({"methods": ["random-serach"]}, "did you mean 'random-search'"),
        ({"methods": []}, "name at least one"),
        ({"bag": "H4N", "charge": 1, "methods": ["random"]}, "random makes no ions"),
        ({"contains": ["(("]}, "invalid SMARTS"),
        ({"excludes": ["[H][H]"]}, "cannot be counted"),
        ({"energy": "mcae"}, "did you mean 'mace'"),
    ],
)
def test_config_refuses(keys, said):
    with pytest.raises(InputError, match=said):
        config_of(**keys)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"bag": "H4N", "charge": 1}, "use gfn2"),
        ({"bag": "H4Si"}, "does not know Si; gfn2 knows"),
        ({"methods": ["internal"]}, "write internal:RUN"),
    ],
)
def test_search_refuses_before_it_begins(keys, said):
    with pytest.raises(InputError, match=said):
        IsomerSearch(config_of(**keys), Ranks())

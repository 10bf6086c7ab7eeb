"""``molrl compare``: its files, costs, failures, resumption and merging."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from PIL import Image

import molrl
from molrl.cli.main import main
from molrl.comparison.config import REAL, CompareConfig, UnitKey
from molrl.comparison.curves import COSTS, discovery_curves, success_curves
from molrl.comparison.figures import Results
from molrl.comparison.merge import _merged
from molrl.comparison.methods import RealMolecules
from molrl.comparison.units import Unit, UnitRun
from molrl.energy import CountedEnergy, load_energy
from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.generation import Generated, NotCompleted
from molrl.molecules import MoleculeBatch
from molrl.runs.config import load_config
from molrl.tasks import parse_task

COMPARED = [
    "tasks=[CH4O]",
    "methods={search: random-search, of_a-test: {}}",
    *("energy=mace-small", "energy_calls=50", "batch_size=2"),
]
STAGE = {  # of the contract
    *("schema_version", "n_molecules", "attempts", "n_valid", "valid_fraction", "n_distinct"),
    *("unique_fraction", "median_strain", "median_rmsd", "lowest_energy", "lowest_smiles"),
    *("return_fraction", "n_failed", "evaluator"),
}
METHOD = {
    *("generated", "relaxed", "energy_calls", "training_energy_calls", "seconds", "failures"),
}


def read(folder):
    return json.loads((folder / "summary.json").read_text())


class Careless:
    """A generator of somebody else, which spends energies and then fails."""

    name = "of_a-test"

    def __init__(self, energy):
        self.energy = energy

    def generate(self, task, n, seed):
        self.energy.evaluate([molecule("H2O"), molecule("CH4")])
        raise KeyError(f"no {task}")


class Wasteful:
    """A method that spends more energies for some molecules than for others."""

    most = 20

    def __init__(self, energy):
        self.energy = energy

    def batches(self, task, seed, room):
        rng, energy = np.random.default_rng(seed), self.energy
        while n := room().molecules:
            before = energy.evaluations
            energy.evaluate(int(rng.integers(5, self.most + 1, n).sum()) * [molecule("H2O")])
            made = MoleculeBatch.from_ase(n * [molecule("H2O")])
            yield Generated(made, n, energy.evaluations - before, 0, 0.0)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """The folders of comparisons with the seeds 0 and 1, the first of them interrupted."""
    molrl.register("generator", Careless.name, Careless, replace=True)
    folder, finish, done = tmp_path_factory.mktemp("compared"), UnitRun.finish, []

    def finish_one(run, where):
        if done:
            raise MemoryError
        done.append(where / "unit.json")
        return finish(run, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UnitRun, "finish", finish_one)
        assert main(["compare", f"run_dir={folder / '0'}", "seeds=[0]", *COMPARED]) == 1
    before = done[0].stat().st_mtime_ns
    assert main(["resume", str(folder / "0")]) == 0
    assert done[0].stat().st_mtime_ns == before  # what had finished is not done again
    assert main(["compare", f"run_dir={folder / '1'}", "seeds=[1]", *COMPARED]) == 0
    return [folder / "0", folder / "1"]


@pytest.fixture(scope="module")
def compared(apart):
    """The folder of both together."""
    target = apart[0].with_name("both")
    assert main(["compare", "--merge", *map(str, apart), f"run_dir={target}"]) == 0
    return target


def test_compare_writes_the_summary_of_the_contract(compared):
    summary = read(compared)
    assert list(summary["methods"]) == ["search", Careless.name, REAL]
    for figures in summary["methods"].values():
        assert set(figures) >= METHOD
        for stage in ("generated", "relaxed"):
            assert set(figures[stage]) >= STAGE
    found = summary["methods"]["search"]
    assert (found["n_runs"], found["success_fraction"]) == (2, 1.0)
    assert found["tasks"]["CH4O"]["relaxed"]["lowest_smiles"] == "CO"
    assert summary["methods"][REAL]["tasks"]["CH4O"]["n_known_found"] == 1


def test_compare_counts_every_evaluation_and_keeps_to_the_budget(compared):
    figures = read(compared)["methods"]["search"]
    units = [Unit.load(path.parent) for path in compared.glob("units/search/*/*/unit.json")]
    assert figures["energy_calls"] == sum(unit.energy_calls for unit in units)
    for unit in units:
        # A minimum of the search is evaluated at least once more by the relaxation.
        more = unit.energy_calls - unit.generation_energy_calls
        assert more >= len(unit.generated.smiles) >= 1
        assert 0 < unit.calls_when_found[-1] <= unit.energy_calls <= 50


@pytest.mark.parametrize("budget", [1, 60, 150])
def test_compare_counts_nothing_that_is_found_after_the_budget(budget, tmp_path):
    config = CompareConfig(
        run_dir=tmp_path,
        tasks=("H2O",),
        methods=["random-search"],
        energy_calls=budget,
        batch_size=4,
        energy="mace-small",
    )
    energy = CountedEnergy(load_energy(config.energy))
    done = UnitRun(UnitKey("random-search", "H2O", 0), config, energy)
    done.run(Wasteful(energy), config.tasks[0], lambda n: None)
    unit = done.finish(tmp_path)
    assert unit.energy_calls == energy.evaluations <= budget + Wasteful.most
    assert len(unit.generated.smiles) == len(unit.final.smiles) == len(unit.calls_when_found)
    assert all(calls <= budget for calls in unit.calls_when_found)
    assert bool(unit.calls_when_found) == (budget > 1)


def test_compare_ends_its_curves_with_the_values_of_the_table(compared):
    config = load_config(compared / "config.yaml", [], CompareConfig)
    units = [Unit.load(compared / key.folder) for key in config.units()]
    results, figures = Results(config, units, {}), read(compared)["methods"]["search"]
    success = success_curves(results, ["search"], None)["search"]
    assert success.value[-1] == figures["success_fraction"]
    for cost in COSTS:
        found = discovery_curves(results, ["search"], None, cost)["search"]
        assert found.value[-1] == figures["tasks"]["CH4O"]["n_distinct_per_run"]
    assert success.cost[-1] == max(unit.energy_calls for unit in results.of("search")) <= 50


def test_compare_names_failures_and_counts_what_they_cost(compared):
    figures = read(compared)["methods"][Careless.name]
    assert [(each["seed"], each["reason"]) for each in figures["failures"]] == [
        (0, "KeyError: 'no CH4O'"),
        (1, "KeyError: 'no CH4O'"),
    ]
    assert figures["energy_calls"] == 4
    assert figures["seconds"] > 0
    assert figures["relaxed"]["valid_fraction"] is None
    assert "KeyError: 'no CH4O'" in (compared / "table.md").read_text(encoding="utf-8")


def test_compare_writes_molecules_and_curves(compared):
    (file,) = compared.glob("units/search/CH4O/seed-1/relaxed.extxyz")
    molecules = read_molecules(file)
    smiles = Unit.load(file.parent).final.smiles
    assert [bag.formula for bag in molecules.bags()] == len(smiles) * ["CH4O"]
    assert min(Image.open(compared / "curves.png").size) > 300
    assert "Molecules of CH4O" in (compared / "report.html").read_text(encoding="utf-8")


@pytest.mark.bitwise
def test_compare_does_a_broken_run_again_and_merges_none(apart, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(apart[0], broken)
    (broken / "units/search/CH4O/seed-0/unit.json").write_text("{")
    assert main(["compare", "--merge", str(broken), f"run_dir={tmp_path / 'both'}"]) == 2
    assert "unit.json is corrupted" in capsys.readouterr().err
    assert not (tmp_path / "both").exists()
    (broken / "summary.json").unlink()
    assert main(["resume", str(broken)]) == 0
    assert (
        Unit.load(broken / "units/search/CH4O/seed-0").generated
        == Unit.load(apart[0] / "units/search/CH4O/seed-0").generated
    )


def test_merge_says_which_of_two_runs_of_a_seed_it_takes(apart, tmp_path, capsys):
    again = tmp_path / "again"
    shutil.copytree(apart[0], again)
    file = again / "units/search/CH4O/seed-0/unit.json"
    file.write_text(file.read_text() + " ")
    target = tmp_path / "merged"
    assert main(["compare", "--merge", str(apart[0]), str(again), f"run_dir={target}"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "is taken" in line]
    (line,) = said
    assert line.startswith(f"molrl: search on CH4O, seed 0, is in {apart[0]} and in {again};")


def test_merge_takes_a_run_that_has_not_crashed_from_a_later_folder(apart, tmp_path, capsys):
    crashed, target = tmp_path / "crashed", tmp_path / "merged"
    shutil.copytree(apart[0], crashed)
    where = "units/search/CH4O/seed-0"
    unit = Unit.load(crashed / where)
    unit.crashed, unit.failure = True, "MemoryError"
    unit.save(crashed / where)
    assert main(["compare", "--merge", str(crashed), str(apart[0]), f"run_dir={target}"]) == 0
    assert not Unit.load(target / where).crashed
    assert "is taken" not in capsys.readouterr().err


def test_compare_merges_runs_with_one_budget_only(apart, compared, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(apart[1], other)
    merged = [str(path) for path in (apart[0], other, compared)]
    assert main(["compare", "--merge", *merged, f"run_dir={compared}"]) == 2
    assert "is not empty" in capsys.readouterr().err
    config = other / "config.yaml"
    config.write_text(config.read_text().replace("energy_calls: 50", "energy_calls: 99"))
    assert main(["compare", "--merge", *merged, f"run_dir={compared}-2"]) == 2
    assert "energy_calls 99" in capsys.readouterr().err
    text = config.read_text().replace("energy_calls: 99", "energy_calls: 50")
    config.write_text(text.replace("search:", "Search:"))
    assert main(["compare", "--merge", *merged, f"run_dir={compared}-2"]) == 2
    assert "'search' and 'Search' differ by case only" in capsys.readouterr().err


def test_merged_comparisons_have_the_plugins_of_all():
    plugins = [("json",), ("csv", "json")]
    configs = [
        CompareConfig(run_dir=Path("one"), tasks=("CH4",), methods=["random"], plugins=each)
        for each in plugins
    ]
    assert _merged(configs, ["one", "two"], Path("both")).plugins == ("json", "csv")


def test_merge_names_the_first_key_that_differs():
    keys = {"run_dir": Path("one"), "tasks": ("CH4",), "methods": ["random"]}
    other = {"n_molecules": 5, "energy_calls": 9, "batch_size": 3, "within": 1.0, "device": "cpu"}
    configs = [CompareConfig(**keys), CompareConfig(**keys, **other)]
    with pytest.raises(InputError, match="two has n_molecules 5, and one has None"):
        _merged(configs, ["one", "two"], Path("both"))


def test_resume_does_a_broken_run_and_one_that_a_merge_lacked(apart, tmp_path):
    short, merged = tmp_path / "short", tmp_path / "merged"
    shutil.copytree(apart[0], short)
    shutil.rmtree(short / "units/search")
    assert main(["compare", "--merge", str(short), f"run_dir={merged}"]) == 0
    assert read(merged)["methods"]["search"]["n_runs"] == 0
    before = (apart[0] / "metrics.csv").read_text().splitlines()
    (merged / "units" / Careless.name / "CH4O/seed-0/unit.json").write_text("{")
    assert main(["resume", str(merged)]) == 0
    assert read(merged)["methods"]["search"]["n_runs"] == 1
    after = (merged / "metrics.csv").read_text().splitlines()
    without_times = [[line.rsplit(",", 1)[0] for line in lines] for lines in (before, after)]
    assert without_times[0] == without_times[1]


def test_resume_prints_the_tables_of_a_finished_comparison(tmp_path, capsys):
    given = ["tasks=[CH4O]", "methods=[random-search]", *COMPARED[2:]]
    assert main(["compare", f"run_dir={tmp_path}", *given]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert main(["resume", str(tmp_path)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("to go on, give seeds=N")
    assert lines == printed[:-1]  # all but the time
    assert main(["resume", str(tmp_path), "seeds=1"]) == 2
    assert "has all of its 2 runs; give a larger seeds" in capsys.readouterr().err


def test_compare_refuses_a_task_that_cannot_be_drawn_before_it_writes(tmp_path, capsys):
    task = "tasks=[CH4O, {kind: cluster, solute: CH2O, solvent: O}]"
    assert main(["compare", task, "methods=[random]", f"run_dir={tmp_path / 'run'}"]) == 2
    assert "tasks: cluster (solute CH2O" in (line := capsys.readouterr().err.splitlines()[-1])
    assert line.endswith("invalid SMILES 'CH2O'")
    assert not (tmp_path / "run").exists()


class Crashing:
    """A generator of somebody else, which lacks memory, or gives up after some attempts."""

    name = "crashing-test"
    errors = MemoryError("no memory"), NotCompleted("too few", 7)

    def generate(self, task, n, seed):
        raise self.errors[self.crashed]


def test_resume_begins_a_crashed_run_again_and_not_one_that_gave_up(tmp_path, capsys):
    molrl.register("generator", Crashing.name, Crashing, replace=True)
    given = ["tasks=[CH4O]", f"methods=[{Crashing.name}]", "energy=mace-small"]
    Crashing.crashed = 0
    assert main(["compare", f"run_dir={tmp_path}", *given]) == 0
    assert f"crashed: 1; `molrl resume {tmp_path}` begins" in capsys.readouterr().out
    assert read(tmp_path)["methods"][Crashing.name]["failures"][0]["reason"].endswith("no memory")
    Crashing.crashed = 1
    assert main(["resume", str(tmp_path)]) == 0
    assert "crashed, and is begun again: MemoryError: no memory" in capsys.readouterr().err
    figures = read(tmp_path)["methods"][Crashing.name]
    assert figures["failures"][0]["reason"] == "too few"
    assert figures["generated"]["attempts"] == 7
    file = tmp_path / "units" / Crashing.name / "CH4O/seed-0/unit.json"
    before = file.stat().st_mtime_ns
    assert main(["resume", str(tmp_path)]) == 0
    assert file.stat().st_mtime_ns == before


class Made:
    """A method that makes a molecule, and then one that the energy model does not know."""

    def batches(self, task, seed, size):
        for name in ("CH4", "SiH4"):
            yield Generated(MoleculeBatch.from_ase(molecule(name)), 1, 0, 0, 0.0)


def test_run_that_cannot_relax_a_batch_keeps_those_before(tmp_path):
    config = CompareConfig(run_dir=tmp_path, tasks=("CH4",), methods=["random"])
    run = UnitRun(UnitKey("made", "CH4", 0), config, CountedEnergy(load_energy("mace-small")))
    run.run(Made(), parse_task("CH4"), lambda n: None)
    unit = run.finish(tmp_path)
    assert "Si" in unit.failure
    assert [len(each.smiles) for each in (unit.generated, unit.relaxed)] == [1, 1]
    assert (unit.attempts, len(unit.calls_when_found)) == (1, 1)


def test_real_molecules_are_those_of_a_file_with_the_formula(tmp_path):
    real = MoleculeBatch.from_ase([molecule("CH3OH"), molecule("CH4")])
    molrl.write(tmp_path / "known.extxyz", real)
    (batch,) = RealMolecules(tmp_path / "known.extxyz").batches(parse_task("CH4O"), 0, lambda: 1)
    assert [bag.formula for bag in batch.molecules.bags()] == ["CH4O"]
    with pytest.raises(InputError, match="no isomer of H2O is among"):
        next(RealMolecules(tmp_path / "known.extxyz").batches(parse_task("H2O"), 0, lambda: 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tasks=[CH4]", "methods=[random-serach]"], "did you mean 'random-search'"),
        (["tasks=[CH4]", "methods={mine: run:nowhere}"], "there is no run nowhere"),
        (["tasks=[CH4, CH4]", "methods=[random]"], "each once"),
        (["tasks=[CH4]", "methods={}"], "at least one method"),
        (["tasks=[CH4]", "methods=[random]", "energy_calls=null"], "n_molecules or energy_calls"),
        (["tasks=[CH4]", "methods=[random]", "relax=false"], "give n_molecules"),
        (["tasks=[CH4]", "methods={random: {options: {no: 1}}}"], "methods.random: 'random' has"),
        (
            ["tasks=[CH4]", "methods={basin-hopping: {options: {hops: 3}}}"],
            "methods.basin-hopping: a comparison has no use for hops",
        ),
        (["tasks=CH4", "methods=[random]"], "tasks must be a list, such as [a, b], not 'CH4'"),
        (["tasks=[CH4]", "methods=random"], "methods: give names, such as [random-search]"),
        (["tasks=[CH4]", "methods=[random]", "seeds=0"], "seeds: give a list, or the number of"),
        (["tasks=[CH4]", "methods={a/b: random}"], "letters"),
        (
            ["tasks=[CH4]", "methods={A: random, a: simgen}"],
            " methods: 'A' and 'a' differ by case only",
        ),
        (["tasks=[CO, Co]", "methods=[random]"], "tasks: 'CO' and 'Co' differ by case only"),
        (["--merge", "nowhere"], "run_dir=OUT"),
    ],
)
def test_compare_refuses_in_one_line_and_writes_nothing(arguments, said, tmp_path, capsys):
    written = [] if "--merge" in arguments else [f"run_dir={tmp_path / 'run'}"]
    assert main(["compare", *arguments, *written]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in line
    assert not list(Path(tmp_path).iterdir())

"""From a config to the summary, on real energies: train, resume, generate, evaluate."""

import json
import re
import shutil
import signal

import pytest
import torch
from ase.io import read
from rdkit import Chem

from molrl.agents.generator import AgentGenerator, read_policy
from molrl.cli.main import main
from molrl.energy.networks.energy import SHIPPED
from molrl.energy.networks.potential import load_potential, save_potential
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.config import override_defaults
from molrl.runs.metrics import read_metrics

CONFIG = """
run_dir: whole
total_steps: 1024
checkpoint_every: 256
evaluate_every: 512
task: {bag: H2O}
energy: gfn2
policy: {width: 16, channels: 4, degree: 2, layers: 1}
algorithm: {name: ppo, num_envs: 32, n_steps: 8, batch_size: 64}
evaluation: {n_molecules: 4, n_episodes: 16, temperature: 0.8}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run ``whole``."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "train.yaml").write_text(CONFIG)
    assert main(["train", str(folder / "train.yaml"), f"run_dir={folder / 'whole'}"]) == 0
    return folder


def test_train_writes_all_files_of_a_run(runs):
    names = {path.name for path in (runs / "whole").iterdir()}
    assert names >= {
        *("config.yaml", "versions.json", "metrics.csv", "tensorboard", "checkpoints"),
        *("summary.json", "molecules.extxyz", "molecules.sdf", "curve.png", "molecules.png"),
        *("policy.json", "policy.safetensors", "policy-best.json", "policy-best.safetensors"),
        *("policy-average.json", "policy-average.safetensors", "evaluations.csv"),
    }
    assert list((runs / "whole" / "tensorboard").iterdir())
    for name in ("curve.png", "molecules.png"):
        assert (runs / "whole" / name).read_bytes()[:4] == b"\x89PNG"


def test_train_writes_a_row_of_metrics_per_update(runs):
    rows = read_metrics(runs / "whole" / "metrics.csv")
    assert [row["steps"] for row in rows] == [256, 512, 768, 1024]
    for row in rows:
        assert row["return_fraction"] < 1.02
        assert 0 <= row["valid_fraction"] <= row["complete_fraction"] <= 1


def test_train_evaluates_the_policy_and_the_average_when_due(runs):
    rows = read_metrics(runs / "whole" / "evaluations.csv")
    assert [row["steps"] for row in rows] == [512, 1024]
    for row in rows:
        for prefix in ("", "average_"):
            assert row[f"{prefix}return_fraction"] < 1.02
            assert 0 <= row[f"{prefix}valid_fraction"] <= row[f"{prefix}complete_fraction"] <= 1
            assert row[f"{prefix}distinct"] <= 16 * row[f"{prefix}valid_fraction"]


def test_train_keeps_the_policy_that_was_best_in_an_evaluation(runs):
    rows = read_metrics(runs / "whole" / "evaluations.csv")
    best = max(rows, key=lambda row: max(row["return"], row["average_return"]))
    source = "last" if best["return"] >= best["average_return"] else "average"
    summary = json.loads((runs / "whole" / "summary.json").read_text())
    assert (summary["policy"], summary["policy_steps"]) == ("best", best["steps"])
    weights, header = read_policy(runs / "whole")
    assert header.steps == best["steps"]
    if best["steps"] == 1024:
        others, _ = read_policy(runs / "whole", source)
        assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert read_policy(runs / "whole", "last")[1].steps == 1024


def test_policies_of_a_run_are_sampled_at_the_temperature_of_its_evaluations(runs):
    for which in (None, "last", "average"):
        assert AgentGenerator(runs / "whole", policy=which).temperature == 0.8
    assert AgentGenerator(runs / "whole", temperature=1.5).temperature == 1.5


@pytest.mark.bitwise
def test_train_evaluations_do_not_disturb_the_training(runs, tmp_path):
    run = tmp_path / "run"
    train = ["train", str(runs / "train.yaml"), f"run_dir={run}"]
    assert main([*train, "evaluate_every=0"]) == 0
    assert not (run / "evaluations.csv").exists()
    assert not (run / "policy-best.json").exists()
    for name in ("metrics.csv", "policy.safetensors", "policy-average.safetensors"):
        assert (runs / "whole" / name).read_bytes() == (run / name).read_bytes()
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["policy"], summary["policy_steps"]) == ("last", 1024)


def test_train_summary_describes_the_molecules_in_the_folder(runs):
    summary = json.loads((runs / "whole" / "summary.json").read_text())
    assert summary["n_molecules"] == 4
    assert summary["attempts"] >= 4
    assert summary["return_fraction"] == pytest.approx(
        summary["mean_return"] / summary["reference_return"]
    )
    assert summary["seconds"] > 0
    assert sum(summary["endings"].values()) > 100
    images = read(runs / "whole" / "molecules.extxyz", index=":")
    assert [image.get_chemical_formula() for image in images] == ["H2O"] * 4
    assert summary["valid_fraction"] == sum(image.info["valid"] for image in images) / 4
    mols = Chem.SDMolSupplier(str(runs / "whole" / "molecules.sdf"), removeHs=False, sanitize=False)
    assert [mol.GetNumAtoms() for mol in mols] == [3] * 4


def test_train_writes_files_with_the_usual_permissions(runs):
    file, folder = runs / "any", runs / "any folder"
    file.touch()
    folder.mkdir()
    paths = [runs / "whole", *(runs / "whole").rglob("*")]
    assert runs / "whole" / "checkpoints" / "step-000000001024" / "tensors.safetensors" in paths
    wanted = {path: (folder if path.is_dir() else file).stat().st_mode for path in paths}
    assert {path: path.stat().st_mode for path in paths} == wanted


def files_that_must_agree(run):
    names = ("metrics.csv", "evaluations.csv", "molecules.extxyz", "molecules.sdf")
    names += tuple(f"{name}.safetensors" for name in ("policy", "policy-best", "policy-average"))
    return {name: (run / name).read_bytes() for name in names}


def test_train_depends_on_the_seed_only(runs, tmp_path):
    train = ["train", str(runs / "train.yaml")]
    assert main([*train, f"run_dir={tmp_path / 'again'}"]) == 0
    assert main([*train, f"run_dir={tmp_path / 'other'}", "seed=1"]) == 0
    folders = (runs / "whole", tmp_path / "again", tmp_path / "other")
    one, same, other = (read_metrics(folder / "metrics.csv") for folder in folders)
    for row, alike, unlike in zip(one, same, other, strict=True):
        assert alike == pytest.approx(row, rel=1e-3, abs=1e-4)  # float32 leaves less than 1e-6
        assert unlike != pytest.approx(row, rel=1e-3, abs=1e-4)
    images, again = (read(folder / "molecules.extxyz", index=":") for folder in folders[:2])
    for image, alike in zip(images, again, strict=True):
        assert alike.get_chemical_symbols() == image.get_chemical_symbols()
        assert alike.positions == pytest.approx(image.positions, abs=1e-3)  # Å


@pytest.mark.bitwise
@pytest.mark.parametrize("corrupted", [False, True], ids=["valid", "corrupted"])
def test_resume_continues_a_training_bit_for_bit(runs, tmp_path, corrupted, capsys):
    run = tmp_path / "moved"
    shutil.copytree(runs / "whole", run)
    whole = files_that_must_agree(run)
    for name in ("summary.json", "policy.json", "molecules.extxyz"):
        (run / name).unlink()
    checkpoints = Checkpoints(run / "checkpoints")
    shutil.rmtree(checkpoints.path(1024))
    if corrupted:
        (checkpoints.path(768) / "state.json").write_text("{}")
    capsys.readouterr()
    assert main(["resume", str(run)]) == 0
    assert ("step-000000000768/state.json is corrupted" in capsys.readouterr().err) == corrupted
    assert files_that_must_agree(run) == whole
    counts = [json.loads((r / "summary.json").read_text()) for r in (run, runs / "whole")]
    assert counts[0]["training_energy_calls"] == counts[1]["training_energy_calls"] > 500


def test_resume_of_a_finished_run_prints_the_summary_and_checks_checkpoints(runs, tmp_path, capsys):
    run = tmp_path / "finished"
    shutil.copytree(runs / "whole", run)
    before = files_that_must_agree(run)
    assert main(["resume", str(run)]) == 0
    said = capsys.readouterr()
    assert "is finished" in said.out
    assert said.out.splitlines()[-1].startswith("evaluator")
    assert files_that_must_agree(run) == before
    for path in (run / "checkpoints").glob("*/manifest.json"):
        path.write_text("{}")
    assert main(["resume", str(run)]) == 2
    assert "holds no valid checkpoint" in capsys.readouterr().err.splitlines()[-1]


def test_resume_with_more_steps_trains_on(runs, tmp_path, capsys):
    run = tmp_path / "longer"
    shutil.copytree(runs / "whole", run)
    before = (run / "metrics.csv").read_text()
    assert main(["resume", str(run), "total_steps=1280"]) == 0
    assert (run / "metrics.csv").read_text().startswith(before)
    rows = [read_metrics(run / name) for name in ("metrics.csv", "evaluations.csv")]
    assert [[row["steps"] for row in part] for part in rows] == [
        [256, 512, 768, 1024, 1280],
        [512, 1024, 1280],
    ]
    assert Checkpoints(run / "checkpoints").steps()[-1] == 1280
    assert "total_steps: 1280" in (run / "config.yaml").read_text()
    before_it = Checkpoints(runs / "whole" / "checkpoints").load_latest(print)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["seconds"] > before_it.state["seconds"]
    assert summary["training_energy_calls"] > before_it.state["energy_calls"] > 500
    capsys.readouterr()
    assert main(["resume", str(run)]) == 0
    assert "is finished; to go on, give total_steps=N" in capsys.readouterr().out


def test_resume_tells_that_a_config_was_edited(runs, tmp_path, capsys):
    run = tmp_path / "edited"
    shutil.copytree(runs / "whole", run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("ema: 0.9\n", "ema: 0.8\n"))
    assert main(["resume", str(run), "total_steps=1280"]) == 0
    assert f"molrl: {config} was edited after the run began" in capsys.readouterr().err


def test_generate_does_not_take_the_last_policy_for_a_best_that_is_lost(runs, tmp_path, capsys):
    run = tmp_path / "lost"
    shutil.copytree(runs / "whole", run)
    (run / "policy-best.json").unlink()
    given = ["--method", f"run:{run}", "--bag", "CH4O", "-n", "1", "-o", str(tmp_path / "o.sdf")]
    assert main(["generate", *given]) == 2
    assert "policy-best.json is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("total_steps=1024", "the run has done 1024 steps; give a larger total_steps"),
        ("seed=1", "only total_steps=N can be given, not 'seed=1'"),
        ("total_steps=x", "total_steps must be a valid integer"),
    ],
)
def test_resume_refuses_other_overrides_and_changes_nothing(runs, tmp_path, capsys, override, said):
    run = tmp_path / "same"
    shutil.copytree(runs / "whole", run)
    before = {path: path.read_bytes() for path in run.glob("*.*")}
    assert main(["resume", str(run), override]) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.glob("*.*")} == before


def test_resume_without_checkpoints_refuses_to_replace_results(runs, tmp_path, capsys):
    run = tmp_path / "bare"
    shutil.copytree(runs / "whole", run)
    shutil.rmtree(run / "checkpoints")
    before = {path: path.read_bytes() for path in run.glob("*.*")}
    assert main(["resume", str(run), "total_steps=1280"]) == 2
    assert "has results but no checkpoint" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.glob("*.*")} == before


def test_train_starts_from_the_policy_of_a_run(runs, tmp_path):
    start, run = tmp_path / "start", tmp_path / "run"
    shutil.copytree(runs / "whole", start)
    train = ["train", str(runs / "train.yaml"), f"run_dir={run}", "total_steps=256"]
    slow = ["algorithm.learning_rate=1e-9", "algorithm.final_learning_rate=1e-9"]
    assert main([*train, *slow, f"policy.start=run:{start}"]) == 0
    wanted, _ = read_policy(start)
    for which in ("last", "average"):
        weights, header = read_policy(run, which)
        assert header.policy.start is None  # a header names no path
        for name, tensor in wanted.items():
            torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-6)
    shutil.rmtree(start)
    (run / "summary.json").unlink()
    assert main(["resume", str(run)]) == 0  # the checkpoint has the weights


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("policy.width=32", "has width 16, not 32; give policy.width=16"),
        (
            "task.bag=H2S",
            "the elements H, C, N, O, the task from H, C, N, O, S; start from another run",
        ),
        ("policy.start=absent", "policy.start: 'absent' is not a run; write run:PATH"),
        ("policy.start=run:absent", "absent/policy.json does not exist"),
    ],
)
def test_train_refuses_to_start_from_what_does_not_fit(runs, tmp_path, capsys, override, said):
    train = ["train", str(runs / "train.yaml"), f"run_dir={tmp_path / 'run'}"]
    start = f"policy.start=run:{runs / 'whole'}"
    assert main([*train, *override_defaults([start], [override])]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("which", [None, "best", "average", "last"])
def test_generate_takes_the_policy_that_is_named(runs, which):
    generator = AgentGenerator(runs / "whole", policy=which)
    wanted = read_policy(runs / "whole", which or "best")[1]
    assert generator.header == wanted
    assert len(generator.generate("H2O", 1, seed=0).molecules) == 1


@pytest.mark.parametrize(
    ("run", "which", "said"),
    [
        ("whole", "bst", "policy 'bst' is not kept; did you mean 'best'?"),
        ("whole/policy.json", "best", "is one policy; leave out policy=best"),
        ("absent", "average", "absent has no average policy, the file policy-average.json"),
    ],
)
def test_generator_refuses_a_policy_that_there_is_not(runs, run, which, said):
    with pytest.raises(InputError, match=re.escape(said)):
        AgentGenerator(runs / run, policy=which)


def test_generate_writes_molecules_that_evaluate_reads(runs, tmp_path, capsys):
    output, figures = str(tmp_path / "made.sdf"), str(tmp_path / "figures.json")
    method = f"run:{runs / 'whole'}"
    asked = ["--method", method, "--bag", "OH2", "-n", "3", "--seed", "5"]
    assert main(["generate", *asked, "-o", output]) == 0
    assert main(["evaluate", output, "--json", figures]) == 0
    summary = json.loads((tmp_path / "figures.json").read_text())
    assert summary["n_molecules"] == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith("evaluator")


def test_train_with_custom_weights_can_generate(runs, tmp_path):
    potential, _ = load_potential(SHIPPED["mace"])
    tensors = dict(potential.network.named_parameters())
    save_potential(tmp_path / "custom.json", potential, {k: 1.001 * v for k, v in tensors.items()})
    run, output = tmp_path / "run", tmp_path / "made.extxyz"
    custom = [f"energy=mace:{tmp_path / 'custom.json'}", f"run_dir={run}", "total_steps=256"]
    assert main(["train", str(runs / "train.yaml"), *custom]) == 0
    asked = ["--method", f"run:{run}", "--bag", "H2O", "-n", "2", "-o", str(output)]
    assert main(["generate", *asked]) == 0
    assert len(read(output, index=":")) == 2


def test_train_with_other_reward_terms_uses_them_in_the_summary(runs, tmp_path):
    run = tmp_path / "run"
    reward = ["env.reward={energy: 1.0, valid: 100.0}", "env.max_steps=3", "total_steps=256"]
    assert main(["train", str(runs / "train.yaml"), *reward, f"run_dir={run}"]) == 0
    header = AgentGenerator(run).header
    assert (header.reward, header.max_steps) == ({"energy": 1.0, "valid": 100.0}, 3)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["return_fraction"] is None
    share = summary["n_valid"] / summary["attempts"]
    assert summary["mean_return"] == pytest.approx(100 * share, abs=25)  # eV; the rest is energy
    assert {row["return_fraction"] for row in read_metrics(run / "metrics.csv")} == {None}


def test_train_summarises_a_policy_that_completes_nothing(runs, tmp_path, capsys):
    run = tmp_path / "run"
    never = ["env.rules={clash_distance: 2.0}", "total_steps=256", "evaluation.n_molecules=1"]
    assert main(["train", str(runs / "train.yaml"), *never, f"run_dir={run}"]) == 0
    assert "no molecules to evaluate: too few episodes place all atoms" in capsys.readouterr().err
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["n_molecules"], summary["valid_fraction_per_attempt"]) == (0, 0.0)
    assert summary["attempts"] > 200  # none of which placed all atoms
    fraction = summary["mean_return"] / summary["reference_return"]
    assert summary["return_fraction"] == pytest.approx(fraction)
    assert summary["mean_return"] < summary["reference_return"]
    assert (run / "curve.png").is_file()
    assert main(["resume", str(run)]) == 0


def test_train_writes_the_traceback_of_an_error_to_the_folder(runs, tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise MemoryError("full")

    monkeypatch.setattr("molrl.cli.agent_run.evaluate_molecules", fail)
    run = tmp_path / "broken"
    assert main(["train", str(runs / "train.yaml"), f"run_dir={run}", "total_steps=256"]) == 1
    line = f"molrl: error: MemoryError: full; the traceback is in {run / 'error.log'}\n"
    assert capsys.readouterr().err == line
    assert "in fail" in (run / "error.log").read_text()


@pytest.mark.bitwise
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 75)])
def test_train_stopped_by_a_signal_saves_and_resumes_bit_for_bit(
    runs, tmp_path, run_signalled, name, code
):
    number = getattr(signal, name, None) or pytest.skip(f"there is no {name} here")
    run = tmp_path / "run"
    train = ["train", runs / "train.yaml", f"run_dir={run}"]
    said = f"stopped by {name}; saved at step 512; resume with `molrl resume {run}`"
    assert run_signalled(number, 512, *train) == (code, f"molrl: {said}")
    assert Checkpoints(run / "checkpoints").steps()[-1] == 512
    assert main(["resume", str(run)]) == 0
    assert files_that_must_agree(run) == files_that_must_agree(runs / "whole")

"""What works stays as it was recorded in this folder; see golden.py for how it is recorded anew."""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from molrl.cli.main import main
from molrl.files import read_molecules
from molrl.runs.checkpoints import Checkpoints

sys.path.append(str(Path(__file__).parent))

import golden


def recorded(name):
    return json.loads((golden.FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def molecules():
    return read_molecules(golden.FOLDER / "molecules.extxyz")


@pytest.fixture(scope="module")
def energies():
    return recorded("energies.json")


@pytest.mark.parametrize("name", golden.NETWORKS)
def test_shipped_networks_give_the_recorded_energies_and_forces(name, molecules, energies):
    energy, forces = golden.evaluate_double(name, molecules)
    np.testing.assert_allclose(energy, energies[name]["energy"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(forces, energies[name]["forces"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", golden.NETWORKS)
def test_shipped_models_compute_them_in_float32(name, molecules, energies):
    energy, forces = golden.evaluate(name, molecules)
    np.testing.assert_allclose(energy, energies[name]["energy"], rtol=0, atol=5e-4)
    np.testing.assert_allclose(forces, energies[name]["forces"], rtol=0, atol=5e-3)


def test_gfn2_gives_the_recorded_energies_and_forces(molecules, energies):
    energy, forces = golden.evaluate("gfn2", molecules)
    np.testing.assert_allclose(energy, energies["gfn2"]["energy"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(forces, energies["gfn2"]["forces"], rtol=0, atol=1e-5)


def test_hashes_name_the_recorded_models():
    hashes, before = golden.name_models(), recorded("models.json")
    if version("tblite") != before["gfn2"]["tblite"]:
        assert hashes["gfn2"]["hash"] != before["gfn2"]["hash"]
        del hashes["gfn2"], before["gfn2"]
    assert hashes == before


def test_shipped_files_are_the_recorded_ones():
    assert golden.sum_files() == recorded("files.json")


@pytest.mark.parametrize("env_id", recorded("trajectories.json"))
def test_environments_repeat_the_recorded_trajectories(env_id):
    before = recorded("trajectories.json")[env_id]
    steps = golden.play(env_id, [step["action"] for step in before])
    for i, (now, then) in enumerate(zip(steps, before, strict=True)):
        for key in ("before", "numbers", "reason", "ended"):
            assert now[key] == then[key], f"step {i}: {key}"
        np.testing.assert_allclose(now["positions"], then["positions"], rtol=0, atol=1e-5)
        for key in ("reward", "energy"):
            assert now[key] == pytest.approx(then[key], abs=1e-3), f"step {i}: {key}"


def test_public_names_ids_and_commands_are_the_recorded_ones():
    assert golden.list_public_names() == (golden.FOLDER / "public.txt").read_text(encoding="utf-8")


def test_shipped_molecules_have_the_recorded_identities():
    before = (golden.FOLDER / "identities.tsv").read_text(encoding="utf-8")
    assert golden.identify_shipped().splitlines() == before.splitlines()


def refused_for_its_version(line):
    """Whether a line says which version of molrl or of the energy model the run was begun with."""
    origin, policy = recorded("run/versions.json"), recorded("run/policy.json")
    return any(name in line for name in (policy["energy_hash"], f"molrl {origin['molrl']}"))


def test_an_old_run_is_refused_with_the_new_form_of_its_config(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(golden.FOLDER / "run", run)
    assert main(["resume", str(run)]) == 2
    said = capsys.readouterr().err
    assert "the agent is now the policy; write policy: {name: covariant, ...}" in said
    assert "ppo is now the algorithm; write algorithm: {name: ppo, ...}" in said


def test_an_old_run_with_the_new_form_resumes_or_is_refused_for_its_version(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(golden.FOLDER / "run", run)
    text = (run / "config.yaml").read_text().replace("agent: covariant\n", "")
    (run / "config.yaml").write_text(text.replace("ppo:\n", "algorithm:\n  name: ppo\n"))
    code = main(["resume", str(run)])
    if code:
        assert code == 2
        assert refused_for_its_version(capsys.readouterr().err)
    else:
        assert Checkpoints(run / "checkpoints").steps()[-1] == 1536
        assert (run / "summary.json").is_file()


def test_an_old_policy_generates_or_is_refused_for_its_version(tmp_path, capsys):
    output = tmp_path / "made.extxyz"
    method = f"covariant:{golden.FOLDER / 'run'}"
    code = main(["generate", "--method", method, "--bag", "CH4", "-n", "2", "-o", str(output)])
    if code:
        assert code == 2
        assert refused_for_its_version(capsys.readouterr().err)
    else:
        assert read_molecules(output).n_atoms.tolist() == [5, 5]

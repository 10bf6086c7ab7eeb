"""Run folders: created in an empty place, locked, opened again, with a log of failures."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import molrl
from molrl.errors import InputError
from molrl.runs.config import Config, read_mapping
from molrl.runs.failures import RunFailed
from molrl.runs.folder import RunFolder
from molrl.runs.signals import Stopped


class Settings(Config):
    seed: int = 0
    rate: float = 1e-3


class Section(Config):
    width: int = 4
    depth: int = 1


class Nested(Settings):
    section: Section = Section()


def test_run_folder_is_created_and_opened_again(tmp_path):
    begun = RunFolder.create(tmp_path / "runs" / "a", Settings(seed=3), "train")
    found = RunFolder.open(tmp_path / "runs" / "a")
    assert found.load_config(Settings) == Settings(seed=3)
    assert found.load_config(Settings, ["seed=5"]) == Settings(seed=5)
    versions = json.loads(begun.versions_file.read_text())
    assert versions["molrl"] == molrl.__version__
    assert {"python", "torch", "numpy", "commit"} <= versions.keys()
    assert versions["machine"].keys() == {"system", "cpu", "cores", "gpu"}
    assert found.command == "train"
    assert found.read_summary() is None
    begun.write_summary({"return_fraction": 0.95})
    assert found.read_summary() == {"return_fraction": 0.95}


def test_run_folder_tells_an_edited_config_from_one_that_was_extended(tmp_path):
    folder = RunFolder.create(tmp_path / "run", Settings(), "train")
    assert not folder.is_edited
    folder.extend(Settings(seed=4))
    assert not folder.is_edited
    folder.config_file.write_text(folder.config_file.read_text().replace("seed: 4", "seed: 5"))
    assert folder.is_edited


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("seed: 3\nsection:\n  width: 8\n  depth: 2\n", "rate"),
        ("seed: 3\nrate: 0.1\nsection:\n  width: 8\n", "section.depth"),
        ("seed: 3\nrate: 0.1\n", "section"),
    ],
)
def test_run_folder_refuses_a_config_that_lost_keys(tmp_path, text, lacks):
    folder = RunFolder.create(tmp_path, Nested(seed=3), "train")
    assert folder.load_config(Nested) == Nested(seed=3)
    folder.config_file.write_text(text)
    with pytest.raises(InputError, match=f"config.yaml lacks {lacks}: it is cut off"):
        folder.load_config(Nested)


def test_run_folder_is_created_in_an_empty_folder_only(tmp_path):
    (tmp_path / "a").mkdir()
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with folder.lock_and_log():
        pass
    before = folder.config_file.read_bytes()
    (tmp_path / "a-2").mkdir()
    with pytest.raises(InputError, match=r"not empty.*molrl resume .*a`.*run_dir=.*a-3$"):
        RunFolder.create(tmp_path / "a", Settings(seed=1), "train")
    assert folder.config_file.read_bytes() == before


@pytest.mark.parametrize("path", [".", "..", "/", "a/.."])
def test_run_folder_without_a_name_is_refused_with_a_free_one(tmp_path, monkeypatch, path):
    (tmp_path / "here" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError) as refused:
        RunFolder(path).ensure_new()
    said, free = str(refused.value).split("; start a new run with run_dir=")
    assert said == f"run_dir {Path(path)} is not empty"
    assert not Path(free).exists()
    assert Path(free).name.endswith("-2")


@pytest.mark.parametrize("path", ["file", "file/run", "file/run/deeper"])
def test_run_folder_names_a_file_in_its_path(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file is a file; name another"):
        RunFolder.create(tmp_path / path, Settings(), "train")


def test_run_folder_refuses_an_impossible_path(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        RunFolder.create(tmp_path / ("x" * 300), Settings(), "train")


def test_run_folder_open_refuses_other_folders(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="is not a run folder"):
            RunFolder.open(path)


def test_lock_and_log_writes_the_traceback_of_an_unexpected_error(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with pytest.raises(RunFailed) as failed, folder.lock_and_log():
        raise ZeroDivisionError("no")
    assert failed.value.log == folder.log_file
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError: no" in folder.log_file.read_text()


def test_write_summary_deletes_the_log_of_an_earlier_failure(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with pytest.raises(RunFailed), folder.lock_and_log():
        raise ZeroDivisionError
    with folder.lock_and_log():
        assert folder.log_file.exists()
        folder.write_summary({"seconds": 1.0})
    assert not folder.log_file.exists()


def test_read_summary_says_what_to_do_about_a_damaged_one(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    folder.summary_file.write_text("{")
    with pytest.raises(InputError, match=r"summary.json is corrupted.*; delete it, and `molrl res"):
        folder.read_summary()


def test_lock_of_a_folder_that_cannot_be_written_advises_what_fits(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with folder.lock_and_log():
        pass
    folder.path.joinpath(".lock").unlink(missing_ok=True)
    folder.path.joinpath(".lock").mkdir()  # which fails for any user
    with pytest.raises(InputError, match=r"a cannot be written: .*; make it writable, or resume"):
        folder.lock().__enter__()
    with pytest.raises(InputError, match=r"run_dir .*a is not empty"):
        folder.ensure_new()


def test_lock_and_log_passes_input_errors_and_tells_how_to_resume(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with pytest.raises(InputError, match=r"^bad$"), folder.lock_and_log():
        raise InputError("bad")
    with pytest.raises(Stopped, match=r"SIGINT; saved; resume .*a`"), folder.lock_and_log():
        raise Stopped(signal.SIGINT, "saved")
    assert not folder.log_file.exists()


def test_run_folder_quotes_its_commands_for_a_shell(tmp_path):
    path = tmp_path / "läufe mit leer" / "α's run"
    folder = RunFolder.create(path, Settings(), "train")
    with pytest.raises(Stopped) as stopped, folder.lock_and_log():
        raise Stopped(signal.SIGINT, "saved")
    with pytest.raises(InputError) as refused:
        RunFolder.create(path, Settings(), "train")
    for line in (stopped.value.detail, str(refused.value)):
        assert shlex.split(line.split("`")[1]) == ["molrl", "resume", str(path)]
    anew = str(refused.value).partition("new run with ")[2]
    assert shlex.split(anew) == [f"run_dir={path}-2"]


def test_lock_excludes_others_and_deletes_leftovers(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    (folder.path / ".mace.json.abcd1234.json").touch()  # left by a killed process
    with folder.lock_and_log():
        assert not list(folder.path.glob(".mace*"))
        other = RunFolder.open(folder.path)
        with pytest.raises(InputError, match="another process uses"), other.lock_and_log():
            pass
        with pytest.raises(InputError, match="another process uses"), other.lock():
            pass
    with folder.lock(), folder.lock_and_log():
        folder.write_summary({"seconds": 1.0})
    with pytest.raises(InputError, match="has just finished"), folder.lock():
        pass


def test_run_folder_is_locked_from_its_creation_on(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    other = RunFolder.open(folder.path)
    with pytest.raises(InputError, match="another process uses"), other.lock():
        pass
    with folder.lock_and_log():
        pass
    with other.lock_and_log():
        pass


def test_run_folder_is_created_where_only_a_lock_file_is(tmp_path):
    (tmp_path / ".lock").touch()
    assert RunFolder.create(tmp_path, Settings(), "train").load_config(Settings) == Settings()


# Two of these create the same runs at once: each waits for the other before it tries, and before it
# ends. The loser must not delete the temporary file of the winner.
CREATE = """
import json, sys
from pathlib import Path
from molrl.errors import InputError
from molrl.runs.config import Config
from molrl.runs.folder import RunFolder

class Settings(Config):
    seed: int

def meet(number, where):
    (place / f"{number}-{where}-{seed}").touch()
    while len(list(place.glob(f"{number}-{where}-*"))) < 2:
        pass

def create(number):
    meet(number, "start")
    try:
        folder = RunFolder.create(place / f"run-{number}", Settings(seed=seed), "train")
        with folder.lock_and_log():
            (folder.path / ".mace.json.abcd1234.json").touch()
            meet(number, "refused")
            meet(number, "end")
    except InputError as refused:
        meet(number, "refused")
        try:
            RunFolder.create(place / f"run-{number}", Settings(seed=seed), "train")
        except InputError as again:
            meet(number, "end")
            return [str(refused), str(again)]
    return seed

place, seed = Path(sys.argv[1]), int(sys.argv[2])
print(json.dumps([create(number) for number in range(int(sys.argv[3]))]))
"""


def test_run_folder_created_by_two_processes_at_once_belongs_to_one(tmp_path):
    tries = 8
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(tmp_path), str(seed), str(tries)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    try:
        said = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    finally:
        for process in both:
            process.kill()
    for number, outcomes in enumerate(zip(*said, strict=True)):
        path = tmp_path / f"run-{number}"
        refusal = f"another process uses {path}; wait until it has finished"
        (winner,) = (seed for seed in (1, 2) if outcomes[seed - 1] == seed)
        assert outcomes[2 - winner] == [refusal, refusal]
        assert read_mapping(RunFolder.open(path).config_file)["seed"] == winner
        names = {file.name for file in path.iterdir()} - {".lock"}  # some systems do not delete it
        assert names == {".mace.json.abcd1234.json", "config.yaml", "versions.json"}

"""Run folders: begun in a free place, found again, and what failed is written down."""

import json
import shlex
import signal
import subprocess
import sys

import pytest

import molrl
from molrl.errors import InputError
from molrl.runs.config import Config
from molrl.runs.failures import RunFailed
from molrl.runs.folder import RunFolder
from molrl.runs.signals import Stopped


class Settings(Config):
    seed: int = 0
    rate: float = 1e-3


def test_a_run_is_begun_and_found_again(tmp_path):
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


def test_an_empty_folder_is_free_and_a_run_is_not(tmp_path):
    (tmp_path / "a").mkdir()
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with folder.at_work():
        pass
    before = folder.config_file.read_bytes()
    (tmp_path / "a-2").mkdir()
    with pytest.raises(InputError, match=r"not empty.*molrl resume .*a`.*run_dir=.*a-3$"):
        RunFolder.create(tmp_path / "a", Settings(seed=1), "train")
    assert folder.config_file.read_bytes() == before


@pytest.mark.parametrize("path", ["file", "file/run", "file/run/deeper"])
def test_a_file_in_the_way_is_named(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file is a file; name another"):
        RunFolder.create(tmp_path / path, Settings(), "train")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        RunFolder.create(tmp_path / ("x" * 300), Settings(), "train")


def test_what_is_no_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="is no run folder"):
            RunFolder.open(path)


def test_an_unforeseen_error_is_written_down(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with pytest.raises(RunFailed) as failed, folder.at_work():
        raise ZeroDivisionError("no")
    assert failed.value.log == folder.log_file
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError: no" in folder.log_file.read_text()


def test_bad_input_passes_as_it_is_and_an_interrupt_says_how_to_go_on(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    with pytest.raises(InputError, match=r"^bad$"), folder.at_work():
        raise InputError("bad")
    with pytest.raises(Stopped, match=r"SIGINT; saved; go on .*a`"), folder.at_work():
        raise Stopped(signal.SIGINT, "saved")
    assert not folder.log_file.exists()


def test_run_folder_says_how_to_go_on_in_words_that_a_shell_takes(tmp_path):
    path = tmp_path / "läufe mit leer" / "α's run"
    folder = RunFolder.create(path, Settings(), "train")
    with pytest.raises(Stopped) as stopped, folder.at_work():
        raise Stopped(signal.SIGINT, "saved")
    with pytest.raises(InputError) as refused:
        RunFolder.create(path, Settings(), "train")
    for line in (stopped.value.said, str(refused.value)):
        assert shlex.split(line.split("`")[1]) == ["molrl", "resume", str(path)]
    anew = str(refused.value).partition("begin anew with ")[2]
    assert shlex.split(anew) == [f"run_dir={path}-2"]


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    (folder.path / ".mace.json.abcd1234.json").touch()  # what a kill left
    with folder.at_work():
        assert not list(folder.path.glob(".mace*"))
        other = RunFolder.open(folder.path)
        with pytest.raises(InputError, match="another process works in"), other.at_work():
            pass
        with pytest.raises(InputError, match="another process works in"), other.held():
            pass
    with folder.held(), folder.at_work():
        folder.write_summary({"seconds": 1.0})
    with pytest.raises(InputError, match="has just finished"), folder.held():
        pass


def test_run_folder_is_held_from_its_creation_on(tmp_path):
    folder = RunFolder.create(tmp_path / "a", Settings(), "train")
    other = RunFolder.open(folder.path)
    with pytest.raises(InputError, match="another process works in"), other.held():
        pass
    with folder.at_work():
        pass
    with other.at_work():
        pass


def test_run_folder_that_holds_a_lock_and_nothing_else_is_free(tmp_path):
    (tmp_path / ".lock").touch()
    assert RunFolder.create(tmp_path, Settings(), "train").load_config(Settings) == Settings()


# Two of these begin the same runs at once: each waits for the other before it tries, and before it
# goes away. What the winner is writing when the loser comes is no litter.
BEGIN = """
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

def begin(number):
    meet(number, "start")
    try:
        folder = RunFolder.create(place / f"run-{number}", Settings(seed=seed), "train")
        with folder.at_work():
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
print(json.dumps([begin(number) for number in range(int(sys.argv[3]))]))
"""


def test_run_folder_begun_by_two_at_once_is_that_of_the_one_that_was_not_refused(tmp_path):
    tries = 8
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(tmp_path), str(seed), str(tries)],
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
        refusal = f"another process works in {path}; wait for it"
        (winner,) = (seed for seed in (1, 2) if outcomes[seed - 1] == seed)
        assert outcomes[2 - winner] == [refusal, refusal]
        assert RunFolder.open(path).load_config(Settings).seed == winner
        names = {file.name for file in path.iterdir()} - {".lock"}  # some systems leave it
        assert names == {".mace.json.abcd1234.json", "config.yaml", "versions.json"}

"""The command line: help, exit codes, and unexpected errors."""

import io
import os
import re
import signal
import subprocess
import sys

import pytest

import molrl
from molrl.cli import main as module
from molrl.cli.main import main
from molrl.energy.networks import NETWORKS
from molrl.runs.signals import Stopped

COMMANDS = [
    *("train", "resume", "launch", "generate", "evaluate"),
    *("energy", "energy data", "energy molecules", "energy fit", "energy learn"),
    *("energy evaluate", "energy convert", "relax"),
]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_commands_print_their_help(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: {' '.join(['molrl', *command.split()])}")
    assert said.err == ""


def test_train_help_lists_the_keys_of_every_algorithm(capsys):
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    for key in ("algorithm.name=ppo", "imitation (algorithm)", "algorithm.imitation_coef=1.0"):
        assert key in said
    assert "policy.angle_terms=3" in said
    assert said.count("algorithm.gamma=") == 1  # alike in all


def test_main_prints_its_help_without_arguments(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("usage: molrl ")


def test_main_prints_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"molrl {molrl.__version__}\n"


@pytest.fixture
def broken(monkeypatch):
    """``broken(error)``: have ``molrl resume`` raise an error."""

    def install(error):
        def fail(arguments):
            raise error

        monkeypatch.setattr("molrl.cli.resume.resume", fail)

    return install


def test_main_reports_an_unexpected_error_in_one_line(broken, capsys):
    broken(ZeroDivisionError("no\nway"))
    assert main(["resume", "run"]) == 1
    line = capsys.readouterr().err
    said = re.fullmatch(
        r"molrl: error: ZeroDivisionError: no way; the traceback is in (.*)\n", line
    )
    with open(said[1], encoding="utf-8") as log:
        assert "Traceback" in log.read()


def test_main_keeps_the_environment_of_its_caller(broken, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    broken(ZeroDivisionError())
    main(["resume", "run"])
    assert os.environ == before


THREADS = "import torch; print(torch.get_num_threads())"
# What PyTorch will read, and whether it has been imported too early for that.
SETTING = "import os, sys; print(os.environ['OMP_NUM_THREADS'], 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("wanted", "asked", "said"), [(None, THREADS, "1"), ("2", SETTING, "2 False")]
)
def test_run_uses_one_thread_unless_the_environment_sets_more(wanted, asked, said):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", f"import molrl.cli.main as m; m.run(); {asked}", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=environment | ({"OMP_NUM_THREADS": wanted} if wanted else {}),
    )
    assert done.stdout.splitlines()[-1] == said


def test_main_reports_a_signal_in_one_line(broken, capsys):
    broken(Stopped(signal.SIGTERM, "resume with `molrl resume run`"))
    assert main(["resume", "run"]) == 143
    said = "molrl: stopped by SIGTERM; resume with `molrl resume run`\n"
    assert capsys.readouterr().err == said


def test_main_reports_a_closed_pipe_in_one_line():
    code = (
        "import sys, molrl.cli.main as m\n"
        "def flood(arguments):\n"
        "    while True: print('x' * 1000)\n"
        "import molrl.cli.resume; molrl.cli.resume.resume = flood\n"
        "sys.exit(m.main(['resume', 'run']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == "molrl: error: the output pipe was closed\n"
    process.stderr.close()
    assert process.wait() == module.FAILED


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
@pytest.mark.parametrize("buffering", [0, -1], ids=["unbuffered", "buffered"])
def test_main_reports_output_that_cannot_be_written(buffering, monkeypatch, capsys):
    monkeypatch.setattr("molrl.cli.resume.resume", lambda arguments: print("finished") or 0)
    with io.TextIOWrapper(
        open("/dev/full", "wb", buffering=buffering), write_through=buffering == 0
    ) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["resume", "run"]) == module.FAILED
    line = "molrl: error: the output cannot be written: No space left on device\n"
    assert capsys.readouterr().err == line


# Prints what no ASCII stream can show, and a line on a standard error that may be closed.
PRINTING = """
import sys, molrl.cli.main as m, molrl.cli.resume
from molrl.runs.progress import log_message
def resume(arguments):
    print("RMSD 0.1 \u00c5")
    log_message("done")
    return 0
molrl.cli.resume.resume = resume
sys.exit(m.run())
"""


def test_run_replaces_what_standard_output_cannot_encode():
    done = subprocess.run(
        [sys.executable, "-c", PRINTING, "resume", "run"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert (done.stdout, done.stderr) == ("RMSD 0.1 ?\n", "molrl: done\n")


def test_run_ends_well_when_standard_error_is_closed():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-c", PRINTING, "resume", "run"],
            stdout=subprocess.PIPE,
            stderr=closed,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": "", "PYTHONIOENCODING": "utf-8"},
        )
    assert (done.stdout.decode(), done.returncode) == ("RMSD 0.1 Å\n", 0)


def test_run_gives_its_workers_a_standard_output_where_it_is_closed():
    child = "import os, sys; os.fstat(1); print('seen', file=sys.stderr)"
    code = (
        "import os, subprocess, sys, molrl.cli.main as m, molrl.cli.resume\n"
        f"child = [sys.executable, '-c', {child!r}]\n"
        "molrl.cli.resume.resume = lambda arguments: subprocess.run(child).returncode\n"
        "os.close(1)\n"
        "sys.stdout = None\n"
        "sys.exit(m.run())"
    )
    command = [sys.executable, "-c", code, "resume", "run"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=True)
    assert done.stderr.split() == [b"seen"]


def test_main_names_what_is_not_permitted(broken, capsys):
    broken(PermissionError(13, "Permission denied", "runs/a/config.yaml"))
    assert main(["resume", "run"]) == module.BAD_INPUT
    said = "molrl: error: runs/a/config.yaml: Permission denied; change its permissions"
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the folder of a process")
def test_main_says_that_the_current_folder_is_gone(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["generate", "--method", "random", "--bag", "CH4", "-o", "a.xyz"]) == 2
    assert "the current folder does not exist any more" in capsys.readouterr().err


def test_main_imports_the_modules_that_molrl_plugins_lists(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_parts.py").write_text(
        "from molrl.energy.networks import NETWORKS\n"
        "NETWORKS.register('of-a-plugin', 'my_parts:Network')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(NETWORKS, "_entries", dict(NETWORKS._entries))  # it is forgotten again
    monkeypatch.setenv("MOLRL_PLUGINS", "my_parts")
    assert main(["--version"]) == 0
    assert "of-a-plugin" in NETWORKS
    monkeypatch.setenv("MOLRL_PLUGINS", "my_parts, no_such_module")
    capsys.readouterr()
    assert main(["--version"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("molrl: error: MOLRL_PLUGINS: no_such_module cannot be imported: Module")

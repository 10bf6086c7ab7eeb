"""The command line. A command is imported when it is called, so that help is immediate."""

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from molrl.cli.parser import build_parser, load_target
from molrl.errors import InputError
from molrl.plugins import import_plugins, plugins_of_environment
from molrl.runs.failures import RunFailed, write_traceback
from molrl.runs.progress import log_message
from molrl.runs.signals import Stopped, stopping_at_once

BAD_INPUT, FAILED = 2, 1
_CLOSED = "the output pipe was closed"


def run() -> int:
    """Run the command of this process, on one CPU thread unless OMP_NUM_THREADS is set.

    Returns:
        The exit code, as :func:`main`.
    """
    # Small tensors: on a busy machine a second thread makes training 3 times slower. PyTorch reads
    # the variable when it is imported, which only the commands do.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _prepare_streams()
    code = main()
    try:
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)
    return code


def _prepare_streams() -> None:
    """Make both streams writable where they are closed or do not know a character.

    Without the descriptor of a stream the next file or pipe would have it, and workers none.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, without changing the environment of the process.

    Args:
        argv: the arguments after ``molrl``; those of the process if None.

    Modules listed in the variable MOLRL_PLUGINS, separated by commas, are imported first.

    Returns:
        The exit code: 0 for success; 1 for a failure, whose traceback is in the file named; 2 for
        invalid input; 130 after SIGINT, 143 after SIGTERM, and 75 after SIGUSR1, which asks a
        scheduler to requeue the run. All but 0 come with one line on standard error. Output that
        cannot be written is a failure, too.

    Example:
        >>> main(["train", "experiments/quickstart.yaml"])  # doctest: +SKIP
        0
    """
    code = _run_command(sys.argv[1:] if argv is None else argv)
    failure = _failure_of_output()
    return _fail(failure, FAILED) if failure and not code else code


def _run_command(argv: Sequence[str]) -> int:
    try:
        with stopping_at_once():
            import_plugins(plugins_of_environment(), where="MOLRL_PLUGINS")
            return _dispatch(argv)
    except SystemExit as done:  # argparse has printed the help or the version
        return int(done.code or 0)
    except InputError as error:
        return _fail(str(error), BAD_INPUT)
    except Stopped as stopped:
        return _print_line(str(stopped), stopped.exit_code)
    except BrokenPipeError:
        _drop(sys.stdout)
        return _fail(_CLOSED, FAILED)
    except RunFailed as failure:
        return _fail(f"{_describe(failure.__cause__)}; {failure}", FAILED)
    except Exception as error:
        if wrong := _wrong_place(error):
            return _fail(wrong, BAD_INPUT)
        if isinstance(error, OSError) and (unwritten := _failure_of_output("\n")):
            return _fail(unwritten, FAILED)
        log = write_traceback(error)
        return _fail(f"{_describe(error)}; the traceback is in {log}", FAILED)


def _wrong_place(error: Exception) -> str:
    """Return what is not permitted, or that the current folder is gone; else an empty string."""
    if isinstance(error, PermissionError) and error.filename:
        return f"{error.filename}: {error.strerror}; change its permissions, or name another"
    if isinstance(error, FileNotFoundError):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the current folder does not exist any more; change to another"
    return ""


def _failure_of_output(more: str = "") -> str:
    """Return why what was printed cannot be written, and drop it; an empty string if it can.

    Without a buffer, what failed is gone, so that only ``more`` tells.
    """
    try:
        sys.stdout.write(more)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
        return _CLOSED
    except OSError as error:
        _drop(sys.stdout)
        return f"the output cannot be written: {error.strerror}"
    return ""


def _drop(stream: TextIO) -> None:
    """Send what a stream holds nowhere, so that the flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; those of a command that takes words may stand after options, too.

    Raises:
        InputError: if one is unknown.
    """
    arguments, unknown = build_parser().parse_known_args(argv or ["--help"])
    if arguments.words_after:  # argparse takes no words after options
        late = [word for word in unknown if not word.startswith("-")]
        getattr(arguments, arguments.words_after).extend(late)
        unknown = [word for word in unknown if word not in late]
    if unknown:
        raise InputError(arguments.parser.explain_unknown(unknown[0]))
    return arguments


def _dispatch(argv: Sequence[str]) -> int:
    arguments = parse(argv)
    if "file" in arguments:
        _check_readable(arguments.file)  # said at once
    _mention_formula(getattr(arguments, "bag", None) or "")
    if arguments.schema:
        from molrl.cli.configs import announce_loading, read_config

        arguments.config = read_config(arguments, load_target(arguments.schema))
        announce_loading(arguments.config)
    code: int = load_target(arguments.target)(arguments)
    return code


def _check_readable(file: str) -> None:
    if os.path.isdir(file):
        raise InputError(f"{file} is a folder; name a file in it")
    if not os.path.exists(file):
        raise InputError(f"{file} does not exist")


def _mention_formula(text: str) -> None:
    """Say how a formula that looks like a SMILES is read, such as CCO."""
    if re.fullmatch(r"(?:Cl|Br|[BCNOFPSI]){2,}", text):
        from molrl.bags import Bag

        if (formula := Bag(text).formula) != text:
            log_message(f"{text} is read as the formula {formula}; a SMILES is not taken here")


def _fail(line: str, code: int) -> int:
    return _print_line(f"error: {line}", code)


def _print_line(line: str, code: int) -> int:
    log_message(line)
    return code


def _describe(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(run())

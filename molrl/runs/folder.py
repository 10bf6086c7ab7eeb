"""The folder of a run: its files, its creation, its lock and its error log."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from molrl.errors import InputError
from molrl.runs.atomic import TEMPORARY, write_text
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.config import Config, ConfigT, dump_config, load_config, read_mapping
from molrl.runs.failures import RunFailed, write_traceback
from molrl.runs.signals import Stopped
from molrl.runs.versions import versions
from molrl.runs.weights import read_json, sha256

# Left by a process that was killed before the run began, or that found the folder locked.
_UNBEGUN = re.compile(r"versions\.json|\.(versions|config)\.|\.lock$")
_SUMS = "config_sha256"  # of the configs that the run has had, so that edits are seen


class RunFolder:
    """The folder of a run and the paths in it.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        config_file: the resolved config, YAML.
        versions_file: the command that created the run, the package versions and the machine,
            JSON.
        metrics_file: one row per report, CSV.
        evaluations_file: one row per evaluation during the training, CSV.
        tensorboard: folder of the TensorBoard events.
        summary_file: the summary of the finished run, JSON.
        curve_file: the learning curve, PNG.
        picture_file: the best molecules, PNG.
        molecules_file: the molecules that the summary is about, extended XYZ.
        sdf_file: the same molecules, SDF.
        log_file: the traceback of a run that failed.

    Example:
        >>> folder = RunFolder.open("runs/quickstart")  # doctest: +SKIP
        >>> folder.read_summary()["valid_fraction"]  # doctest: +SKIP
        1.0
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.versions_file = self.path / "versions.json"
        self.metrics_file = self.path / "metrics.csv"
        self.evaluations_file = self.path / "evaluations.csv"
        self.tensorboard = self.path / "tensorboard"
        self.summary_file = self.path / "summary.json"
        self.curve_file = self.path / "curve.png"
        self.picture_file = self.path / "molecules.png"
        self.molecules_file = self.path / "molecules.extxyz"
        self.sdf_file = self.path / "molecules.sdf"
        self.log_file = self.path / "error.log"
        self._file_lock = FileLock(self.path / ".lock", thread_local=False)
        self._in_use = False

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints of the run."""
        return Checkpoints(self.path / "checkpoints")

    @classmethod
    def create(cls, path: Path | str, config: Config, command: str) -> "RunFolder":
        """Create the folder of a new run, with the resolved config and the versions.

        The folder is locked from here until the end of :meth:`lock` or :meth:`lock_and_log`.

        Args:
            path: the folder.
            config: the config of the run.
            command: the command of ``molrl`` that creates it.

        Returns:
            The locked folder.

        Raises:
            InputError: if the folder is not empty, another process uses it, or it cannot be
                created.
        """
        folder = cls(path)
        folder.ensure_new()
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            folder._acquire()
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):  # it is in use
                raise
            raise _unwritable(folder.path, error) from None
        try:
            folder._write_config({"command": command, **versions()}, config)
        except BaseException:
            folder._file_lock.release()
            raise
        return folder

    def _write_config(self, origin: Mapping[str, Any], config: Config) -> None:
        if not self._is_empty():  # another process was faster, and has finished
            raise self._not_empty()
        try:
            text = dump_config(config)
            self._write_origin({**origin, _SUMS: [sha256(text.encode())]})
            write_text(self.config_file, text)  # last: it is what makes it a run
        except OSError as error:
            raise _unwritable(self.path, error) from None

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """Return the folder of an existing run.

        Args:
            path: the folder.

        Raises:
            InputError: if it is not the folder of a run.
        """
        folder = cls(path)
        if not folder.config_file.is_file():
            raise InputError(f"{path} is not a run folder: it holds no config.yaml")
        return folder

    @property
    def command(self) -> str:
        """The command of ``molrl`` that created the run.

        Raises:
            InputError: if ``versions.json`` is missing or corrupted.
        """
        return str(read_json(self.versions_file).get("command"))

    def ensure_new(self) -> None:
        """Check that a new run would overwrite nothing.

        Raises:
            InputError: if the path is a file, another process uses the folder, or it is not empty;
                the message suggests a free name.
        """
        nearest = next(p for p in (self.path, *self.path.parents) if os.path.exists(p))
        if not nearest.is_dir():
            raise InputError(f"run_dir {self.path}: {nearest} is a file; name another")
        if not self._is_empty():
            if self.config_file.is_file() and os.path.exists(self._file_lock.lock_file):
                with suppress(OSError):  # a folder that cannot be written is in use by none
                    self._acquire()  # raises if another process uses it
                self._file_lock.release()
            raise self._not_empty()

    def _is_empty(self) -> bool:
        """Return whether the folder does not exist or holds nothing of a run."""
        if not os.path.isdir(self.path):
            return True
        return all(_UNBEGUN.match(p.name) for p in self.path.iterdir())

    def _not_empty(self) -> InputError:
        free = shlex.quote(f"run_dir={self._free_name()}")
        is_run = self.config_file.is_file()
        resume = f"resume it with {self._resume_command} or " if is_run else ""
        return InputError(f"run_dir {self.path} is not empty; {resume}start a new run with {free}")

    @property
    def _resume_command(self) -> str:
        return f"`{shlex.join(['molrl', 'resume', str(self.path)])}`"

    def _free_name(self) -> Path:
        path = self.path if self.path.name.strip(".") else Path(os.path.abspath(self.path))
        number, name = 2, path.name or "run"  # the root has no name
        while (free := path.parent / f"{name}-{number}").exists():
            number += 1
        return free

    def load_config(self, schema: type[ConfigT], overrides: Sequence[str] = ()) -> ConfigT:
        """Return the config of the run.

        Args:
            schema: the class of the config.
            overrides: ``key.sub=value`` each.

        Raises:
            InputError: if it does not fit the schema, or lacks a key: the config of a run is
                written with all of them, so that a default would stand for what is lost.
        """
        config = load_config(self.config_file, overrides, schema)
        given = read_mapping(self.config_file)
        missing = list(_missing_keys(config.model_dump(mode="json"), given))
        if missing:
            version = read_json(self.versions_file).get("molrl")
            raise InputError(
                f"{self.config_file} lacks {', '.join(missing)}: it is cut off, or the run was "
                f"begun by molrl {version} without them; add them"
            )
        return config

    @property
    def is_edited(self) -> bool:
        """Whether ``config.yaml`` is another than molrl has written."""
        sums = read_json(self.versions_file).get(_SUMS, [])  # earlier versions wrote none
        return bool(sums) and sha256(self.config_file.read_bytes()) not in sums

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, which marks the run as finished, and delete the log of a failure."""
        write_text(self.summary_file, json.dumps(dict(summary), indent=2) + "\n")
        self.log_file.unlink(missing_ok=True)

    def read_summary(self) -> dict[str, Any] | None:
        """Return the summary, or None while the run is not finished.

        Raises:
            InputError: if the file is corrupted.
        """
        try:
            return read_json(self.summary_file) if self.summary_file.is_file() else None
        except InputError as error:
            raise InputError(f"{error}; {self.summary_remedy}") from None

    @property
    def summary_remedy(self) -> str:
        """What to do about a summary that is none of the run."""
        return f"delete it, and {self._resume_command} writes it again"

    @contextmanager
    def lock_and_log(self) -> Iterator[None]:
        """Lock the folder, and write the traceback of an unexpected error to ``error.log``.

        Incomplete files of a killed process are deleted first.

        Raises:
            InputError: if another process uses the folder; one raised inside is not changed.
            RunFailed: in place of an unexpected error, from it.
            Stopped: in place of another one, with the command that resumes the run.
        """
        with self.lock(), self._log_failure():
            for path in self.path.iterdir():
                if TEMPORARY.fullmatch(path.name):
                    path.unlink()
            yield

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against other processes; it may be nested.

        A resumed run is locked before its checkpoint is read, so that another process cannot move
        on in between.

        Raises:
            InputError: if another process uses the folder, or has finished the run in the meantime.
        """
        nested = self._in_use
        with self.lock_finished():
            if not nested and self.summary_file.is_file():
                raise InputError(f"another process has just finished {self.path}")
            yield

    @contextmanager
    def lock_finished(self) -> Iterator[None]:
        """Lock the folder, as :meth:`lock`, whether or not the run is finished.

        Raises:
            InputError: if another process uses the folder, or it cannot be written.
        """
        if self._in_use:
            yield
            return
        if not self._file_lock.is_locked:  # it is where this process created the folder
            try:
                self._acquire()
            except OSError as error:
                raise InputError(
                    f"{self.path} cannot be written: {error}; make it writable, or resume a copy "
                    "of the folder"
                ) from None
        self._in_use = True
        try:
            yield
        finally:
            self._in_use = False
            self._file_lock.release()

    def extend(self, config: Config) -> None:
        """Replace the config of a locked run by one of more steps; the run is unfinished then.

        Args:
            config: the new one.
        """
        text, origin = dump_config(config), read_json(self.versions_file)
        if _SUMS in origin:  # earlier versions have none
            self._write_origin({**origin, _SUMS: [*origin[_SUMS], sha256(text.encode())]})
        write_text(self.config_file, text)
        self.summary_file.unlink(missing_ok=True)

    def _write_origin(self, origin: Mapping[str, Any]) -> None:
        write_text(self.versions_file, json.dumps(origin, indent=2) + "\n")

    def _acquire(self) -> None:
        try:
            self._file_lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another process uses {self.path}; wait until it has finished"
            ) from None

    @contextmanager
    def _log_failure(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Stopped as stopped:
            how = f"resume with {self._resume_command}"
            raise Stopped(stopped.number, "; ".join(filter(None, [stopped.detail, how]))) from None
        except Exception as error:
            raise RunFailed(write_traceback(error, self.log_file)) from error


def _missing_keys(whole: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dotted keys of a mapping that another one lacks."""
    for key, value in whole.items():
        if key not in given:
            yield key
        elif isinstance(value, dict):
            below = given[key] if isinstance(given[key], dict) else {}
            yield from (f"{key}.{name}" for name in _missing_keys(value, below))


def _unwritable(path: Path, error: Exception) -> InputError:
    return InputError(f"run_dir {path} cannot be written: {error}; name another")

"""The folder of a run: what stands in it, how it is begun and how it is found again."""

import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from molrl.errors import InputError
from molrl.runs.atomic import TEMPORARY, write_text
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.config import Config, ConfigT, dump_config, load_config
from molrl.runs.failures import RunFailed, write_traceback
from molrl.runs.signals import Stopped
from molrl.runs.weights import read_json

_PACKAGES = (
    *("molrl", "torch", "numpy", "gymnasium", "stable-baselines3", "mace-torch", "e3nn"),
    *("ase", "rdkit", "tblite", "safetensors", "pydantic"),
)


# Left by a kill before the run began, or by a process that was refused.
_UNBEGUN = re.compile(r"versions\.json|\.(versions|config)\.|\.lock$")


class RunFolder:
    """The folder of a run and the paths in it.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        config_file: the resolved config, YAML.
        versions_file: which command began the run, with which versions, and where, JSON.
        metrics_file: one row a report, CSV.
        tensorboard: folder of the TensorBoard events.
        summary_file: the closing table, JSON.
        curve_file: the learning curve, PNG.
        picture_file: the best molecules, PNG.
        molecules_file: the samples the closing table is about, extended XYZ.
        sdf_file: the same samples, SDF.
        log_file: the traceback of a run that failed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.versions_file = self.path / "versions.json"
        self.metrics_file = self.path / "metrics.csv"
        self.tensorboard = self.path / "tensorboard"
        self.summary_file = self.path / "summary.json"
        self.curve_file = self.path / "curve.png"
        self.picture_file = self.path / "molecules.png"
        self.molecules_file = self.path / "molecules.extxyz"
        self.sdf_file = self.path / "molecules.sdf"
        self.log_file = self.path / "error.log"
        self._lock = FileLock(self.path / ".lock", thread_local=False)
        self._at_work = False

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints of the run."""
        return Checkpoints(self.path / "checkpoints")

    @classmethod
    def create(cls, path: Path | str, config: Config, command: str) -> "RunFolder":
        """Begin a run: make the folder, write the resolved config and the versions.

        The folder is held until the work in it is over, that of :meth:`at_work` or :meth:`held`.

        Args:
            path: of the folder.
            config: of the run.
            command: the command of ``molrl`` that begins it.

        Raises:
            InputError: if something stands there already, another process works there, or the
                folder cannot be made.
        """
        folder = cls(path)
        folder.ensure_new()
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise _unwritable(folder.path, error) from None
        folder._acquire()
        try:
            folder._begin({"command": command, **versions()}, config)
        except BaseException:
            folder._lock.release()
            raise
        return folder

    def _begin(self, origin: Mapping[str, Any], config: Config) -> None:
        if not self._is_empty():  # another process was faster, and has finished
            raise self._occupied()
        try:
            write_text(self.versions_file, json.dumps(origin, indent=2) + "\n")
            write_text(self.config_file, dump_config(config))  # with it, the run has begun
        except OSError as error:
            raise _unwritable(self.path, error) from None

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """Find a run again.

        Raises:
            InputError: if there is none.
        """
        folder = cls(path)
        if not folder.config_file.is_file():
            raise InputError(f"{path} is no run folder: it holds no config.yaml")
        return folder

    @property
    def command(self) -> str:
        """The command of ``molrl`` that began the run.

        Raises:
            InputError: if ``versions.json`` is broken.
        """
        return str(read_json(self.versions_file).get("command"))

    def ensure_new(self) -> None:
        """Make sure that nothing would be overwritten.

        Raises:
            InputError: if the path is a file or a folder with something in it, for which a free
                name is suggested, or another process works in it.
        """
        nearest = next(p for p in (self.path, *self.path.parents) if os.path.exists(p))
        if not nearest.is_dir():
            raise InputError(f"run_dir {self.path}: {nearest} is a file; name another")
        if not self._is_empty():
            if self.config_file.is_file() and os.path.exists(self._lock.lock_file):
                self._acquire()  # says so if another process works in it
                self._lock.release()
            raise self._occupied()

    def _is_empty(self) -> bool:
        """Whether there is nothing that could be overwritten, or no folder."""
        if not os.path.isdir(self.path):
            return True
        return all(_UNBEGUN.match(p.name) for p in self.path.iterdir())

    def _occupied(self) -> InputError:
        anew = shlex.quote(f"run_dir={self._free_name()}")
        return InputError(
            f"run_dir {self.path} is not empty; go on with {self._resuming} or begin anew with "
            f"{anew}"
        )

    @property
    def _resuming(self) -> str:
        return f"`{shlex.join(['molrl', 'resume', str(self.path)])}`"

    def _free_name(self) -> Path:
        number = 2
        while (name := self.path.with_name(f"{self.path.name}-{number}")).exists():
            number += 1
        return name

    def load_config(self, schema: type[ConfigT], overrides: Sequence[str] = ()) -> ConfigT:
        """The config the run was begun with.

        Raises:
            InputError: if it does not fit the schema.
        """
        return load_config(self.config_file, overrides, schema)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the closing table."""
        write_text(self.summary_file, json.dumps(dict(summary), indent=2) + "\n")

    def read_summary(self) -> dict[str, Any] | None:
        """The closing table; None while the run is not finished.

        Raises:
            InputError: if it is broken.
        """
        return read_json(self.summary_file) if self.summary_file.is_file() else None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Work in the folder: alone, and with the traceback of what goes wrong in ``error.log``.

        Files that a killed process left half written are removed first.

        Raises:
            InputError: if another process works in it.
            RunFailed: in place of an error that nobody foresaw, from it. An
                :class:`~molrl.errors.InputError` passes as it is.
            Stopped: in place of another, saying how to go on.
        """
        with self.held(), self._logging_failure():
            for path in self.path.iterdir():
                if TEMPORARY.fullmatch(path.name):
                    path.unlink()
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from working in the folder; held already, it stays so.

        A run that goes on is held before its checkpoint is read, lest it go on from where another
        process no longer is.

        Raises:
            InputError: if another process holds it, or has finished it in the meantime.
        """
        if self._at_work:
            yield
            return
        if not self._lock.is_locked:  # the one that created it holds it since
            self._acquire()
        try:
            if self.summary_file.is_file():
                raise InputError(f"another process has just finished {self.path}")
            self._at_work = True
            yield
        finally:
            self._at_work = False
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"another process works in {self.path}; wait for it") from None
        except OSError as error:
            raise _unwritable(self.path, error) from None

    @contextmanager
    def _logging_failure(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Stopped as stopped:
            how = f"go on with {self._resuming}"
            raise Stopped(stopped.number, "; ".join(filter(None, [stopped.said, how]))) from None
        except Exception as error:
            raise RunFailed(write_traceback(error, self.log_file)) from error


def _unwritable(path: Path, error: Exception) -> InputError:
    return InputError(f"run_dir {path} cannot be written: {error}; name another")


def versions() -> dict[str, Any]:
    """What runs, and where: versions of Python and packages, commit, processor, cores, GPU."""
    import torch

    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "machine": {
            "system": platform.system(),
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that molrl runs from, ``+`` if it was changed; None if none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())

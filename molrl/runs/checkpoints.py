"""Checkpoints that survive a crash at any time and are refused if a single bit is wrong."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molrl.errors import InputError
from molrl.runs.atomic import sync
from molrl.runs.weights import (
    read_checked,
    read_json,
    read_tensors,
    sha256,
    to_json,
    write_tensors,
)

if TYPE_CHECKING:  # a run folder is checked without PyTorch
    from torch import Tensor

FORMAT = "molrl-checkpoint-1"
_TEMPORARY = ".unfinished-"
_NAME = re.compile(r"step-(\d{12})")


@dataclass(frozen=True)
class Checkpoint:
    """State of a run after one of its steps.

    Attributes:
        step: number of steps done.
        tensors: tensors by name, on the CPU.
        state: everything else, as plain JSON data.
    """

    step: int
    tensors: dict[str, "Tensor"]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of a run: one folder each, of which the latest are kept.

    A checkpoint consists of ``tensors.safetensors``, ``state.json`` and ``manifest.json`` with the
    SHA-256 sums of both. It is written under a temporary name, synced, and renamed, so that a
    crash leaves a complete checkpoint or none.

    Args:
        folder: the folder that holds them; it need not exist.
        keep: how many are kept, at least 1.

    Example:
        >>> checkpoints = Checkpoints(Path("runs/a/checkpoints"))  # doctest: +SKIP
        >>> checkpoints.load_latest(print).step  # doctest: +SKIP
        30000
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self.folder = folder
        self.keep = keep

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending, without validating them."""
        if not self.folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """Return the folder of the checkpoint of a step."""
        return self.folder / f"step-{step:012d}"

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then delete the oldest beyond :attr:`keep`.

        Args:
            checkpoint: what to write; an existing checkpoint of the same step is replaced.

        Returns:
            The folder of the checkpoint.

        Raises:
            OSError: if it cannot be written; the checkpoints before it are unchanged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._delete_unfinished()
        unfinished = self.folder / f"{_TEMPORARY}{secrets.token_hex(4)}"
        try:
            unfinished.mkdir()
            _write(unfinished, checkpoint)
            self._rename(unfinished, self.path(checkpoint.step))
        finally:
            self._delete_unfinished()
        for step in self.steps()[: -self.keep]:
            _remove(self.path(step))
        return self.path(checkpoint.step)

    def load(self, step: int) -> Checkpoint:
        """Read the checkpoint of a step.

        Args:
            step: number of steps done.

        Returns:
            The checkpoint, its tensors on the CPU.

        Raises:
            InputError: if a file of it is missing or corrupted; the message names it.
        """
        path = self.path(step)
        manifest = read_json(path / "manifest.json")
        sums = manifest.get("sha256")
        if (
            set(manifest) != {"format", "step", "sha256"}
            or (manifest["format"], manifest["step"]) != (FORMAT, step)
            or not isinstance(sums, dict)
        ):
            raise InputError(
                f"{path / 'manifest.json'} is not the manifest of step {step} ({FORMAT})"
            )
        state = read_checked(path / "state.json", sums.get("state.json"))
        return Checkpoint(
            step=step,
            tensors=read_tensors(path / "tensors.safetensors", sums.get("tensors.safetensors")),
            state=json.loads(state),
        )

    def load_latest(self, report: Callable[[str], object]) -> Checkpoint | None:
        """Read the latest valid checkpoint.

        Args:
            report: called with one line about each corrupted checkpoint that is skipped.

        Returns:
            The checkpoint, or None if the run has no checkpoints.

        Raises:
            InputError: if there are checkpoints and none is valid.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self.load(step)
            except InputError as error:
                report(f"{error}; the checkpoint before it is used")
        if steps:
            raise InputError(f"{self.folder} holds no valid checkpoint; start a new run")
        return None

    def _rename(self, unfinished: Path, path: Path) -> None:
        if os.path.lexists(path):  # a corrupted one, and the run has reached its step again
            path.rename(self.folder / f"{_TEMPORARY}{path.name}")
        unfinished.rename(path)
        sync(self.folder)

    def _delete_unfinished(self) -> None:
        for path in self.folder.glob(f"{_TEMPORARY}*"):
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a checkpoint, or what else stands in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    write_tensors(folder / "tensors.safetensors", checkpoint.tensors)
    (folder / "state.json").write_bytes(to_json(checkpoint.state))
    names = ("tensors.safetensors", "state.json")
    manifest: Mapping[str, Any] = {
        "format": FORMAT,
        "step": checkpoint.step,
        "sha256": {name: sha256((folder / name).read_bytes()) for name in names},
    }
    (folder / "manifest.json").write_bytes(to_json(manifest))
    for path in (*folder.iterdir(), folder):
        sync(path)

"""Checkpoints that survive a crash at any moment and are refused if a bit of them is wrong."""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

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

FORMAT = "molrl-checkpoint-1"
_TEMPORARY = ".unfinished-"
_NAME = re.compile(r"step-(\d{12})")


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training.

    Attributes:
        step: how many steps were done.
        tensors: name to tensor, on the CPU.
        state: everything else, as JSON holds it.
    """

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of a run: one folder each, the last few kept.

    A checkpoint is ``tensors.safetensors``, ``state.json`` and ``manifest.json`` with the sums of
    both. It is written under a temporary name, synced, and renamed, so that a crash leaves it
    whole or not at all.

    Args:
        folder: where they stand.
        keep: how many are kept, at least 1.
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self.folder = folder
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, ascending; whether sound is not looked at."""
        if not self.folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step stands."""
        return self.folder / f"step-{step:012d}"

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then drop what is older than the last few.

        Returns:
            The folder of the checkpoint.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._drop_unfinished()
        unfinished = self.folder / f"{_TEMPORARY}{secrets.token_hex(4)}"
        try:
            unfinished.mkdir()
            _write(unfinished, checkpoint)
            self._put_in_place(unfinished, self.path(checkpoint.step))
        finally:
            self._drop_unfinished()
        for step in self.steps()[: -self.keep]:
            shutil.rmtree(self.path(step))
        return self.path(checkpoint.step)

    def load(self, step: int) -> Checkpoint:
        """Read the checkpoint of a step.

        Raises:
            InputError: if it is missing or damaged; it is named.
        """
        path = self.path(step)
        manifest = read_json(path / "manifest.json")
        sums = manifest.get("sha256")
        if (
            set(manifest) != {"format", "step", "sha256"}
            or (manifest["format"], manifest["step"]) != (FORMAT, step)
            or not isinstance(sums, dict)
        ):
            raise InputError(f"{path / 'manifest.json'} is no manifest of step {step} ({FORMAT})")
        state = read_checked(path / "state.json", sums.get("state.json"))
        return Checkpoint(
            step=step,
            tensors=read_tensors(path / "tensors.safetensors", sums.get("tensors.safetensors")),
            state=json.loads(state),
        )

    def load_latest(self, report: Callable[[str], object]) -> Checkpoint | None:
        """Read the latest checkpoint that is sound.

        Args:
            report: is told, in one line each, of a checkpoint that is damaged and left out.

        Returns:
            The checkpoint, or None where none was ever written.

        Raises:
            InputError: if there are checkpoints and none is sound.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self.load(step)
            except InputError as error:
                report(f"{error}; going back to the checkpoint before it")
        if steps:
            raise InputError(f"{self.folder} holds no sound checkpoint; start the run anew")
        return None

    def _put_in_place(self, unfinished: Path, path: Path) -> None:
        if path.exists():  # one that was refused as damaged, and its step has come again
            path.rename(self.folder / f"{_TEMPORARY}{path.name}")
        unfinished.rename(path)
        sync(self.folder)

    def _drop_unfinished(self) -> None:
        for path in self.folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(path)


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

"""Corrupted, malicious and incomplete files: refused by name, not executed, nothing is lost.

python experiments/benchmarks/reliability/damage.py
"""

import contextlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tiny
import torch

from molrl.cli.main import main as molrl
from molrl.energy.networks.energy import SHIPPED
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.weights import load_weights, read_json, sha256, to_json

WATER = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


def corruptions(run: Path, weights: Path, n: int) -> dict[str, object]:
    """Flip bits in, truncate and swap every file of a checkpoint and of weights."""
    draw, refused = random.Random(0), 0
    checkpoints = Checkpoints(run / "checkpoints")
    before, step = checkpoints.steps()[-2:]
    loads: dict[Path, Callable[[], object]] = {
        path: lambda: checkpoints.load(step) for path in sorted(checkpoints.path(step).iterdir())
    }
    for path in (run / "policy.json", run / "policy.safetensors"):
        loads[path] = lambda: load_weights(run / "policy.json", "covariant")
    others = {path: checkpoints.path(before) / path.name for path in loads}
    others[run / "policy.json"] = weights
    others[run / "policy.safetensors"] = weights.with_suffix(".safetensors")
    for i in range(n):
        path = list(loads)[i % len(loads)]
        content = path.read_bytes()
        path.write_bytes(corrupted(content, others[path].read_bytes(), i // len(loads), draw))
        refused += is_refused(loads[path])
        path.write_bytes(content)
    for load in loads.values():
        load()
    return row(
        "bit flips, truncations and swaps of a checkpoint or weights file, refused", n, refused
    )


def corrupted(content: bytes, other: bytes, kind: int, draw: random.Random) -> bytes:
    if kind % 20 == 19:
        return other
    if kind % 2:
        return content[: draw.randrange(len(content))]
    flipped = bytearray(content)
    flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def is_refused(load: Callable[[], object]) -> bool:
    try:
        load()
    except InputError as error:
        return "\n" not in str(error)
    return False


class Bomb:
    """A pickle that creates a folder when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def payloads(mark: Path) -> dict[str, bytes]:
    """Return code that runs when it is loaded without care, in several formats."""
    made = {f"pickle {i}": pickle.dumps(Bomb(mark), protocol=i) for i in (0, 2, 4, 5)}
    for name, options in {
        "torch": {},
        "old torch": {"_use_new_zipfile_serialization": False},
    }.items():
        buffer = io.BytesIO()
        torch.save({"w": Bomb(mark)}, buffer, **options)
        made[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, numbers=np.array([Bomb(mark)], object))
    made["npz"] = buffer.getvalue()
    made["yaml"] = f"run_dir: !!python/object/apply:os.mkdir ['{mark}']\n".encode()
    made["expression"] = f"__import__('os').mkdir('{mark}')\n".encode()
    return made


def malicious(run: Path, n: int) -> dict[str, object]:
    """Plant payloads under every name that a command accepts, tensors also with a matching sum."""
    harmless = 0
    with tempfile.TemporaryDirectory() as scratch:
        mark = Path(scratch) / "executed"
        cases = [
            (name, payload, signed)
            for payload in payloads(mark).values()
            for name, signed in (*((name, False) for name in NAMES), *SIGNED)
        ]
        for i in range(n):
            name, payload, signed = cases[i * len(cases) // n]
            victim = Path(scratch) / "run"
            shutil.copytree(run, victim)
            plant(victim, name, payload, signed)
            with contextlib.chdir(victim), captured_output() as output:
                codes = [molrl(command) for command in commands(name)]
            harmless += not mark.exists() and all(codes) and "Traceback" not in output.getvalue()
            shutil.rmtree(victim)
    return row("malicious files under every accepted name, refused and not executed", n, harmless)


NAMES = (
    *("policy.json", "policy.safetensors", "config.yaml", "versions.json", "data.npz"),
    *("LAST/manifest.json", "LAST/state.json", "LAST/tensors.safetensors"),
    *("in.extxyz", "in.xyz", "in.sdf"),
)
SIGNED = (("policy.safetensors", True), ("LAST/tensors.safetensors", True))


def plant(run: Path, name: str, payload: bytes, signed: bool) -> None:
    """Replace a file by the payload; if signed, also update its recorded sum."""
    (run / "summary.json").unlink()
    checkpoints = Checkpoints(run / "checkpoints")
    for step in checkpoints.steps()[:-1]:
        shutil.rmtree(checkpoints.path(step))
    last = checkpoints.path(checkpoints.steps()[-1])
    path = last / name.removeprefix("LAST/") if name.startswith("LAST/") else run / name
    path.write_bytes(payload)
    if not signed:
        return
    if path.parent == last:
        manifest = read_json(last / "manifest.json")
        manifest["sha256"][path.name] = sha256(payload)
        (last / "manifest.json").write_bytes(to_json(manifest))
    else:
        head = read_json(run / "policy.json") | {"sha256": sha256(payload)}
        del head["header_sha256"]
        head["header_sha256"] = sha256(to_json(head))
        (run / "policy.json").write_text(json.dumps(head, indent=1) + "\n")


def commands(name: str) -> list[list[str]]:
    """Return the commands that read a file of this name."""
    if name.startswith("policy"):
        generate = "generate --method run:. --bag CH4O -n 1 -o out.sdf --force policy=last"
        return [
            generate.split(),
            ["train", "config.yaml", "energy=mace:policy.json", "run_dir=new"],
        ]
    if name.startswith("in."):
        return [["evaluate", name]]
    if name == "data.npz":
        return [["energy", "fit", "fit.yaml"]]
    if name == "config.yaml":
        return [["resume", "."], ["train", "config.yaml", "run_dir=new"]]
    return [["resume", "."]]


@contextlib.contextmanager
def captured_output() -> Iterator[io.StringIO]:
    """Capture what is printed inside."""
    output = io.StringIO()
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
        yield output


def disk_full(folder: Path, config: Path, wanted: dict[str, str], n: int) -> dict[str, object]:
    """Let a save exceed a size limit: exit code 1, one line, and the old checkpoint loads."""
    passed, log = 0, folder / "log"
    for i in range(n):
        run = folder / f"full-{i}"
        assert tiny.molrl_command("train", config, f"run_dir={run}", log=log) == 0
        checkpoints = Checkpoints(run / "checkpoints")
        (run / "summary.json").unlink()
        for step in checkpoints.steps()[i % 2 + 1 :]:
            shutil.rmtree(checkpoints.path(step))
        before = checkpoints.steps()
        limit = 10_000 + 10_000 * i  # bytes that a file may have; a checkpoint takes 280,000
        code = tiny.molrl_command("resume", run, log=log, before=lambda m=limit: no_larger(m))
        said = log.read_text(encoding="utf-8").splitlines()
        ended = code == 1 and "too large" in said[-1] and checkpoints.steps() == before
        loads = checkpoints.load_latest(lambda line: None) is not None
        code = tiny.molrl_command("resume", run, log=log)
        passed += ended and loads and code == 0 and tiny.outcome(run) == wanted
    return row(
        "no space for a checkpoint (file size limit): exit 1, resumed later, same result", n, passed
    )


def no_larger(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def tmpfs_full(folder: Path, config: Path, wanted: dict[str, str]) -> dict[str, object]:
    """Do the same on a disk that is full; needs root."""
    disk, log = folder / "disk", folder / "log"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=560k", "none", str(disk)], check=True)
    try:
        run = disk / "run"
        code = tiny.molrl_command("train", config, f"run_dir={run}", log=log)
        said = log.read_text(encoding="utf-8").splitlines()[-1]
        ended = code == 1 and "No space left on device" in said
        loads = Checkpoints(run / "checkpoints").load_latest(lambda line: None) is not None
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        code = tiny.molrl_command("resume", run, log=log)
        passed = ended and loads and code == 0 and tiny.outcome(run) == wanted
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return row("disk full (tmpfs): exit 1, resumed with more space, same result", 1, int(passed))


def row(what: str, tried: int, right: int) -> dict[str, object]:
    return {"what": what, "tried": tried, "as it should be": right}


def main() -> None:
    small = tiny.arguments(__doc__).small
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = folder / "train.yaml"
        config.write_text(tiny.SMALL_TRAIN if small else tiny.TRAIN)
        run = folder / "whole"
        log = folder / "log"
        assert tiny.molrl_command("train", config, f"run_dir={run}", log=log) == 0, log.read_text()
        wanted = tiny.outcome(run)
        rows = [disk_full(folder, config, wanted, 1 if small else 10)]
        if not small:
            rows.append(tmpfs_full(folder, config, wanted))
        (run / "fit.yaml").write_text(tiny.FIT)
        rows.append(corruptions(run, SHIPPED["mace"], 100 if small else 2000))
        rows.append(malicious(run, 13 if small else 100))
    tiny.close("damage", "Corrupted, malicious and incomplete files", rows, small)


if __name__ == "__main__":
    main()

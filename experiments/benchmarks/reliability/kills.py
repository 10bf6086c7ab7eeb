"""kill -9 at random moments, then resume: the end must be that of the run that was never killed.

python experiments/benchmarks/reliability/kills.py
"""

import random
import shutil
import tempfile
import time
from pathlib import Path

import tiny
import torch

from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint, Checkpoints

SHARES = 200_000  # numbers in the tensor whose saving is interrupted


def killed_runs(folder: Path, command: tuple[str, ...], config: Path, n: int) -> dict[str, object]:
    """Runs killed once at a random moment, and taken up again, beside one that was not."""
    log, draw = folder / "log", random.Random(len(command))
    whole = folder / "whole"
    began = time.monotonic()
    assert tiny.molrl_command(*command, config, f"run_dir={whole}", log=log) == 0, log.read_text()
    seconds, wanted = time.monotonic() - began, tiny.outcome(whole)
    same = 0
    for i in range(n):
        run = folder / f"run-{i}"
        begin = (*command, config, f"run_dir={run}")
        while not tiny.kill_after(tiny.start(*begin, log=log), draw.uniform(0, seconds)):
            shutil.rmtree(run)  # it was done before
        go_on = ("resume", run) if (run / "config.yaml").exists() else begin
        code = tiny.molrl_command(*go_on, log=log)
        same += code == 0 and tiny.outcome(run) == wanted and not litter(run)
    return {
        "what": f"molrl {' '.join(command)}: kill -9 at a random moment, resume, same outcome",
        "tried": n,
        "as it should be": same,
    }


def litter(run: Path) -> list[Path]:
    """Files left half written."""
    return [p for p in run.rglob(".*") if p.name != ".lock"]


def killed_saves(folder: Path, n: int) -> dict[str, object]:
    """Processes killed while they save over and over: the last checkpoint must load."""
    draw, loaded = random.Random(1), 0
    for i in range(n):
        checkpoints = Checkpoints(folder / f"saves-{i}", keep=2)
        pid = tiny.os.fork()
        if not pid:
            save_forever(checkpoints)
        while not checkpoints.steps():
            time.sleep(0.001)
        tiny.kill_after(pid, draw.uniform(0, 0.05))
        try:
            latest = checkpoints.load_latest(lambda line: None)
        except InputError:
            continue
        assert latest is not None
        sound = latest.tensors["w"].unique().tolist() == [float(latest.step)]
        loaded += sound and latest.step == checkpoints.steps()[-1]
    return {
        "what": "kill -9 during a save, the latest checkpoint loads",
        "tried": n,
        "as it should be": loaded,
    }


def save_forever(checkpoints: Checkpoints) -> None:
    for step in range(1, 10**9):
        tensors = {"w": torch.full((SHARES,), float(step))}
        checkpoints.save(Checkpoint(step, tensors, {"step": step}))


def main() -> None:
    small = tiny.arguments(__doc__).small
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, text in (("train", tiny.TRAIN), ("data", tiny.DATA), ("fit", tiny.FIT)):
            (folder / f"{name}.yaml").write_text(text.replace("data.npz", f"{folder}/data.npz"))
        rows = [killed_saves(folder, 5 if small else 100)]
        (folder / "agent").mkdir()
        n = 2 if small else 50
        rows.append(killed_runs(folder / "agent", ("train",), folder / "train.yaml", n))
        (folder / "fit").mkdir()
        data = ("energy", "data", folder / "data.yaml")
        assert tiny.molrl_command(*data, log=folder / "log") == 0
        n = 1 if small else 50
        rows.append(killed_runs(folder / "fit", ("energy", "fit"), folder / "fit.yaml", n))
    tiny.close("kills", "kill -9, then `molrl resume`", rows, small)


if __name__ == "__main__":
    main()

"""kill -9, then resume: the result must be that of a run that was never killed.

python experiments/benchmarks/reliability/kills.py

The processes are killed at random times; in the small form, which the tests run, at random
operations on files.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import tiny
import torch
from moments import FileOperations, Moments, RandomTimes

from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint, Checkpoints

SHARES = 200_000  # numbers in the tensor whose saving is interrupted
SAVES = 6  # of a process that is not killed


def killed_runs(
    folder: Path, command: tuple[str, ...], config: Path, moments: Moments, n: int
) -> dict[str, object]:
    """Compare runs that were killed once and resumed with one that was not."""
    log = folder / "log"

    def start_command(run: Path) -> tuple[object, ...]:
        return (*command, config, f"run_dir={run}")

    def start_in(run: Path) -> Callable[[Callable[[], object]], int]:
        return lambda before: tiny.start(*start_command(run), log=log, before=before)

    assert moments.measure(start_in(folder / "whole")) == 0, log.read_text()
    wanted, same = tiny.outcome(folder / "whole"), 0
    for i in range(n):
        run = folder / f"run-{i}"
        while not moments.kill(start_in(run)):
            shutil.rmtree(run)  # it had ended before
        begun = (run / "config.yaml").exists()
        code = tiny.molrl_command(*(("resume", run) if begun else start_command(run)), log=log)
        same += code == 0 and tiny.outcome(run) == wanted and not leftovers(run)
    return {
        "what": f"molrl {' '.join(command)}: kill -9 at a random time, resume, same result",
        "tried": n,
        "as it should be": same,
    }


def leftovers(run: Path) -> list[Path]:
    """Return incomplete files."""
    return [p for p in run.rglob(".*") if p.name != ".lock"]


def killed_saves(folder: Path, moments: Moments, n: int) -> dict[str, object]:
    """Kill processes that save repeatedly: the last checkpoint must load."""

    def start_in(checkpoints: Checkpoints) -> Callable[[Callable[[], object]], int]:
        checkpoints.save(checkpoint(1))
        return lambda before: tiny.fork(lambda: save_more(checkpoints), before)

    assert moments.measure(start_in(Checkpoints(folder / "saves", keep=2))) == 0
    loaded = 0
    for i in range(n):
        checkpoints = Checkpoints(folder / f"saves-{i}", keep=2)
        while not moments.kill(start_in(checkpoints)):
            shutil.rmtree(checkpoints.folder)  # it had ended before
        try:
            latest = checkpoints.load_latest(lambda line: None)
        except InputError:
            continue
        assert latest is not None
        whole = latest.tensors["w"].unique().tolist() == [float(latest.step)]
        loaded += whole and latest.step == checkpoints.steps()[-1]
    return {
        "what": "kill -9 during a save, the latest checkpoint loads",
        "tried": n,
        "as it should be": loaded,
    }


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"w": torch.full((SHARES,), float(step))}, {"step": step})


def save_more(checkpoints: Checkpoints) -> int:
    for step in range(2, 2 + SAVES):
        checkpoints.save(checkpoint(step))
    return 0


def main() -> None:
    small = tiny.arguments(__doc__).small
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train = tiny.SMALL_TRAIN if small else tiny.TRAIN
        for name, text in (("train", train), ("data", tiny.DATA), ("fit", tiny.FIT)):
            (folder / f"{name}.yaml").write_text(text.replace("data.npz", f"{folder}/data.npz"))

        def moments(place: Path, seed: int) -> Moments:
            place.mkdir()
            return FileOperations(place, seed) if small else RandomTimes(seed)

        saves, agent, fit = (folder / name for name in ("saves", "agent", "fit"))
        rows = [killed_saves(saves, moments(saves, 1), 20 if small else 100)]
        rows.append(
            killed_runs(
                agent, ("train",), folder / "train.yaml", moments(agent, 2), 2 if small else 50
            )
        )
        data = ("energy", "data", folder / "data.yaml")
        assert tiny.molrl_command(*data, log=folder / "log") == 0
        rows.append(
            killed_runs(
                fit, ("energy", "fit"), folder / "fit.yaml", moments(fit, 3), 1 if small else 50
            )
        )
    tiny.close("kills", "kill -9, then `molrl resume`", rows, small)


if __name__ == "__main__":
    main()

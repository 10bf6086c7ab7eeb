"""Comparisons that ran apart, such as one for each seed, put together."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from molrl.comparison.config import (
    REAL,
    CompareConfig,
    UnitKey,
    has_finished,
    refuse_names_alike,
)
from molrl.comparison.figures import Results, summarise
from molrl.comparison.methods import training_energy_calls
from molrl.comparison.outputs import lines_of, write_outputs
from molrl.comparison.units import Unit
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message, progress

_MAY_DIFFER = ("run_dir", "tasks", "seeds", "methods", "plugins")


def merge(runs: Sequence[Path | str], target: Path | str) -> list[str]:
    """Put the finished runs of comparisons together, with one summary, table and curves.

    Args:
        runs: folders of comparisons, which may have other tasks, seeds and methods; unfinished ones
            give what they have.
        target: the folder of the result, a comparison like the others.

    Returns:
        What is to be printed.

    Raises:
        InputError: if a folder is not that of a comparison, their budgets or energy models differ,
            or a method means different generators; nothing is written then.

    Example:
        >>> merge(["runs/compare-seed0", "runs/compare-seed1"], "runs/compare")  # doctest: +SKIP
    """
    folders = [_open(path) for path in runs]
    configs = [folder.load_config(CompareConfig) for folder in folders]
    config = _merged(configs, runs, Path(target))
    found = _found(folders, configs)
    keys = [key for key in config.units() if key in found]
    if not keys:
        raise InputError("none of the comparisons has a finished run; resume them first")
    for line in [*_missing(config, keys), *_repeated(folders, configs)]:
        log_message(line)
    units = [Unit.load(found[key]) for key in keys]  # refuses what is broken
    result = RunFolder.create(target, config, "compare")
    with result.lock_and_log():
        _copy({key: found[key] for key in keys}, result.path)
        result.checkpoints.save(Checkpoint(len(keys), {}, {}))  # it can be resumed
        results = Results(config, units, training_energy_calls(config))
        return _write(results, result)


def _found(folders: Sequence[RunFolder], configs: Sequence[CompareConfig]) -> dict[UnitKey, Path]:
    """Return where each run is: in the first folder in which it has not crashed, if in any."""
    found: dict[UnitKey, Path] = {}
    for folder, config in zip(folders, configs, strict=True):
        for key in config.units():
            path = folder.path / key.folder
            if not (path / "unit.json").is_file():
                continue
            if key not in found or (has_finished(path) and not has_finished(found[key])):
                found[key] = path
    return found


def _repeated(folders: Sequence[RunFolder], configs: Sequence[CompareConfig]) -> Iterator[str]:
    """Yield a line for each run that differs from one of the same name in an earlier folder."""
    first: dict[UnitKey, Path] = {}
    for folder, config in zip(folders, configs, strict=True):
        for key in config.units():
            file = folder.path / key.folder / "unit.json"
            if key.method == REAL or not has_finished(file.parent):
                continue
            taken = first.setdefault(key, folder.path)
            if (taken / key.folder / "unit.json").read_bytes() != file.read_bytes():
                yield (
                    f"{key.method} on {key.task}, seed {key.seed}, is in {taken} and in "
                    f"{folder.path}; that of {taken} is taken: give runs of other seeds"
                )


def _open(path: Path | str) -> RunFolder:
    folder = RunFolder.open(path)
    if folder.command != "compare":
        raise InputError(f"{path} is a run of `molrl {folder.command}`, not of `molrl compare`")
    return folder


def _copy(found: Mapping[UnitKey, Path], target: Path) -> None:
    with progress(len(found), "merge") as bar:
        for i, (key, source) in enumerate(found.items()):
            shutil.copytree(source, target / key.folder)
            bar.update(i + 1)


def _write(results: Results, folder: RunFolder) -> list[str]:
    summary = summarise(results)
    write_outputs(results, summary, folder.path)
    folder.write_summary(summary)
    return list(lines_of(results, summary, folder.path))


def _merged(
    configs: Sequence[CompareConfig], runs: Sequence[Path | str], target: Path
) -> CompareConfig:
    """Return the config of all comparisons together."""
    first = configs[0]
    methods = dict(first.methods)
    for config, run in zip(configs, runs, strict=True):
        for key in CompareConfig.model_fields:
            if key not in _MAY_DIFFER and getattr(config, key) != getattr(first, key):
                raise InputError(
                    f"{run} has {key} {getattr(config, key)}, and {runs[0]} has "
                    f"{getattr(first, key)}; only tasks, seeds and methods may differ"
                )
        for name, method in config.methods.items():
            if methods.setdefault(name, method) != method:
                raise InputError(f"{run}: the method {name!r} is another one than in {runs[0]}")
    tasks = {str(task): task for config in configs for task in config.tasks}
    refuse_names_alike(methods)
    refuse_names_alike(tasks)
    return first.model_copy(
        update={
            "run_dir": target,
            "plugins": tuple(dict.fromkeys(name for config in configs for name in config.plugins)),
            "tasks": tuple(tasks.values()),
            "methods": methods,
            "seeds": tuple(sorted({seed for config in configs for seed in config.seeds})),
        }
    )


def _missing(config: CompareConfig, keys: Sequence[UnitKey]) -> Iterator[str]:
    found = set(keys)
    missing = [key for key in config.units() if key not in found]
    if missing:
        method, task, seed = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        yield f"not run: {method} on {task} with seed {seed}{more}; the table is without them"

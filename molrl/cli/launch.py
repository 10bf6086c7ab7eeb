"""``molrl launch``: an array of SLURM jobs, which requeue and resume themselves."""

import os
import re
import shlex
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from molrl.cli.training import SCHEMAS, schema_for
from molrl.errors import InputError
from molrl.runs.atomic import check_writable, write_text
from molrl.runs.config import load_config
from molrl.runs.folder import RunFolder
from molrl.runs.signals import REQUEUE

SECONDS_TO_SAVE = 120
_WITH_RANKS = ("train", "energy fit")  # commands that share their work among processes
_SCRIPT = """\
#!/bin/bash
# Submit with: sbatch {script}
# Each job is one training. When its time limit is reached, or it is preempted, it saves, is
# requeued, and resumes.
#SBATCH --job-name=molrl
#SBATCH --array=0-{last}
#SBATCH --ntasks={ranks}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@{seconds}
#SBATCH --output=molrl-%A_%a.log
{options}
case $SLURM_ARRAY_TASK_ID in
{jobs}
esac

if [ -f "$run/config.yaml" ]; then
    command=(resume "$run")
fi

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
srun --kill-on-bad-exit=1 bash -c '
    export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
    export LOCAL_WORLD_SIZE=${{SLURM_STEP_TASKS_PER_NODE%%[(,]*}}
    trap : USR1  # Python handles it
    "$0" -m molrl.cli.main "$@"
    code=$?
    [ "$code" -eq {requeue} ] && exit 0  # another code would kill the other ranks
    exit "$code"
' {python} "${{command[@]}}"
code=$?

if [ "$code" -eq 0 ] && [ ! -f "$run/summary.json" ]; then
    exec scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
"""


@dataclass(frozen=True)
class _Job:
    """One training: its run folder, and the words of the command that begins it."""

    run: Path
    command: tuple[str, ...]


def launch(arguments: Namespace) -> int:
    """Write the script of a SLURM job array, one job for each config, combination and seed.

    Args:
        arguments: of the command: ``words`` (configs, and overrides as ``key=value``, or
            ``key=value,value`` for a job with each value), ``command``, ``seeds``, ``ranks``,
            ``sbatch`` and ``output``.

    Returns:
        The exit code.

    Raises:
        InputError: if a config is invalid, the command takes no ranks, a run folder is not new, two
            jobs would share one, an option of sbatch is none, or the script exists or cannot be
            written.
    """
    overrides = [word for word in arguments.words if "=" in word and not os.path.isfile(word)]
    configs = [word for word in arguments.words if word not in overrides]
    if not configs:
        raise InputError("launch needs a config, a YAML file")
    if arguments.ranks > 1 and arguments.command not in _WITH_RANKS:
        raise InputError(
            f"molrl {arguments.command} runs in one process; --ranks is for "
            f"{' and '.join(_WITH_RANKS)}"
        )
    jobs = [
        job
        for config in configs
        for chosen in _combinations(overrides)
        for job in _jobs(arguments.command, config, chosen, arguments.seeds)
    ]
    _check_folders([job.run for job in jobs])
    for option in arguments.sbatch:
        if not option.startswith("-") or not option.isprintable():
            raise InputError(f"--sbatch {option!r} is no option; write --sbatch=--partition=gpu")
    script = check_writable(arguments.output, "-o")
    if script.exists():
        raise InputError(f"{script} already exists; name another with -o")
    _write(script, jobs, arguments)
    several = "jobs; submit them" if len(jobs) > 1 else "job; submit it"
    print(f"{len(jobs)} {several} with: {shlex.join(['sbatch', str(script)])}")
    return 0


def split_values(text: str) -> list[str]:
    """Return the values that commas separate, except commas in brackets or quotes.

    Args:
        text: what follows the ``=``.

    Example:
        >>> split_values("1e-3,3e-4")
        ['1e-3', '3e-4']
        >>> split_values("{energy: 1, valid: 5}")
        ['{energy: 1, valid: 5}']
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        depth += (character in "[{") - (character in "]}") if not quote else 0
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _combinations(overrides: Sequence[str]) -> Iterator[list[tuple[str, bool]]]:
    """Yield overrides of one value each, with whether its key is varied."""
    options = []
    for override in overrides:
        key, _, text = override.partition("=")
        if key.strip() in ("seed", "seeds"):
            raise InputError(f"seeds are set by --seeds N; leave out {key.strip()}=")
        values = split_values(text)
        options.append([(f"{key}={value}", len(values) > 1) for value in values])
    for chosen in product(*options):
        yield list(chosen)


def _jobs(
    command: str, config: str, chosen: Sequence[tuple[str, bool]], seeds: int
) -> Iterator[_Job]:
    """Yield the jobs of one config and one combination, one for each seed."""
    overrides = [override for override, _ in chosen]
    schema = schema_for(SCHEMAS.load(command), config, overrides)
    loaded = load_config(config, overrides, schema)
    suffix = "".join(f"-{_label(override)}" for override, varied in chosen if varied)
    kept = [override for override in overrides if not override.startswith("run_dir=")]
    for seed in range(seeds):
        run = Path(f"{Path(loaded.run_dir)}{suffix}-seed{seed}")
        words = (*command.split(), config, *kept, f"run_dir={run}", _seed(command, seed))
        yield _Job(run, words)


def _seed(command: str, seed: int) -> str:
    """Return the override that gives a job its seed; a comparison has a list of them."""
    return f"seeds=[{seed}]" if command == "compare" else f"seed={seed}"


def _label(override: str) -> str:
    """Return a part of a folder's name for a value of a key, such as ``learning_rate-1e-3``."""
    key, _, value = override.partition("=")
    shown = re.sub(r"[^\w.+-]+", "_", value.strip())
    return f"{key.rpartition('.')[2].strip()}-{shown}"


def _check_folders(runs: Sequence[Path]) -> None:
    for run in runs:
        if runs.count(run) > 1:
            raise InputError(
                f"two jobs have the same run_dir {run}; give each config another, and each value "
                "once"
            )
        RunFolder(run).ensure_new()


def _write(script: Path, jobs: Sequence[_Job], arguments: Namespace) -> None:
    lines = (
        f"{i}) run={shlex.quote(str(job.run))}; command=({shlex.join(job.command)}) ;;"
        for i, job in enumerate(jobs)
    )
    text = _SCRIPT.format(
        script=script,
        last=len(jobs) - 1,
        ranks=arguments.ranks,
        seconds=SECONDS_TO_SAVE,
        options="".join(f"#SBATCH {option}\n" for option in arguments.sbatch),
        jobs="\n".join(lines),
        python=shlex.quote(sys.executable),
        requeue=REQUEUE,
    )
    write_text(script, text)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)

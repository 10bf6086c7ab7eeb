"""``molrl launch``: an array of SLURM jobs, which requeue and resume themselves."""

import shlex
import stat
import sys
from argparse import Namespace
from pathlib import Path

from molrl.cli.experiment import ExperimentConfig
from molrl.errors import InputError
from molrl.runs.atomic import write_text
from molrl.runs.config import load_config
from molrl.runs.signals import REQUEUE

SECONDS_TO_SAVE = 120
_SCRIPT = """\
#!/bin/bash
# Submit with: sbatch {script}
# Each job trains one config with one seed. When its time limit is reached, or it is preempted, it
# saves, is requeued, and resumes.
#SBATCH --job-name=molrl
#SBATCH --array=0-{last}
#SBATCH --ntasks={ranks}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@{seconds}
#SBATCH --output=molrl-%A_%a.log
{options}
configs=({configs})
seeds=({seeds})
runs=({runs})
config=${{configs[$SLURM_ARRAY_TASK_ID]}}
seed=${{seeds[$SLURM_ARRAY_TASK_ID]}}
run=${{runs[$SLURM_ARRAY_TASK_ID]}}

if [ -f "$run/config.yaml" ]; then
    command=(resume "$run")
else
    command=(train "$config" "run_dir=$run" "seed=$seed")
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


def launch(arguments: Namespace) -> int:
    """Write the script of a SLURM job array, one job for each config and seed.

    Args:
        arguments: of the command: ``config``, ``seeds``, ``ranks``, ``sbatch`` and ``output``.

    Returns:
        The exit code.

    Raises:
        InputError: if a config is invalid, two jobs would share a run folder, or the script exists.
    """
    jobs = [
        (config, seed, Path(f"{load_config(config, [], ExperimentConfig).run_dir}-seed{seed}"))
        for config in arguments.config
        for seed in range(arguments.seeds)
    ]
    if len({run for _, _, run in jobs}) < len(jobs):
        raise InputError("two of the configs have the same run_dir; give each another")
    script = Path(arguments.output)
    if script.exists():
        raise InputError(f"{script} already exists; name another with -o")
    configs, seeds, runs = (
        " ".join(shlex.quote(str(x)) for x in part) for part in zip(*jobs, strict=True)
    )
    text = _SCRIPT.format(
        script=script,
        last=len(jobs) - 1,
        ranks=arguments.ranks,
        seconds=SECONDS_TO_SAVE,
        options="".join(f"#SBATCH {option}\n" for option in arguments.sbatch),
        configs=configs,
        seeds=seeds,
        runs=runs,
        python=shlex.quote(sys.executable),
        requeue=REQUEUE,
    )
    write_text(script, text)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    print(f"{len(jobs)} jobs; submit them with: {shlex.join(['sbatch', str(script)])}")
    return 0

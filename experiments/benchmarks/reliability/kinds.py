"""Trainings on each kind of task: kill -9, then resume, to the result of one never killed.

python experiments/benchmarks/reliability/kinds.py [--small]

Each is a training of 5,000 steps with the task's own defaults, killed at a random time.
"""

import tempfile
from pathlib import Path

import tiny
from kills import killed_runs
from moments import RandomTimes

from molrl.parts import TASKS

STEPS, SMALL = 5000, 512
KILLS = 2  # of each kind
TRAIN = """
run_dir: run
total_steps: {steps}
checkpoint_every: 500
evaluate_every: 2000
task: {{kind: {kind}}}
policy: {{width: 16, channels: 4, degree: 2, layers: 1}}
algorithm: {{name: ppo, num_envs: 32, n_steps: 8, batch_size: 64}}
evaluation: {{n_molecules: 2, n_episodes: 8}}
"""


def main() -> None:
    small = tiny.arguments(__doc__).small
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, kind in enumerate(TASKS):
            folder = Path(scratch) / kind
            folder.mkdir()
            config = folder / "train.yaml"
            config.write_text(TRAIN.format(steps=SMALL if small else STEPS, kind=kind))
            kills = 1 if small else KILLS
            row = killed_runs(folder, ("train",), config, RandomTimes(seed), kills)
            rows.append({"kind of task": kind, **row})
    tiny.close("kinds", "Trainings on each kind of task, killed and resumed", rows, small)


if __name__ == "__main__":
    main()

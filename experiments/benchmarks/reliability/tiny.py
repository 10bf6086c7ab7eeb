"""A small training and a small fit on real energies, for the reliability benchmarks.

Commands run in forks of this process, which has imported everything and computes nothing itself, so
they start at once and can be killed like any other process.
"""

import argparse
import contextlib
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch._dynamo  # noqa: F401 - the first optimiser of a process imports it
from record import record

import molrl.agents.algorithms.on_policy
import molrl.agents.networks.covariant
import molrl.cli.agent_run
import molrl.cli.energy
import molrl.cli.fit_run
import molrl.cli.resume
import molrl.cli.train  # noqa: F401 - for the forks
from molrl.cli.main import main
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.tables import markdown_table
from molrl.runs.weights import sha256

TRAIN = """
run_dir: run
total_steps: 2048
checkpoint_every: 256
evaluate_every: 512
task: {bag: CH4O}
energy: gfn2
policy: {width: 16, channels: 4, degree: 2, layers: 1}
algorithm: {name: ppo, num_envs: 32, n_steps: 8, batch_size: 64}
evaluation: {n_molecules: 4}
"""
SMALL_TRAIN = (
    TRAIN.replace("2048", "768")
    .replace("CH4O", "H2O")
    .replace("n_molecules: 4", "n_molecules: 1, n_episodes: 8")
)
DATA = """
output: data.npz
max_heavy: 3
counts: {relaxed: 20, distorted: 40, twisted: 5, half_built: 30, placed: 20, clash: 10,
         fragments: 10, pair: 30, random_walks: 10, partially_relaxed: 5}
"""
FIT = """
run_dir: fit
data: [data.npz]
steps: 100
warmup: 5
batch_size: 8
checkpoint_every: 10
network: {channels: 8, radial_mlp: [16]}
"""


def arguments(description: str) -> argparse.Namespace:
    """Parse the command line of a script: ``--small`` for the form that the tests run."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help="few repetitions; writes nothing")
    return parser.parse_args()


def close(name: str, title: str, rows: list[dict[str, object]], small: bool) -> None:
    """Show the rows, write them unless small, and exit with 1 if one of them did not pass.

    A row passes if its ``tried`` and ``as it should be`` are equal; other rows have neither.
    """
    if small:
        print(markdown_table(rows))
    else:
        record(f"reliability_{name}", title, rows)
    wrong = [row for row in rows if row.get("tried") != row.get("as it should be")]
    sys.exit(1 if wrong else 0)


def fork(work: Callable[[], int], before: Callable[[], object] = lambda: None) -> int:
    """Start work in a fork, whose exit code it returns, and return the process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        before()
        code = work()
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def start(*command: object, log: Path, before: Callable[[], object] = lambda: None) -> int:
    """Start a command of ``molrl`` in a fork, and return its process id."""
    return fork(lambda: run_silently(*command, log=log), before)


def run_silently(*command: object, log: Path = Path(os.devnull)) -> int:
    """Run a command in this process, with all output to a file, and return its exit code."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = main([str(word) for word in command])
    sys.stdout.flush()
    return code


def finish(pid: int) -> int:
    """Wait for a command, and return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def molrl_command(*command: object, log: Path, before: Callable[[], object] = lambda: None) -> int:
    """Run a command of ``molrl`` in a fork, and return its exit code."""
    return finish(start(*command, log=log, before=before))


def outcome(run: Path) -> dict[str, str]:
    """Return the SHA-256 sums of all files that are equal in two runs of one config.

    The last checkpoint is among them: weights, optimiser, random generators, unfinished episodes.
    """
    checkpoints = Checkpoints(run / "checkpoints")
    last = checkpoints.path(checkpoints.steps()[-1]) / "tensors.safetensors"
    names = ("metrics.csv", "evaluations.csv", "molecules.extxyz", "molecules.sdf")
    weights = ("policy", "policy-best", "policy-average", "mace")
    files = [run / name for name in (*names, *(f"{name}.safetensors" for name in weights))]
    files.append(run / "mace.json")
    return {path.name: sha256(path.read_bytes()) for path in (last, *files) if path.exists()}


@contextlib.contextmanager
def scratch_folder() -> Iterator[None]:
    """Work in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        yield


def largest_mb() -> float:
    """Return the peak memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""Two ranks: the same weights after every update, resumed exactly, and their speed.

python experiments/benchmarks/reliability/two_ranks.py
"""

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

import tiny
import torch

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.training import AgentTraining
from molrl.energy.networks.mace.network import MaceConfig
from molrl.energy.registry import load_energy
from molrl.envs.vector import MolDesignVectorEnv
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.fit import Fit, FitConfig
from molrl.runs.ranks import Ranks, process_group
from molrl.runs.trainer import train_saving
from molrl.runs.weights import sha256

SMALL = PPOConfig(num_envs=16, n_steps=8, batch_size=32, target_kl=0.01)


def train(updates: int, small: bool) -> int:
    """Train as one rank; record the sums of the weights and the episodes, and the time."""
    with process_group() as ranks:
        ppo = SMALL if small else PPOConfig()
        policy = PolicyConfig(width=16, channels=4, degree=2, layers=1) if small else PolicyConfig()
        energy = "gfn2" if small else "mace"
        env = MolDesignVectorEnv(ppo.num_envs, "SameStep", bag="CH4O", energy=energy)
        steps = updates * ppo.num_envs * ppo.n_steps * ranks.size
        agent = AgentTraining(env, policy, ppo, steps, seed=0, ranks=ranks)
        recorded, began = [], perf_counter()

        def on_update(step: int, figures: dict[str, float]) -> None:
            own = sha256(env.state.positions.tobytes())
            recorded.append((step, weights(agent.network), own, perf_counter() - began))

        agent.run(on_update)
    Path(f"rank-{ranks.rank}.json").write_text(json.dumps(recorded))
    return 0


def fit(steps: int) -> int:
    """Fit as one rank; record the sum of the weights at every step, and the loss of the rank."""
    with process_group() as ranks:
        config = FitConfig(
            data=("data.npz",),
            run_dir="fit",
            steps=steps,
            batch_size=4,
            network=MaceConfig(channels=8, radial_mlp=(16,)),
        )
        atoms = load_energy("gfn2").atom_energies()
        model, recorded = Fit(config, Dataset.load("data.npz"), atoms, "cpu", ranks), []

        def report(step: int, figures: dict[str, float]) -> None:
            recorded.append((step, weights(model.network), figures["loss"], 0.0))

        train_saving(model, Path(config.run_dir), report)
    Path(f"rank-{ranks.rank}.json").write_text(json.dumps(recorded))
    return 0


def weights(network: torch.nn.Module) -> str:
    return sha256(b"".join(p.detach().numpy().tobytes() for p in network.parameters()))


def start_ranks(
    size: int, work: Callable[[], int], before: Callable[[], object] = lambda: None
) -> list[int]:
    """Start the same work in each of some ranks, and return their process ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for number in range(size):
        names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": size}
        names |= {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

        def be_rank(names: dict[str, object] = names) -> None:
            os.environ.update({name: str(value) for name, value in names.items()})
            before()

        children.append(tiny.fork(work, be_rank))
    return children


def records(size: int, work: Callable[[], int]) -> list[list[list[object]]]:
    """Run the same work in each of some ranks, and return what each recorded."""
    codes = [tiny.finish(child) for child in start_ranks(size, work)]
    assert codes == [0] * size, codes
    return [json.loads(Path(f"rank-{number}.json").read_text()) for number in range(size)]


def compare_ranks(
    what: str, first: list[list[object]], second: list[list[object]]
) -> dict[str, object]:
    alike = [a[:2] == b[:2] and a[2] != b[2] for a, b in zip(first, second, strict=True)]
    moved = len({weights for _, weights, _, _ in first}) == len(first)
    return {"what": what, "tried": len(first), "as it should be": sum(alike) * moved}


def killed_and_resumed(n: int) -> dict[str, object]:
    """Resume two ranks of ``molrl train`` that were killed, or stopped by a signal to one."""
    Path("train.yaml").write_text(tiny.SMALL_TRAIN)
    wait_for_success(start_ranks(2, training(Path("whole"))))
    wanted, same = tiny.outcome(Path("whole")), 0
    for i in range(n):
        run, number = Path(f"run-{i}"), (signal.SIGKILL, signal.SIGUSR1)[i % 2]
        children = start_ranks(2, training(run), partial(pause_after, (2, 1, 1, 2)[i % 4]))
        wait_for_pause(children)
        for child in children if number == signal.SIGKILL else children[1:]:
            os.kill(child, number)
        for child in children:
            os.kill(child, signal.SIGCONT)
        codes = [tiny.finish(child) for child in children]
        stopped = codes == ([-number] * 2 if number == signal.SIGKILL else [75, 75])
        wait_for_success(start_ranks(2, lambda run=run: tiny.run_silently("resume", run)))
        same += stopped and tiny.outcome(run) == wanted
        shutil.rmtree(run)
    what = "two ranks killed, or one asked to stop, and resumed: same result"
    return {"what": what, "tried": n, "as it should be": same}


def training(run: Path) -> Callable[[], int]:
    """Return a training of three updates."""
    return lambda: tiny.run_silently(
        "train", "train.yaml", f"run_dir={run}", "algorithm.num_envs=16"
    )


def pause_after(update: int) -> None:
    """Pause this process after an update, before it is saved."""
    all_reduce_max, calls = Ranks.all_reduce_max, count(1)  # called once per update

    def all_reduce_max_and_pause(ranks: Ranks, value: int) -> int:
        largest = all_reduce_max(ranks, value)
        if next(calls) == update:
            signal.raise_signal(signal.SIGSTOP)
        return largest

    Ranks.all_reduce_max = all_reduce_max_and_pause  # type: ignore[method-assign]


def wait_for_pause(children: list[int]) -> None:
    paused = [os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]) for child in children]
    assert all(paused), f"ranks that paused: {paused}"


def wait_for_success(children: list[int]) -> None:
    codes = [tiny.finish(child) for child in children]
    assert codes == [0, 0], codes


def main() -> None:
    small = tiny.arguments(__doc__).small
    updates = 4 if small else 20
    with tiny.scratch_folder():
        rows = [killed_and_resumed(2 if small else 20)]
        Path("data.yaml").write_text(tiny.DATA)
        assert tiny.molrl_command("energy", "data", "data.yaml", log=Path("log")) == 0
        what = "steps of a fit with the same weights and other structures on both ranks"
        rows.append(compare_ranks(what, *records(2, lambda: fit(5 * updates))))
        one = records(1, lambda: train(updates, small))[0]
        first, second = records(2, lambda: train(updates, small))
    what = "updates of an agent with the same weights and other episodes on both ranks"
    rows.append(compare_ranks(what, first, second))
    rows = [row | {"steps/s": "-"} for row in rows]
    for size, done in ((1, one), (2, first)):
        speed = (done[-1][0] - done[0][0]) / (done[-1][3] - done[0][3])  # type: ignore[operator]
        speeds = {"what": f"ranks: {size}", "tried": "-", "as it should be": "-", "steps/s": speed}
        rows.append(speeds)
    cores = len(os.sched_getaffinity(0))
    tiny.close("two_ranks", f"One rank and two on {cores} cores, gloo", rows, small)


if __name__ == "__main__":
    main()

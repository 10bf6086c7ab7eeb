"""Two ranks beside one: the same weights at every update, resumed as begun, and how much faster.

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
from molrl.runs.weights import sha256

SMALL = PPOConfig(num_envs=16, n_steps=8, batch_size=32, target_kl=0.01)


def train(updates: int, small: bool) -> int:
    """Train as one rank; note the sums of the weights and the episodes, and the time."""
    with process_group() as ranks:
        ppo = SMALL if small else PPOConfig()
        policy = PolicyConfig(width=16, channels=4, degree=2, layers=1) if small else PolicyConfig()
        energy = "gfn2" if small else "mace"
        env = MolDesignVectorEnv(ppo.num_envs, "SameStep", bag="CH4O", energy=energy)
        steps = updates * ppo.num_envs * ppo.n_steps * ranks.size
        agent = AgentTraining(env, policy, ppo, steps, seed=0, ranks=ranks)
        said, began = [], perf_counter()

        def on_update(step: int, figures: dict[str, float]) -> None:
            own = sha256(env.state.positions.tobytes())
            said.append((step, weights(agent.network), own, perf_counter() - began))

        agent.run(on_update)
    Path(f"rank-{ranks.rank}.json").write_text(json.dumps(said))
    return 0


def fit(steps: int) -> int:
    """Fit as one rank; note the sum of the weights at every step, and its own loss."""
    with process_group() as ranks:
        config = FitConfig(
            data=("data.npz",),
            run_dir="fit",
            steps=steps,
            batch_size=4,
            network=MaceConfig(channels=8, radial_mlp=(16,)),
        )
        atoms = load_energy("gfn2").atom_energies()
        model, said = Fit(config, Dataset.load("data.npz"), atoms, "cpu", ranks), []

        def report(step: int, figures: dict[str, float]) -> None:
            said.append((step, weights(model.network), figures["loss"], 0.0))

        model.run(report)
    Path(f"rank-{ranks.rank}.json").write_text(json.dumps(said))
    return 0


def weights(network: torch.nn.Module) -> str:
    return sha256(b"".join(p.detach().numpy().tobytes() for p in network.parameters()))


def begin(
    size: int, work: Callable[[], int], before: Callable[[], object] = lambda: None
) -> list[int]:
    """Begin the same work as each of so many ranks; their process ids."""
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


def noted(size: int, work: Callable[[], int]) -> list[list[list[object]]]:
    """What each of so many ranks noted."""
    codes = [tiny.finish(child) for child in begin(size, work)]
    assert codes == [0] * size, codes
    return [json.loads(Path(f"rank-{number}.json").read_text()) for number in range(size)]


def in_step(what: str, first: list[list[object]], second: list[list[object]]) -> dict[str, object]:
    alike = [a[:2] == b[:2] and a[2] != b[2] for a, b in zip(first, second, strict=True)]
    moved = len({weights for _, weights, _, _ in first}) == len(first)
    return {"what": what, "tried": len(first), "as it should be": sum(alike) * moved}


def killed_and_resumed(n: int) -> dict[str, object]:
    """Two ranks of ``molrl train``, killed with -9 or stopped by a signal to one, and resumed."""
    Path("train.yaml").write_text(tiny.SMALL_TRAIN)
    finished(begin(2, training(Path("whole"))))
    wanted, same = tiny.outcome(Path("whole")), 0
    for i in range(n):
        run, number = Path(f"run-{i}"), (signal.SIGKILL, signal.SIGUSR1)[i % 2]
        children = begin(2, training(run), partial(pause_after, (2, 1, 1, 2)[i % 4]))
        wait_for_pause(children)
        for child in children if number == signal.SIGKILL else children[1:]:
            os.kill(child, number)
        for child in children:
            os.kill(child, signal.SIGCONT)
        codes = [tiny.finish(child) for child in children]
        stopped = codes == ([-number] * 2 if number == signal.SIGKILL else [75, 75])
        finished(begin(2, lambda run=run: tiny.in_silence("resume", run)))
        same += stopped and tiny.outcome(run) == wanted
        shutil.rmtree(run)
    what = "two ranks killed, or one told to stop, and resumed: same outcome"
    return {"what": what, "tried": n, "as it should be": same}


def training(run: Path) -> Callable[[], int]:
    """A training of three updates."""
    return lambda: tiny.in_silence("train", "train.yaml", f"run_dir={run}", "ppo.num_envs=16")


def pause_after(update: int) -> None:
    """Have this process pause when an update is done, before it is saved."""
    most, calls = Ranks.all_reduce_max, count(1)  # it is called once an update

    def most_and_pause(ranks: Ranks, value: int) -> int:
        largest = most(ranks, value)
        if next(calls) == update:
            signal.raise_signal(signal.SIGSTOP)
        return largest

    Ranks.all_reduce_max = most_and_pause  # type: ignore[method-assign]


def wait_for_pause(children: list[int]) -> None:
    paused = [os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]) for child in children]
    assert all(paused), f"ranks that paused, and that ended before: {paused}"


def finished(children: list[int]) -> None:
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
        rows.append(in_step(what, *noted(2, lambda: fit(5 * updates))))
        one = noted(1, lambda: train(updates, small))[0]
        first, second = noted(2, lambda: train(updates, small))
    what = "updates of an agent with the same weights and other episodes on both ranks"
    rows.append(in_step(what, first, second))
    rows = [row | {"steps/s": "-"} for row in rows]
    for size, said in ((1, one), (2, first)):
        speed = (said[-1][0] - said[0][0]) / (said[-1][3] - said[0][3])  # type: ignore[operator]
        speeds = {"what": f"ranks: {size}", "tried": "-", "as it should be": "-", "steps/s": speed}
        rows.append(speeds)
    cores = len(os.sched_getaffinity(0))
    tiny.close("two_ranks", f"One rank and two on {cores} cores, gloo", rows, small)


if __name__ == "__main__":
    main()

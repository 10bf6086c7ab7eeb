"""Two ranks beside one: the same weights at every update, resumed as begun, and how much faster.

python experiments/benchmarks/reliability/two_ranks.py
"""

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import tiny
import torch

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.training import AgentTraining
from molrl.energy.data.dataset import Dataset
from molrl.energy.fit import Fit, FitConfig
from molrl.energy.mace.network import MaceConfig
from molrl.energy.registry import load_energy
from molrl.envs.vector import MolDesignVectorEnv
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.ranks import joined
from molrl.runs.weights import sha256

SMALL = PPOConfig(num_envs=16, n_steps=8, batch_size=32, target_kl=0.01)


def train(updates: int, small: bool) -> None:
    """Train as one rank; note the sums of the weights and the episodes, and the time."""
    with joined() as ranks:
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


def fit(steps: int) -> None:
    """Fit as one rank; note the sum of the weights at every step, and its own loss."""
    with joined() as ranks:
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


def weights(network: torch.nn.Module) -> str:
    return sha256(b"".join(p.detach().numpy().tobytes() for p in network.parameters()))


def begin(size: int, work: Callable[[], object]) -> list[int]:
    """Begin the same work as each of so many ranks; their process ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for number in range(size):
        names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": size}
        names |= {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        children.append(os.fork())
        if not children[-1]:
            os.environ.update({name: str(value) for name, value in names.items()})
            os._exit(work() or 0)  # type: ignore[arg-type]  # an exit code or None
    return children


def noted(size: int, work: Callable[[], object]) -> list[list[list[object]]]:
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
    finished(begin(2, command("train", "train.yaml", "run_dir=whole")))
    wanted, same = tiny.outcome(Path("whole")), 0
    for i in range(n):
        run, number = Path(f"run-{i}"), (signal.SIGKILL, signal.SIGUSR1)[i % 2]
        children = begin(2, command("train", "train.yaml", f"run_dir={run}"))
        while not Checkpoints(run / "checkpoints").steps():
            time.sleep(0.001)
        for child in children if number == signal.SIGKILL else children[1:]:
            os.kill(child, number)
        codes = [tiny.finish(child) for child in children]
        stopped = codes == ([-number] * 2 if number == signal.SIGKILL else [75, 75])
        finished(begin(2, command("resume", str(run))))
        same += stopped and tiny.outcome(run) == wanted
        shutil.rmtree(run)
    what = "two ranks killed, or one told to stop, and resumed: same outcome"
    return {"what": what, "tried": n, "as it should be": same}


def command(*words: str) -> Callable[[], int]:
    return lambda: tiny.in_silence(*words)


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

"""Two ranks beside one: the same weights at every update, and how much faster.

python experiments/benchmarks/reliability/two_ranks.py
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import tiny

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv
from molrl.runs.ranks import joined
from molrl.runs.weights import sha256

SMALL = PPOConfig(num_envs=16, n_steps=8, batch_size=32, target_kl=0.01)


def rank(updates: int, small: bool) -> None:
    """Train as one rank; print the sum of the weights and the seconds of every update."""
    with joined() as ranks:
        ppo = SMALL if small else PPOConfig()
        policy = PolicyConfig(width=16, channels=4, degree=2, layers=1) if small else PolicyConfig()
        env = MolDesignVectorEnv(
            num_envs=ppo.num_envs,
            autoreset_mode="SameStep",
            bag="CH4O",
            energy="gfn2" if small else "mace",
        )
        steps = updates * ppo.num_envs * ppo.n_steps * ranks.size
        agent = AgentTraining(env, policy, ppo, steps, seed=0, ranks=ranks)
        said, began = [], perf_counter()

        def on_update(step: int, figures: dict[str, float]) -> None:
            weights = b"".join(p.detach().numpy().tobytes() for p in agent.network.parameters())
            kept = sha256(agent.env.state.positions.tobytes())
            said.append((step, sha256(weights), kept, perf_counter() - began))

        agent.run(on_update)
    Path(f"rank-{ranks.rank}.json").write_text(json.dumps(said))


def together(size: int, updates: int, small: bool) -> list[list[list[object]]]:
    """What each of so many ranks said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for number in range(size):
        names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": size}
        names |= {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in names.items()}
        command = [sys.executable, __file__, "rank", str(updates), str(int(small))]
        processes.append(subprocess.Popen(command, env=environment))
    assert [process.wait() for process in processes] == [0] * size
    return [json.loads(Path(f"rank-{number}.json").read_text()) for number in range(size)]


def main() -> None:
    small = tiny.arguments(__doc__).small
    updates = 4 if small else 20
    with tiny.scratch_folder():
        one = together(1, updates, small)[0]
        first, second = together(2, updates, small)
    alike = [a[:2] == b[:2] and a[2] != b[2] for a, b in zip(first, second, strict=True)]
    moved = len({weights for _, weights, _, _ in first})
    rows: list[dict[str, object]] = [
        {
            "what": "updates with the same weights and other episodes on both ranks",
            "tried": updates,
            "as it should be": sum(alike) if moved == updates else 0,
            "steps/s": "-",
        }
    ]
    for size, said in ((1, one), (2, first)):
        speed = (said[-1][0] - said[0][0]) / (said[-1][3] - said[0][3])  # type: ignore[operator]
        rows.append(
            {"what": f"ranks: {size}", "tried": "-", "as it should be": "-", "steps/s": speed}
        )
    cores = len(os.sched_getaffinity(0))
    tiny.close("two_ranks", f"One rank and two on {cores} cores, gloo", rows, small)


if __name__ == "__main__":
    if sys.argv[1:2] == ["rank"]:
        rank(int(sys.argv[2]), bool(int(sys.argv[3])))
    else:
        main()

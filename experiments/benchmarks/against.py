"""Speeds of this checkout against those of another.

python experiments/benchmarks/against.py OLD

Each workload runs in a process of its own, seven times in either checkout, in turn, and the median
of the ratios is what counts: what else the machine does hits both alike. OLD is the folder of a
checkout, as `git worktree add OLD COMMIT` makes one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from record import RESULTS, record

from molrl.runs.progress import progress

HERE = RESULTS.parents[1]
PAIRS = 7
SECONDS = 1.0  # of each measurement, after one that warms up
PROCESSES = {"policy, an action": 3}  # of which the fastest counts; 1 for the others

# What the checkouts have in common; each prints how long one call takes at best, in seconds.
COMMON = f"""
import time, warnings
import numpy as np, torch, gymnasium as gym
from ase.build import molecule
from molrl.energy import load_energy
warnings.filterwarnings("ignore")
torch.set_num_threads(1)

def best(work):
    work()
    times = []
    while len(times) < 3 or sum(times) < {SECONDS}:
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    print(min(times))

names = ["CH3CH2OCH3", "C3H7", "CH3COCH3", "isobutene", "C5H8", "CH3CH2NH2"]
from molrl.molecules import MoleculeBatch
def batch(n):
    return MoleculeBatch.from_ase([molecule(names[i % len(names)]) for i in range(n)])
"""
ENVS = """
from molrl.envs.vector import MolDesignVectorEnv
from molrl.agents.random import RandomAgent
envs = MolDesignVectorEnv(256, autoreset_mode="SameStep", bag="C4H9NO", energy="mace")
agent, rng = RandomAgent(envs.energy_model, distances=(1.0, 1.5)), np.random.default_rng(0)
observation, _ = envs.reset(seed=0)
actions = []
for _ in range(15):
    actions.append(agent._act(observation, rng.random((256, 8))))
    observation, *_ = envs.step(actions[-1])
def play():
    envs.reset(seed=0)
    for action in actions:
        envs.step(action)
best(play)
"""
POLICY = """
import sys
sys.path.insert(0, "experiments/benchmarks")
import policy_speed
agent = policy_speed.model(25)
shown = policy_speed.observation(25)
"""
WORKLOADS = {
    "energies of 64 molecules, mace": "b = batch(64); m = load_energy('mace', 'cpu'); "
    "best(lambda: m.evaluate(b))",
    "the same with forces": "b = batch(64); m = load_energy('mace', 'cpu'); "
    "best(lambda: m.evaluate(b, forces=True))",
    "energies of 256 molecules, mace-small": "b = batch(256); m = load_energy('mace-small', 'cpu');"
    " best(lambda: m.evaluate(b))",
    "one molecule, mace": "b = batch(1); m = load_energy('mace', 'cpu'); "
    "best(lambda: m.evaluate(b))",
    "15 steps of 256 environments, mace": ENVS,
    "policy, an action": POLICY + "best(lambda: agent.predict(shown))",
    "policy, an epoch of PPO": POLICY + "best(lambda: policy_speed.update_ms(agent, 25))",
}


def measure(checkout: Path, workload: str) -> float:
    """Seconds of one call of a workload, in a process that imports from a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMMON + WORKLOADS[workload]],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{workload} in {checkout}: {done.stderr.splitlines()[-1]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="folder of the other checkout")
    old = parser.parse_args().old.resolve()
    rows: list[dict[str, object]] = []
    with progress(len(WORKLOADS) * PAIRS, "pairs") as bar:
        for i, workload in enumerate(WORKLOADS):
            pairs = []
            for k in range(PAIRS):
                order = ((old, HERE) if k % 2 else (HERE, old)) * PROCESSES.get(workload, 1)
                found = {old: np.inf, HERE: np.inf}
                for checkout in order:
                    found[checkout] = min(found[checkout], measure(checkout, workload))
                pairs.append((found[old], found[HERE]))
                bar.update(i * PAIRS + k + 1)
            ratios = [new / before for before, new in pairs]
            rows.append(
                {
                    "workload": workload,
                    "before, ms": 1e3 * statistics.median(before for before, _ in pairs),
                    "now, ms": 1e3 * statistics.median(new for _, new in pairs),
                    "now / before": round(statistics.median(ratios), 3),
                    "quartiles": " to ".join(f"{q:.3f}" for q in np.quantile(ratios, [0.25, 0.75])),
                }
            )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=old, capture_output=True, text=True, check=True
    ).stdout.strip()
    record("against", f"Time of a call now over that at commit {commit}, medians of 7 pairs", rows)


if __name__ == "__main__":
    main()

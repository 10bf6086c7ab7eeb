"""CPU time of 1,000 environment steps of a whole training: episodes, energies and updates.

python experiments/benchmarks/training_speed.py

The bag is CH3NO, one of MolGym's. Every update is counted with the episodes it learns from; the
first 2,000 steps, in which molecules are small, are not.
"""

from time import process_time

import torch
from record import record

from molrl.agents.config import AnyAlgorithm, parse_algorithm, parse_policy
from molrl.agents.training import AgentTraining
from molrl.envs.vector import MolDesignVectorEnv

BAG, STEPS = "CH3NO", 6_000
WARM_UP = 2_000  # steps
CASES = [("mace", "default", "ppo"), ("mace", "default", "imitation"), ("pm6", "molgym", "ppo")]


def cpu_seconds(energy: str, rules: str, algorithm: AnyAlgorithm) -> float:
    """Return the CPU time of 1,000 steps, s."""
    env = MolDesignVectorEnv(algorithm.num_envs, "SameStep", task=BAG, energy=energy, rules=rules)
    training = AgentTraining(env, parse_policy("covariant"), algorithm, STEPS, seed=0)
    times: list[tuple[int, float]] = []
    training.run(lambda step, figures: times.append((step, process_time())))
    (first, begun), (last, ended) = next(t for t in times if t[0] >= WARM_UP), times[-1]
    return 1000 * (ended - begun) / (last - first)


def main() -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for energy, rules, name in CASES:
        algorithm = parse_algorithm(name)
        rows.append(
            {
                "energy": energy,
                "algorithm": name,
                "environments": algorithm.num_envs,
                "epochs": algorithm.n_epochs,
                "CPU s of 1,000 steps": cpu_seconds(energy, rules, algorithm),
            }
        )
    record("training_speed", f"Trainings of the covariant agent on {BAG}, one CPU thread", rows)


if __name__ == "__main__":
    main()

"""PPO on methanol with one setting changed at a time, by which the defaults were chosen.

python experiments/benchmarks/ppo_settings.py [STEPS]
"""

import sys

import numpy as np
import torch
from record import record

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.training import AgentTraining
from molrl.energy import load_energy
from molrl.envs.vector import MolDesignVectorEnv
from molrl.evaluation.reference import reference_return

BAG = "CH4O"
SEEDS = (0, 1)
CHANGES: dict[str, dict[str, object]] = {
    "defaults": {},
    "rewards unscaled": {"reward_scale": 1.0},
    "one minibatch an epoch": {"batch_size": 768},
    "n_epochs 2": {"n_epochs": 2},
    "n_epochs 10": {"n_epochs": 10},
    "target_kl 0.01": {"target_kl": 0.01},
    "no target_kl": {"target_kl": None},
    "learning_rate 3e-4": {"learning_rate": 3e-4},
    "learning_rate 2e-3": {"learning_rate": 2e-3},
    "no entropy bonus": {"ent_coef": 0.0, "final_ent_coef": 0.0},
    "ent_coef 0.05": {"ent_coef": 0.05, "final_ent_coef": 0.005},
    "gae_lambda 1": {"gae_lambda": 1.0},
    "256 environments": {"num_envs": 256, "n_steps": 6, "batch_size": 256},
}


def outcome(
    change: dict[str, object], seed: int, steps: int, reference: float
) -> tuple[float, ...]:
    """Train, and return the return fraction and valid fraction over the last tenth."""
    ppo = PPOConfig.model_validate(change)
    env = MolDesignVectorEnv(ppo.num_envs, autoreset_mode="SameStep", bag=BAG, energy="gfn2")
    rows: list[dict[str, float]] = []
    training = AgentTraining(env, PolicyConfig(), ppo, steps, seed)
    training.run(lambda _, figures: rows.append(figures))
    last = rows[-max(1, len(rows) // 10) :]
    means = [np.mean([row[key] for row in last]) for key in ("return", "valid_fraction")]
    return float(means[0] / reference), float(means[1])


def main() -> None:
    torch.set_num_threads(1)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 24_000
    reference = reference_return(BAG, load_energy("gfn2"))
    rows: list[dict[str, object]] = []
    for name, change in CHANGES.items():
        found = [outcome(change, seed, steps, reference) for seed in SEEDS]
        row: dict[str, object] = {"setting": name}
        for seed, (returned, valid) in zip(SEEDS, found, strict=True):
            row |= {f"return fraction, seed {seed}": returned, f"valid, seed {seed}": valid}
        rows.append(row)
        title = f"PPO on {BAG}, energy gfn2, the end of {steps} steps"
        record("ppo_settings", title, rows)


if __name__ == "__main__":
    main()

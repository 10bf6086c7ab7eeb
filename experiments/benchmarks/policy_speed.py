"""Speed of the covariant policy on one CPU thread, compared with MolGym's covariant agent.

The reference figures are MolGym's (gncs/molgym b94f297), measured on the same kind of machine,
one thread, five atoms placed: 34 ms per observation at canvas 7 and batch 64, 315 ms at canvas 25
and batch 8, and 105 ms per sample and epoch of PPO.
"""

import numpy as np
import torch
from record import record, seconds
from stable_baselines3 import PPO

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.policy import CovariantPolicy
from molrl.agents.vec_env import SB3VecEnv
from molrl.envs.vector import MolDesignVectorEnv

BATCH = 64
SAMPLES = 256
MINIBATCHES = 64, 128  # the latter is the default
MOLGYM_BATCH = {7: 64, 25: 8}
MOLGYM_FORWARD = {7: 34.0, 25: 315.0}
MOLGYM_UPDATE = 105.0


def model(canvas_size: int) -> PPO:
    env = MolDesignVectorEnv(
        num_envs=BATCH,
        autoreset_mode="SameStep",
        bag="CH3NO",
        energy="gfn2",
        canvas_size=canvas_size,
    )
    options = PPOConfig(n_steps=SAMPLES // BATCH, n_epochs=1).sb3_options()
    options["target_kl"] = None
    return PPO(
        CovariantPolicy,
        SB3VecEnv(env),
        policy_kwargs={"config": PolicyConfig()},
        device="cpu",
        **options,
    )


def observation(canvas_size: int) -> dict[str, np.ndarray]:
    """Return observations of five placed atoms of formamide, with one left in the bag."""
    numbers = np.zeros((BATCH, canvas_size), np.int64)
    numbers[:, :5] = [6, 8, 7, 1, 1]
    positions = np.zeros((BATCH, canvas_size, 3), np.float32)
    positions[:, :5] = [[0, 0, 0], [1.2, 0, 0], [-0.8, 1.1, 0], [-0.5, -0.9, 0], [-1.8, 1, 0]]
    positions[:, 1:5] += np.random.default_rng(0).normal(0, 0.05, (BATCH, 4, 3))
    focus_mask = (numbers > 0).astype(np.int8)
    bag = np.tile(np.array([1, 0, 0, 0]), (BATCH, 1))
    return {
        "numbers": numbers,
        "positions": positions,
        "bag": bag,
        "focus_mask": focus_mask,
        "element_mask": (bag > 0).astype(np.int8),
    }


def update_ms(agent: PPO, canvas_size: int, minibatch: int) -> float:
    """Measure the CPU time of one epoch of PPO on canvases with five atoms, per sample."""
    agent.batch_size = minibatch
    agent._setup_learn(SAMPLES)
    buffer = agent.rollout_buffer
    buffer.reset()
    shown = observation(canvas_size)
    while not buffer.full:
        with torch.no_grad():
            tensors = {key: torch.as_tensor(value) for key, value in shown.items()}
            actions, values, log_prob = agent.policy(tensors)
        rewards = np.random.default_rng(1).normal(size=BATCH).astype(np.float32)
        buffer.add(shown, actions.numpy(), rewards, np.ones(BATCH), values, log_prob)
    buffer.compute_returns_and_advantage(torch.zeros(BATCH), np.ones(BATCH))
    return 1e3 * seconds(agent.train, "cpu") / SAMPLES


def main() -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for canvas_size, reference in MOLGYM_FORWARD.items():
        agent = model(canvas_size)
        shown = observation(canvas_size)
        forward = 1e3 * seconds(lambda a=agent, s=shown: a.predict(s), "cpu") / BATCH
        rows.append(
            row(
                f"act, an observation of a batch of {BATCH} (MolGym: {MOLGYM_BATCH[canvas_size]}), "
                f"canvas {canvas_size}",
                forward,
                reference,
            )
        )
        for minibatch in MINIBATCHES:
            what = f"PPO, per sample and epoch, minibatches of {minibatch}, canvas {canvas_size}"
            rows.append(row(what, update_ms(agent, canvas_size, minibatch), MOLGYM_UPDATE))
    record("policy_speed", "Covariant policy, CPU ms on one thread, five atoms placed", rows)


def row(what: str, ours: float, reference: float) -> dict[str, object]:
    return {"what": what, "molrl ms": ours, "MolGym ms": reference, "ratio": reference / ours}


if __name__ == "__main__":
    main()

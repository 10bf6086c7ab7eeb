"""Time of checkpoints as a share of a training, at the default interval.

python experiments/benchmarks/reliability/cost.py
"""

from pathlib import Path
from time import perf_counter

import tiny

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.resume import snapshot
from molrl.agents.training import AgentTraining
from molrl.cli.experiment import ExperimentConfig
from molrl.envs.vector import MolDesignVectorEnv
from molrl.runs.checkpoints import Checkpoints

EVERY = ExperimentConfig.model_fields["checkpoint_every"].default


def main() -> None:
    small = tiny.arguments(__doc__).small
    ppo = PPOConfig(n_epochs=1) if small else PPOConfig()
    steps = (2 if small else 27) * ppo.num_envs * ppo.n_steps
    env = MolDesignVectorEnv(
        num_envs=ppo.num_envs, autoreset_mode="SameStep", bag="CH4O", energy="mace"
    )
    agent = AgentTraining(env, PolicyConfig(), ppo, steps, seed=0)
    saves, began = [], perf_counter()
    with tiny.scratch_folder():
        checkpoints = Checkpoints(Path("checkpoints"))

        def on_update(step: int, figures: dict[str, float]) -> None:
            start = perf_counter()
            checkpoints.save(snapshot(agent))
            saves.append(perf_counter() - start)

        agent.run(on_update)
    training = perf_counter() - began - sum(saves)
    save = sum(saves) / len(saves)
    between = training * EVERY / agent.steps
    rows: list[dict[str, object]] = [
        {
            "what": f"a checkpoint every {EVERY} steps, CH4O against mace",
            "s for a save": save,
            "s between saves": between,
            "% of the time": 100 * save / (between + save),
        }
    ]
    tiny.close("cost", "Time of checkpoints at the default interval", rows, small)


if __name__ == "__main__":
    main()

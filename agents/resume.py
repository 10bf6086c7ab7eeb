"""A training at rest between two updates: taken down, and taken up again as if nothing had been."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from molrl.agents.training import AgentTraining
from molrl.envs.spaces import observe
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint


def snapshot(training: AgentTraining) -> Checkpoint:
    """All that the rest of a training depends on: call it from ``on_update``.

    Weights, optimiser, random generators, the canvases under way, and the counters.
    """
    ppo, episodes = training.ppo, training.sb3_env
    tensors = {f"policy/{name}": tensor for name, tensor in ppo.policy.state_dict().items()}
    for i, moments in ppo.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{key}": tensor for key, tensor in moments.items()}
    arrays = {f"canvas/{key}": array for key, array in training.env.state.arrays().items()}
    arrays |= {"episode/returns": episodes.returns, "episode/lengths": episodes.lengths}
    arrays["episode/starts"] = np.asarray(ppo._last_episode_starts)
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - SB3 shuffles with the global one
    arrays["random/numpy"] = np.asarray(keys, np.int64)
    tensors |= {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    tensors["random/torch"] = torch.get_rng_state()
    if ppo.device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(ppo.device)
    state: dict[str, Any] = {
        "n_updates": ppo._n_updates,
        "energy_hash": training.env.energy_model.hash,
        "endings": dict(training.env.endings),
        "random": [kind, *rest],
    }
    return Checkpoint(ppo.num_timesteps, tensors, state)


def restore(training: AgentTraining, checkpoint: Checkpoint) -> None:
    """Put a training that was made from the same config where a snapshot was taken.

    What :meth:`AgentTraining.run` does then is, bit for bit on a CPU, what it would have done.

    Raises:
        InputError: if the checkpoint is of another energy model or of other sizes.
    """
    model = training.env.energy_model
    if checkpoint.state["energy_hash"] != model.hash:
        raise InputError(
            f"the run was begun against {model.name} {checkpoint.state['energy_hash']}, but "
            f"{model.name} is now {model.hash}; go on with the molrl it was begun with"
        )
    try:
        _restore_network(training, checkpoint.tensors)
    except (RuntimeError, KeyError) as error:
        raise InputError(f"the checkpoint does not belong to this config: {error}") from None
    _restore_episodes(training, checkpoint)
    ppo = training.ppo
    ppo.num_timesteps = checkpoint.step
    ppo._n_updates = checkpoint.state["n_updates"]
    ppo._update_current_progress_remaining(checkpoint.step, training.total_steps)
    kind, *rest = checkpoint.state["random"]
    keys = checkpoint.tensors["random/numpy"].numpy().astype(np.uint32)
    np.random.set_state((kind, keys, *rest))  # noqa: NPY002 - SB3 shuffles with the global one
    torch.set_rng_state(checkpoint.tensors["random/torch"])
    if ppo.device.type == "cuda":
        torch.cuda.set_rng_state(checkpoint.tensors["random/cuda"], ppo.device)


def _restore_network(training: AgentTraining, tensors: dict[str, Tensor]) -> None:
    policy = training.ppo.policy
    policy.load_state_dict({key: tensors[f"policy/{key}"] for key in policy.state_dict()})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, i, key = name.split("/")
            moments.setdefault(int(i), {})[key] = tensor
    groups = policy.optimizer.state_dict()["param_groups"]
    policy.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _restore_episodes(training: AgentTraining, checkpoint: Checkpoint) -> None:
    arrays = {name: tensor.numpy() for name, tensor in checkpoint.tensors.items()}
    canvases = [name for name in arrays if name.startswith("canvas/")]
    state = CanvasState(**{name.removeprefix("canvas/"): arrays[name] for name in canvases})
    env, episodes, ppo = training.env, training.sb3_env, training.ppo
    env.go_on_from(state)
    env.endings.clear()
    env.endings.update(checkpoint.state["endings"])
    episodes.returns[:] = arrays["episode/returns"]
    episodes.lengths[:] = arrays["episode/lengths"]
    ppo._last_obs = dict(observe(state, env.task.layout))
    ppo._last_episode_starts = arrays["episode/starts"]

"""Snapshots of a training between two updates, and exact resume from them."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molrl.agents.training import AgentTraining
from molrl.envs.spaces import observe
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint

_FORMER_REASONS = {"solo atom": "monovalent atom"}  # in checkpoints of earlier versions


def snapshot(training: AgentTraining) -> Checkpoint:
    """Return all that the rest of a training depends on.

    That is the weights, the optimiser and the counters, which all ranks share, and the random
    generators and unfinished episodes of each rank.

    Args:
        training: the training of this rank; to be called from ``on_update``, on every rank.
    """
    ppo = training.ppo
    tensors = {f"policy/{name}": tensor for name, tensor in ppo.policy.state_dict().items()}
    for i, moments in ppo.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{key}": tensor for key, tensor in moments.items()}
    own = training.ranks.gather((_own_tensors(training), _own_state(training)))
    for rank, (of_rank, _) in enumerate(own):
        tensors |= {f"rank{rank}/{name}": tensor for name, tensor in of_rank.items()}
    state: dict[str, Any] = {
        "n_updates": ppo._n_updates,
        "energy_hash": training.env.energy_model.hash,
        "ranks": [state for _, state in own],
    }
    return Checkpoint(training.steps, tensors, state)


def restore(training: AgentTraining, checkpoint: Checkpoint) -> None:
    """Restore a training to the state of a snapshot.

    :meth:`AgentTraining.run` then continues as the interrupted training would have, bit for bit on
    a CPU.

    Args:
        training: a new training with the same configuration.
        checkpoint: from :func:`snapshot`.

    Raises:
        InputError: if the checkpoint is of another energy model, of another number of ranks, or
            of other sizes.
    """
    model, ranks = training.env.energy_model, training.ranks
    if checkpoint.state["energy_hash"] != model.hash:
        raise InputError(
            f"the run was begun with {model.name} {checkpoint.state['energy_hash']}, but "
            f"{model.name} is now {model.hash}; resume it with the molrl it was begun with"
        )
    if (size := len(checkpoint.state["ranks"])) != ranks.size:
        raise InputError(
            f"the run was begun on {size} ranks, not {ranks.size}; resume it on {size}"
        )
    ppo = training.ppo
    try:
        _restore_network(training, checkpoint.tensors)
    except (RuntimeError, KeyError) as error:
        raise InputError(f"the checkpoint does not belong to this config: {error}") from None
    ppo.num_timesteps = checkpoint.step // ranks.size
    ppo._n_updates = checkpoint.state["n_updates"]
    ppo._update_current_progress_remaining(ppo.num_timesteps, training.own_steps)
    prefix = f"rank{ranks.rank}/"
    own = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }
    _restore_own(training, own, checkpoint.state["ranks"][ranks.rank])


def _own_tensors(training: AgentTraining) -> dict[str, Tensor]:
    """Return the unfinished episodes and the random generators of this rank."""
    ppo, episodes = training.ppo, training.sb3_env
    arrays = {f"canvas/{key}": array for key, array in training.env.state.arrays().items()}
    arrays |= {"episode/returns": episodes.returns, "episode/lengths": episodes.lengths}
    arrays["episode/starts"] = np.asarray(ppo._last_episode_starts)
    arrays["random/numpy"] = np.asarray(_numpy_random()[1], np.int64)
    arrays["random/python"] = np.asarray(random.getstate()[1], np.int64)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    tensors["random/torch"] = torch.get_rng_state()
    if ppo.device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(ppo.device)
    return tensors


def _own_state(training: AgentTraining) -> dict[str, Any]:
    kind, _, *rest = _numpy_random()
    version, _, gauss = random.getstate()
    return {
        "endings": dict(training.env.endings),
        "draws": training.env.draws(),
        "numpy": [kind, *rest],
        "python": [version, gauss],
    }


def _numpy_random() -> tuple[Any, ...]:
    return np.random.get_state()  # type: ignore[return-value]  # noqa: NPY002 - SB3 shuffles with it


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


def _restore_own(
    training: AgentTraining, tensors: dict[str, Tensor], state: dict[str, Any]
) -> None:
    env, episodes, ppo = training.env, training.sb3_env, training.ppo
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    names = [name for name in arrays if name.startswith("canvas/")]
    canvases = CanvasState.from_arrays(
        {name.removeprefix("canvas/"): arrays[name] for name in names}
    )
    env.resume_from(canvases, state.get("draws", []))  # none in checkpoints of earlier versions
    env.endings.clear()
    for reason, n in state["endings"].items():
        env.endings[_FORMER_REASONS.get(reason, reason)] += n
    episodes.returns[:] = arrays["episode/returns"]
    episodes.lengths[:] = arrays["episode/lengths"]
    ppo._last_obs = dict(observe(canvases, env.problem.layout))
    ppo._last_episode_starts = arrays["episode/starts"]
    kind, *rest = state["numpy"]
    np.random.set_state((kind, arrays["random/numpy"].astype(np.uint32), *rest))  # noqa: NPY002 - SB3 shuffles with it
    version, gauss = state["python"]
    random.setstate((version, tuple(arrays["random/python"].tolist()), gauss))
    torch.set_rng_state(tensors["random/torch"])
    if ppo.device.type == "cuda" and "random/cuda" in tensors:  # the run may have begun on a CPU
        torch.cuda.set_rng_state(tensors["random/cuda"], ppo.device)

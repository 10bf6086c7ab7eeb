"""Snapshots of a training between two updates, and exact resume from them."""

import random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrl.agents.algorithms.interface import Position
from molrl.agents.training import AgentTraining
from molrl.envs.spaces import observe
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint

_FORMER_REASONS = {"solo atom": "monovalent atom"}  # in checkpoints of earlier versions


def snapshot(training: AgentTraining) -> Checkpoint:
    """Return all that the rest of a training depends on.

    That is what the ranks share, of the algorithm; and of each rank the states of the global
    generators of random numbers, those of the environments, and the unfinished episodes.

    Args:
        training: the training of this rank; to be called from ``on_update``, on every rank.
    """
    tensors, state = training.algorithm.snapshot()
    own = training.ranks.gather((_own_tensors(training), _own_state(training)))
    for rank, (of_rank, _) in enumerate(own):
        tensors |= {f"rank{rank}/{name}": tensor for name, tensor in of_rank.items()}
    state |= {
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
    prefix = f"rank{ranks.rank}/"
    own = {
        name.removeprefix(prefix): tensor.numpy()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }
    state = checkpoint.state["ranks"][ranks.rank]
    _check_sizes(training, own)
    position = _restore_episodes(training, own, state, checkpoint.step // ranks.size)
    try:
        training.algorithm.restore(position, checkpoint.tensors, checkpoint.state)
    except (RuntimeError, KeyError) as error:
        raise InputError(
            f"the checkpoint does not belong to this config and version of molrl: {error}"
        ) from None
    _restore_random(own, state, training.device)


def _check_sizes(training: AgentTraining, arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse canvases of another number of environments, slots or elements."""
    env = training.env
    n = env.num_envs
    for name, size in (("numbers", env.config.canvas_size), ("bag", len(env.elements))):
        if (saved := arrays[f"canvas/{name}"].shape) != (n, size):
            raise InputError(
                f"the checkpoint does not belong to this config: its canvases have {name} of shape "
                f"{saved}, not {(n, size)}"
            )


def _own_tensors(training: AgentTraining) -> dict[str, Tensor]:
    """Return the unfinished episodes and the global random generators of this rank."""
    episodes = training.sb3_env
    arrays = {f"canvas/{key}": array for key, array in training.env.state.arrays().items()}
    arrays |= {"episode/returns": episodes.returns, "episode/lengths": episodes.lengths}
    arrays["random/numpy"] = np.asarray(_numpy_random()[1], np.int64)
    arrays["random/python"] = np.asarray(random.getstate()[1], np.int64)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    tensors["random/torch"] = torch.get_rng_state()
    if torch.device(training.device).type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(training.device)
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


def _restore_episodes(
    training: AgentTraining, arrays: dict[str, NDArray[Any]], state: dict[str, Any], steps: int
) -> Position:
    """Restore the unfinished episodes and the generators of the environments."""
    env, episodes = training.env, training.sb3_env
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
    observation = dict(observe(canvases, env.problem.layout))
    return Position(steps, observation, starts=episodes.lengths == 0)


def _restore_random(arrays: dict[str, NDArray[Any]], state: dict[str, Any], device: str) -> None:
    """Restore the states of the global generators."""
    kind, *rest = state["numpy"]
    np.random.set_state((kind, arrays["random/numpy"].astype(np.uint32), *rest))  # noqa: NPY002 - SB3 shuffles with it
    version, gauss = state["python"]
    random.setstate((version, tuple(arrays["random/python"].tolist()), gauss))
    torch.set_rng_state(torch.from_numpy(arrays["random/torch"]))
    if torch.device(device).type == "cuda" and "random/cuda" in arrays:  # may have begun on a CPU
        torch.cuda.set_rng_state(torch.from_numpy(arrays["random/cuda"]), device)

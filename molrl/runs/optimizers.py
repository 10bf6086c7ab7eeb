"""What is saved of weights, their running average and the optimisers, in a checkpoint."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_REMEMBERED = ("momentum", "step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # by optimisers


def weight_tensors(
    parameters: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimizers: Sequence[Optimizer],
) -> dict[str, Tensor]:
    """Return the tensors from which :func:`restore_weights` restores.

    Args:
        parameters: by name.
        average: the running average of each, by its name.
        optimizers: of these parameters.
    """
    tensors = {f"average/{name}": value for name, value in average.items()}
    for name, parameter in parameters.items():
        tensors[f"network/{name}"] = parameter.detach()
    for name, state in _states(parameters, optimizers):
        tensors |= {f"{key}/{name}": value for key, value in state.items()}
    return tensors


def restore_weights(
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimizers: Sequence[Optimizer],
) -> None:
    """Restore what :func:`weight_tensors` returned, in place.

    Args:
        tensors: those of a checkpoint.
        parameters: as for :func:`weight_tensors`.
        average: likewise.
        optimizers: likewise.
    """
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"network/{name}"])
            average[name].copy_(tensors[f"average/{name}"])
    for name, state in _states(parameters, optimizers):
        device = parameters[name].device
        for key in _REMEMBERED:
            if (tensor := tensors.get(f"{key}/{name}")) is not None:
                # (Adam counts its steps on the CPU)
                state[key] = tensor if key == "step" else tensor.to(device)


def _states(
    parameters: Mapping[str, nn.Parameter], optimizers: Sequence[Optimizer]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """What the optimisers remember of each parameter, by its name."""
    names = {parameter: name for name, parameter in parameters.items()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                yield names[parameter], optimizer.state[parameter]

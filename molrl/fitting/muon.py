"""Muon for stacks of matrices."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients of Jordan et al.
_ITERATIONS = 5
_MOMENTUM = 0.95
_SIZE = 0.2  # root mean square of an update over the learning rate: about what Adam's has


class Muon(torch.optim.Optimizer):
    """Steps along the momentum with all its singular values brought to about 1.

    A step so moves all directions between two layers alike, those of small gradients too. Jordan
    et al., "Muon: an optimizer for hidden layers in neural networks", 2024, with Nesterov's
    momentum; the root mean square of an update is 0.2 times the learning rate (Liu et al.,
    arXiv 2502.16982), so that rates are comparable to Adam's. ``torch.optim.Muon`` takes single
    matrices only; here one parameter may hold many, ``(..., n, m)``, and each is a matrix for
    itself.

    Args:
        parameters: of two dimensions or more, that map hidden features to hidden features.
        lr: learning rate.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """Move the parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - _MOMENTUM)
                ahead = parameter.grad.lerp(momentum, _MOMENTUM)
                longest = max(parameter.shape[-2:])
                update = orthogonalized(ahead) * (_SIZE * longest**0.5)
                parameter.add_(update, alpha=-group["lr"])


def orthogonalized(matrices: Tensor) -> Tensor:
    """About U Vᵀ for each matrix U S Vᵀ: singular values between 0.5 and 1.3, most of them.

    A Newton-Schulz iteration, in bfloat16 where the processor multiplies that: it need not be
    exact. A matrix of zeros stays as it is.

    Args:
        matrices: ``(..., n, m)``.

    Returns:
        The same shape and type.
    """
    size = matrices.norm(dim=(-2, -1), keepdim=True)
    x: Tensor = (matrices / size.clamp(min=1e-12)).to(_product_type(matrices.device))
    wide = x if x.shape[-2] <= x.shape[-1] else x.mT
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return (wide if x.shape[-2] <= x.shape[-1] else wide.mT).to(matrices.dtype)


def _product_type(device: torch.device) -> torch.dtype:
    """What the device multiplies fastest; a PyTorch that cannot say what a CPU has gets float32."""
    if device.type != "cpu":
        return torch.bfloat16
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("bf16") else torch.float32

"""The similarity kernel between environments of atoms and those of a reference set.

Elijošius et al., Nat. Commun. 16 (2025), "Zero shot molecular generation via similarity kernels".
"""

import math
from typing import Any

import torch
from torch import Tensor

ATOMS_PER_CHUNK = 512  # of rows of the matrix atoms x reference environments


class SimilarityKernel:
    """Sum of Gaussians, in the space of descriptors, around the environments of a reference set.

    For an atom with the descriptors x, and m reference environments r,

        log k(x) = log sum_j w_j exp(-s |x - r_j|² / (2 L²)),

    where L² is the mean squared norm of the reference descriptors, and the sharpness s is chosen
    at each call: SiMGen's grows with time, see :func:`sharpness_at`.

    The memory is that of one chunk of atoms times m numbers, not times the number of features.

    Args:
        reference: ``(m, n_features)`` floating, descriptors of the reference environments.
        log_weights: ``(m,)`` floating, log w_j; None: all weights are 1, as in SiMGen.

    Attributes:
        length_squared: L².

    Raises:
        ValueError: if there is no environment.

    Example:
        >>> kernel = SimilarityKernel(torch.eye(3))
        >>> kernel.log_similarity(torch.eye(3), sharpness=100.0).round()
        tensor([0., 0., 0.])
    """

    def __init__(self, reference: Tensor, log_weights: Tensor | None = None) -> None:
        if not len(reference):
            raise ValueError("a kernel needs at least one reference environment")
        self.length_squared = float(reference.detach().double().square().sum(-1).mean())
        # Distances are differences of large numbers otherwise: shifted, float32 suffices.
        self._middle = reference.mean(0)
        self._reference = (reference - self._middle).contiguous()
        self._half_squares = 0.5 * self._reference.square().sum(-1)
        self._log_weights = reference.new_zeros(len(reference))
        if log_weights is not None:
            self._log_weights = log_weights.to(reference)

    def balanced(self, power: float, sharpness: float) -> "SimilarityKernel":
        """Return the kernel with smaller weights for common environments.

        The weight of an environment is its own k without weights to the power of minus ``power``,
        times a factor that keeps the sum of weights. At 1, an environment that all molecules of the
        reference have is as attractive as one that a single molecule has.

        Args:
            power: 0 for equal weights.
            sharpness: of the kernel that tells which environments are the same.
        """
        reference = self._reference + self._middle
        common = SimilarityKernel(reference).log_similarity(reference, sharpness)
        weights = torch.log_softmax(-power * common, dim=0) + math.log(len(self))
        return SimilarityKernel(reference, weights)

    def __len__(self) -> int:
        return len(self._reference)

    def log_similarity(self, descriptors: Tensor, sharpness: float) -> Tensor:
        """Compute log k of each atom, differentiable by the descriptors, once.

        Args:
            descriptors: ``(n, n_features)`` of the reference's floating type.
            sharpness: s, above 0.

        Returns:
            ``(n,)``, at most log m.
        """
        scale = sharpness / self.length_squared
        shifted = descriptors - self._middle
        offsets = self._log_weights - scale * self._half_squares
        found: Tensor = _LogSum.apply(  # type: ignore[no-untyped-call]  # untyped in torch
            shifted, self._reference, offsets, scale
        )
        return found

    def squared_distance(self, descriptors: Tensor) -> Tensor:
        """Compute the squared distance from the nearest reference environment, in units of L².

        Args:
            descriptors: ``(n, n_features)``.

        Returns:
            ``(n,)``, at least 0; 0 for an environment of the reference.
        """
        nearest = [
            torch.cdist(part, self._reference).amin(-1)
            for part in torch.split(descriptors - self._middle, ATOMS_PER_CHUNK)
        ]
        return torch.cat(nearest).square() / self.length_squared


class _LogSum(torch.autograd.Function):
    """The logarithm of the sum of Gaussians, with the gradient computed in the same pass.

    What is kept for the backward pass is of the size of the descriptors.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - of torch
        x: Tensor,
        reference: Tensor,
        offsets: Tensor,
        scale: float,
    ) -> Tensor:
        values, gradients = [], []
        for part in torch.split(x, ATOMS_PER_CHUNK):
            # |x - r|² / 2 = |x|² / 2 - x.r + |r|² / 2; the first term is the same for all r.
            logits = torch.addmm(offsets, part, reference.T, alpha=scale)
            largest = logits.amax(-1, keepdim=True)
            weights = logits.sub_(largest).exp_()
            total = weights.sum(-1, keepdim=True)
            own = 0.5 * scale * part.square().sum(-1)
            values.append((largest + total.log()).squeeze(-1) - own)
            if ctx.needs_input_grad[0]:
                gradients.append(scale * (weights @ reference / total - part))
        if gradients:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401 - as above
        (gradient,) = ctx.saved_tensors
        return outer.unsqueeze(-1) * gradient, None, None, None

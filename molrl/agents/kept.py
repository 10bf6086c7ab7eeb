"""The policies that a training keeps: the last, the best by evaluation, and a running average."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from molrl.agents.files import FILES

Weights = dict[str, Tensor]


class KeptPolicies:
    """The average of a network's weights over the updates, and the best weights so far.

    The average is exponential, as in Polyak and Juditsky's averaging with a finite memory
    (https://doi.org/10.1137/0330046): it varies less from update to update than the weights.

    Args:
        network: the network that is trained.
        decay: weight of the former average in an update, at least 0, less than 1; smaller in the
            first updates, so that the initial weights are soon forgotten.

    Attributes:
        network: as given.
        score: of the best weights; None before the first call of :meth:`offer`.

    Example:
        >>> network = nn.Linear(1, 1)
        >>> kept = KeptPolicies(network, decay=0.9)
        >>> kept.offer("last", steps=100, score=1.5)
        >>> kept.score, kept.steps("best")
        (1.5, 100)
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self._decay = network, decay
        self.score: float | None = None
        self._best: Weights = {}
        self.restart()

    def restart(self) -> None:
        """Begin the average with the present weights, as when others have been loaded."""
        self._average, self._updates, self._steps = self._copy(), 0, {"last": 0, "average": 0}

    def _copy(self) -> Weights:
        return {name: x.detach().clone() for name, x in self.network.state_dict().items()}

    def update(self, steps: int) -> None:
        """Add the present weights to the average.

        Args:
            steps: number of steps that the training has done.
        """
        decay = min(self._decay, self._updates / (self._updates + 10))
        self._updates += 1
        self._steps |= {"last": steps, "average": steps}
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point():
                self._average[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self._average[name].copy_(tensor)

    def offer(self, which: str, steps: int, score: float) -> None:
        """Keep weights as the best if their score is higher than that of the best so far.

        Args:
            which: ``"last"`` or ``"average"``.
            steps: number of steps that the training has done.
            score: their figure of merit; NaN is never kept.
        """
        if score > (-torch.inf if self.score is None else self.score):
            self.score, self._steps["best"] = score, steps
            source = self._copy() if which == "last" else self._average
            self._best = {name: tensor.clone() for name, tensor in source.items()}

    def names(self) -> list[str]:
        """Return the names of the policies there are: ``best`` only after an evaluation."""
        return [name for name in FILES if name in self._steps]

    def steps(self, which: str) -> int:
        """Return the number of steps after which a policy was as it is."""
        return self._steps[which]

    @contextmanager
    def using(self, which: str) -> Iterator[None]:
        """Give the network the weights of a policy inside, and the trained ones back at the end.

        Args:
            which: one of :meth:`names`.
        """
        if which == "last":
            yield
            return
        trained = self._copy()
        self.network.load_state_dict(self._best if which == "best" else self._average)
        try:
            yield
        finally:
            self.network.load_state_dict(trained)

    def snapshot(self) -> tuple[Weights, dict[str, Any]]:
        """Return tensors and plain data from which :meth:`restore` restores."""
        tensors = {f"average/{name}": tensor for name, tensor in self._average.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self._best.items()}
        return tensors, {"score": self.score, "steps": self._steps, "updates": self._updates}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Restore from a snapshot, on the device of the network."""
        device = next(self.network.parameters()).device

        def part(prefix: str) -> Weights:
            return {
                name.removeprefix(prefix): tensor.to(device, copy=True)
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }

        self._average, self._best = part("average/"), part("best/")
        self.score, self._updates = state["score"], state["updates"]
        self._steps = dict(state["steps"])

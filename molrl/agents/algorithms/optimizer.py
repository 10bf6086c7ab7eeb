"""The optimiser of policies that imitate: Muon for matrices, Adam for all other weights."""

from typing import Any

import torch
from torch import nn

from molrl.fitting.muon import Muon

_NARROW = 8  # features at least of both sides of what Muon updates


class MuonAdam(torch.optim.Optimizer):
    """Muon for the matrices between features of a module, Adam for its other weights.

    There are two groups of parameters, first Adam's, then Muon's.

    Args:
        module: whose parameters are optimised.
        lr: learning rate of both.
    """

    def __init__(self, module: nn.Module, lr: float) -> None:
        matrices = [
            parameter
            for part in module.modules()
            if not isinstance(part, nn.Embedding)
            for parameter in part.parameters(recurse=False)
            if parameter.dim() > 1 and min(parameter.shape[-2:]) >= _NARROW
        ]
        theirs = set(map(id, matrices))
        rest = [parameter for parameter in module.parameters() if id(parameter) not in theirs]
        self._adam = torch.optim.Adam(rest, lr=lr, eps=1e-5, fused=True)
        self._muon = Muon(matrices, lr=lr)
        super().__init__([*self._adam.param_groups, *self._muon.param_groups], {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state, as ``load_state_dict`` does."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Make state and groups of both those of this one, which are saved and loaded."""
        self._adam.state = self._muon.state = self.state
        self._adam.param_groups, self._muon.param_groups = (
            self.param_groups[:1],
            self.param_groups[1:],
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """Move the parameters that have a gradient."""
        self._adam.step()
        self._muon.step()

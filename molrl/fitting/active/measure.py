"""Measures of a model after a round: attacks on it, and its errors on the validation split."""

from collections.abc import Sequence

import torch

from molrl.energy.interface import EnergyModel
from molrl.fitting.accuracy import errors_of
from molrl.fitting.active.config import AttackConfig
from molrl.fitting.active.gradient_attack import N_STARTS, gradient_search
from molrl.fitting.data.adversarial import PlacementSearch, half_built_molecules, random_placements
from molrl.fitting.data.config import GUARD
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.fit import MAX_VALID

GUARDS = {"guarded": GUARD, "open": 0.0}  # the environment's guard, and none but 0.3 Å
ATTACKS = ("placements", "gradient")
_FIGURES = ("mean_error", "mean_absolute_error", "worst_error", "overbinding_99", "overbinding_max")


class Attacks:
    """The attacks of each round, all on the same half-built molecules of the test split.

    Args:
        config: how many, and which.
        reference: what is right.
        elements: atomic numbers that the molecules may hold.
    """

    def __init__(
        self, config: AttackConfig, reference: EnergyModel, elements: Sequence[int]
    ) -> None:
        self._config, self._reference = config, reference
        self._molecules = half_built_molecules(config.molecules, config.seed, "test", elements)

    def figures(self, model: EnergyModel) -> dict[str, float]:
        """Compute errors in the energy of a placement, eV, by attack, guard and figure.

        Names are as in ``gradient_open_worst_error``: of what went downhill, with no guard. See
        :meth:`molrl.fitting.data.adversarial.AttackReport.summary`.
        """
        out = {}
        for attack in ATTACKS:
            for name, guard in GUARDS.items():
                summary = self._search(model, attack, guard).check(model, self._reference).summary()
                out.update({f"{attack}_{name}_{figure}": summary[figure] for figure in _FIGURES})
        return out

    def _search(self, model: EnergyModel, attack: str, guard: float) -> PlacementSearch:
        seed = self._config.seed
        if attack == "gradient":
            return gradient_search(model, self._molecules, N_STARTS, seed, guard)
        n = self._config.placements
        return PlacementSearch.of(model, *random_placements(self._molecules, n, seed, guard))


def validation_errors(model: EnergyModel, data: Dataset) -> dict[str, float]:
    """Compute mean absolute errors on the validation split, eV/atom and eV/Å; NaN for none."""
    index = torch.nonzero(data.split == data.splits.index("valid")).flatten()
    index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(0))]
    errors = errors_of(model, data[index[:MAX_VALID]])
    return {
        "valid_energy_mae": float(errors.energy_per_atom.abs().mean()),
        "valid_force_mae": float(errors.force.mean()),
    }

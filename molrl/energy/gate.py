"""The gate against fooling: how wrong the placements that pay best may be."""

from dataclasses import dataclass

from molrl.energy.data.adversarial import AttackReport
from molrl.energy.data.placements import GUARD


@dataclass(frozen=True)
class Gate:
    """Limits on what an attack may find, in eV.

    Attributes:
        mean: of the errors' mean, without its sign.
        overbinding_99: of the 99th percentile of the overbinding.
        overbinding_max: of the largest overbinding.
    """

    mean: float
    overbinding_99: float
    overbinding_max: float

    def failures(self, report: AttackReport) -> list[str]:
        """What is over a limit, a line each; none if the model passes."""
        found = report.summary()
        sizes = {
            "size of the mean error": (abs(found["mean_error"]), self.mean),
            "99th percentile of the overbinding": (found["overbinding_99"], self.overbinding_99),
            "largest overbinding": (found["overbinding_max"], self.overbinding_max),
        }
        return [
            f"{name} {size:.3f} eV, at most {limit} eV is allowed"
            for name, (size, limit) in sizes.items()
            if not size <= limit
        ]


# By the guard of the attack: the environment's, or none but the 0.3 Å that always stand.
GATES = {0.0: Gate(0.1, 0.5, 2.0), GUARD: Gate(0.05, 0.25, 1.0)}

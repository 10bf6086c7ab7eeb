"""Aims that a benchmark holds, and the misses that are known: read from a file beside it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import model_validator

from molrl.errors import InputError
from molrl.runs.config import Config, load_config

MET, KNOWN, BROKEN, WORSE = "met", "known miss", "BROKEN", "WORSE THAN KNOWN"
FAILED = (BROKEN, WORSE)


class Threshold(Config):
    """What one figure may be at most.

    Attributes:
        name: of the figure, as the benchmark has it.
        aim: what it should be at most.
        known_miss: the figure as it was recorded, if it misses the aim.
        recorded: where; given if and only if ``known_miss`` is.
    """

    name: str
    aim: float
    known_miss: float | None = None
    recorded: str | None = None

    @model_validator(mode="after")
    def _check_miss(self) -> "Threshold":
        if (self.known_miss is None) != (self.recorded is None):
            raise InputError(f"{self.name}: known_miss and recorded come together")
        if self.known_miss is not None and self.known_miss <= self.aim:
            raise InputError(f"{self.name}: {self.known_miss} is no miss of {self.aim}; remove it")
        return self

    def verdict(self, found: float, margin: float) -> str:
        """What a figure is: met, a known miss, broken, or worse than the known miss."""
        if found <= self.aim:
            return MET
        if self.known_miss is None:
            return BROKEN
        return KNOWN if found <= self.known_miss + margin else WORSE


class Thresholds(Config):
    """The thresholds of a benchmark.

    Attributes:
        margin: by how much a known miss may get worse, in the unit of the figures.
        thresholds: one for each figure.
    """

    margin: float
    thresholds: tuple[Threshold, ...]

    @classmethod
    def load(cls, path: Path) -> "Thresholds":
        """Read a file; what is wrong with it is an InputError."""
        return load_config(path, [], cls)

    def rows(self, found: Mapping[str, float]) -> list[dict[str, object]]:
        """The verdict on each figure, a table's line each.

        Raises:
            InputError: if a figure has no threshold.
        """
        known = {threshold.name: threshold for threshold in self.thresholds}
        if missing := sorted(set(found) - set(known)):
            raise InputError(f"no threshold for {', '.join(missing)}; name an aim")
        return [
            {
                "figure": name,
                "found": float(value),
                "aim": known[name].aim,
                "known miss": known[name].known_miss,
                "verdict": known[name].verdict(value, self.margin),
            }
            for name, value in found.items()
        ]

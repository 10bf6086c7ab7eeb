"""Acceptance thresholds of a benchmark and their known misses, read from a YAML file."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import model_validator

from molrl.errors import InputError
from molrl.runs.config import Config, load_config

MET, KNOWN, BROKEN, WORSE = "met", "known miss", "BROKEN", "WORSE THAN KNOWN"
FAILED = (BROKEN, WORSE)


class Threshold(Config):
    """The acceptance threshold of one figure.

    Attributes:
        name: of the figure, as in the benchmark.
        aim: the largest value to accept.
        known_miss: the recorded value of the figure, if it exceeds the aim.
        recorded: where it is recorded; given if and only if ``known_miss`` is.
    """

    name: str
    aim: float
    known_miss: float | None = None
    recorded: str | None = None

    @model_validator(mode="after")
    def _check_miss(self) -> "Threshold":
        if (self.known_miss is None) != (self.recorded is None):
            raise InputError(f"{self.name}: give both known_miss and recorded, or neither")
        if self.known_miss is not None and self.known_miss <= self.aim:
            raise InputError(f"{self.name}: {self.known_miss} does not exceed {self.aim}; drop it")
        return self

    def status(self, found: float, margin: float) -> str:
        """Return whether a value is met, a known miss, broken, or worse than the known miss."""
        if found <= self.aim:
            return MET
        if self.known_miss is None:
            return BROKEN
        return KNOWN if found <= self.known_miss + margin else WORSE


class Thresholds(Config):
    """The acceptance thresholds of a benchmark.

    Attributes:
        margin: how much worse a known miss may get, in the unit of the figures.
        thresholds: one for each figure.
    """

    margin: float
    thresholds: tuple[Threshold, ...]

    @classmethod
    def load(cls, path: Path) -> "Thresholds":
        """Read a file.

        Raises:
            InputError: if it is invalid.
        """
        return load_config(path, [], cls)

    def rows(self, found: Mapping[str, float]) -> list[dict[str, object]]:
        """Return the status of each figure, as rows of a table.

        Raises:
            InputError: if a figure has no threshold.
        """
        known = {threshold.name: threshold for threshold in self.thresholds}
        if missing := sorted(set(found) - set(known)):
            raise InputError(f"no threshold for {', '.join(missing)}; add an aim")
        return [
            {
                "figure": name,
                "found": float(value),
                "aim": known[name].aim,
                "known miss": known[name].known_miss,
                "status": known[name].status(value, self.margin),
            }
            for name, value in found.items()
        ]

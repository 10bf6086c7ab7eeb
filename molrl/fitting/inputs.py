"""What a run depends on besides its config: the content of files, and energies of atoms."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from molrl.energy.networks.energy import SHIPPED
from molrl.errors import InputError
from molrl.fitting.data.dataset import SAME_ATOM
from molrl.parts import NETWORKS
from molrl.runs.weights import read_json

KEY = "inputs"  # in the state of checkpoints


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run, to refuse that it is resumed with others.

    Attributes:
        sums: SHA-256 by file, in the order of the config.
        atomic_energies: eV, of isolated atoms, by symbol.

    Example:
        >>> begun = Inputs({"data.npz": "a1"}, {"H": -10.7})
        >>> Inputs({"data.npz": "b2"}, {"H": -10.7}).check(begun.to_dict())
        Traceback (most recent call last):
        molrl.errors.InputError: data.npz has changed since the run began; give back what it was, \
or begin a new run
    """

    sums: Mapping[str, str]
    atomic_energies: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        files: Sequence[str],
        start: Path | str | None,
        atomic_energies: Mapping[str, float] | None = None,
    ) -> Self:
        """Sum up files.

        Args:
            files: of data.
            start: the JSON file of the weights that the run starts from; its header holds the sum
                of the tensors.
            atomic_energies: as the attribute.

        Raises:
            InputError: if the start is missing or no JSON file.
        """
        sums = {file: _sum_of(Path(file)) for file in files}
        if start is not None:
            sums[str(start)] = str(read_json(Path(start)).get("header_sha256"))
        return cls(sums, atomic_energies or {})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the state of a checkpoint."""
        return {"sums": list(self.sums.values()), "atomic_energies": dict(self.atomic_energies)}

    def check(self, saved: Mapping[str, Any] | None) -> None:
        """Check that a run began with these inputs. Files may have been moved.

        Args:
            saved: from :meth:`to_dict`; None if the checkpoint is of an earlier version.

        Raises:
            InputError: if it did not; the message names what has changed.
        """
        if saved is None:
            return
        if len(saved["sums"]) != len(self.sums):
            raise InputError(
                f"the run began with {len(saved['sums'])} files, data and start, and its config "
                f"names {len(self.sums)}; name those again, or begin a new run"
            )
        for (file, now), before in zip(self.sums.items(), saved["sums"], strict=True):
            if now != before:
                raise InputError(
                    f"{file} has changed since the run began; give back what it was, or begin a "
                    "new run"
                )
        for symbol, energy in self.atomic_energies.items():
            before = saved["atomic_energies"].get(symbol)
            if before is None or abs(before - energy) > SAME_ATOM:
                raise InputError(
                    f"the energy of isolated {symbol} is {energy:.6g} eV, and was {before} when "
                    "the run began; give what it was (atomic_energies), or begin a new run"
                )


def start_file(start: str) -> Path:
    """Return the JSON file of the weights that a fit starts from.

    Args:
        start: a shipped model, a file, or the file as an energy, as in ``mace:FILE.json``.

    Raises:
        InputError: if it is none of these; whether the file exists is not looked at.

    Example:
        >>> start_file("mace:runs/mine/mace.json").name
        'mace.json'
    """
    if start in SHIPPED:
        return SHIPPED[start]
    kind, colon, file = start.partition(":")
    path = Path(file if colon and kind in NETWORKS else start)
    if path.suffix != ".json":
        raise InputError(
            f"start: {start!r} is none of {', '.join(SHIPPED)} and .json files that "
            "`molrl energy fit` wrote; name one of these"
        )
    return path


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""``molrl energy relax``: molecules of a file at their minima, all in one batch."""

from argparse import Namespace
from pathlib import Path

import numpy as np

from molrl.chemistry.bonds import validity
from molrl.chemistry.geometry import rmsd
from molrl.cli.output import new_file
from molrl.energy.registry import load_energy
from molrl.energy.relaxation import RelaxationResult
from molrl.energy.relaxation import relax as relax_batch
from molrl.evaluation.table import format_table
from molrl.files import read_molecules, write_extxyz
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress, tell


def relax(arguments: Namespace) -> int:
    """Relax the molecules of a file, write them, and print how it went.

    Each is written as it was left, with ``energy``, ``start_energy``, ``max_force``, ``steps``
    and ``converged``. Those that did not converge, or have no energy, are named on standard error.

    Raises:
        InputError: if the file is broken, the model does not know an element in it, or the output
            is there already or no name for one; nothing is written then.
    """
    output = new_file(arguments.output, "-o", [".extxyz"])
    molecules = read_molecules(arguments.file)
    model = load_energy(arguments.model)
    with progress(len(molecules), "at rest") as bar:
        done = relax_batch(
            molecules,
            model,
            arguments.force_tolerance,
            arguments.max_steps,
            report=lambda n, total: bar.update(n),
        )
    _write(output, done)
    _name_the_rest(done)
    print(f"molecules: {output}")
    print(format_table({"model": f"{model.name} {model.hash}", **_figures(molecules, done)}))
    return 0


def _write(output: Path, done: RelaxationResult) -> None:
    properties = {
        name: getattr(done, name).cpu().numpy()
        for name in ("energy", "start_energy", "max_force", "steps", "converged")
    }
    write_extxyz(output, done.molecules, properties)


def _name_the_rest(done: RelaxationResult) -> None:
    """Tell which molecules are at no minimum, and why where that is known."""
    failed = set(done.failures)
    left = [i for i in np.flatnonzero(~done.converged.cpu().numpy()).tolist() if i not in failed]
    if left:
        tell(f"not converged, by index from 0: {', '.join(map(str, left))}")
    if failed:
        reasons = (f"{i} ({reason})" for i, reason in sorted(done.failures.items()))
        tell(f"no energy, by index from 0: {', '.join(reasons)}")


def _figures(molecules: MoleculeBatch, done: RelaxationResult) -> dict[str, object]:
    """The closing table; medians are over the molecules that have an energy."""
    sound = np.isfinite(done.start_energy.cpu().numpy())
    converged = done.converged.cpu().numpy()
    before, after = validity(molecules).smiles, validity(done.molecules).smiles
    named = [i for i in np.flatnonzero(sound) if before[i] is not None]
    kept = sum(before[i] == after[i] for i in named)
    moved = rmsd(molecules, done.molecules).cpu().numpy()
    gained = (done.start_energy - done.energy).cpu().numpy()
    return {
        "molecules": len(molecules),
        "converged": int(converged.sum()),
        "not converged": int((sound & ~converged).sum()),
        "without an energy": int((~sound).sum()),
        "median steps": _median(done.steps.cpu().numpy()[sound]),
        "identity kept": f"{kept} of {len(named)}",
        "median RMSD to the start, Å": _median(moved[sound]),
        "median energy gained, eV": _median(gained[sound]),
        "energy gained, eV": float(gained[sound].sum()),
    }


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None

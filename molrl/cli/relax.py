"""``molrl relax``: relaxation of the molecules in a file, all in one batch."""

from argparse import Namespace
from pathlib import Path

import numpy as np

from molrl.chemistry.bonds import validity
from molrl.chemistry.geometry import rmsd
from molrl.cli.output import MOLECULE_FILES, output_files
from molrl.energy.registry import load_energy
from molrl.energy.relaxation import RelaxationResult
from molrl.energy.relaxation import relax as relax_batch
from molrl.evaluation.acceptance import evaluable, failed_line, rejected_line
from molrl.evaluation.molecule_files import check_format, label, write_annotated
from molrl.evaluation.table import format_table
from molrl.files import read_named
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import log_message, progress


def relax(arguments: Namespace) -> int:
    """Relax the molecules of a file, write them, and print a summary.

    Each is written with its last geometry, its ``index`` and its name in the file, ``energy``,
    ``start_energy``, ``max_force``, ``steps`` and ``converged``. Molecules that the model cannot
    take are left out; they, and those that did not converge or have no energy, are listed on
    standard error. Charges and multiplicities are those of the file.

    Args:
        arguments: of the command: ``file``, ``model``, ``force_tolerance``, ``max_steps``,
            ``output`` and ``force``.

    Returns:
        The exit code.

    Raises:
        InputError: if the file is corrupted, the model can take none of its molecules, or the
            output exists or has an unknown suffix; nothing is written then.
    """
    (output,) = output_files(arguments, {"-o": MOLECULE_FILES})
    assert output  # as required
    everything, names = read_named(arguments.file)
    model = load_energy(arguments.model)
    molecules, indices, rejected = evaluable(everything, model, where=arguments.file)
    check_format(output, molecules)
    if rejected:
        log_message(rejected_line(rejected))
    with progress(len(molecules), "relaxed") as bar:
        done = relax_batch(
            molecules,
            model,
            arguments.force_tolerance,
            arguments.max_steps,
            report=lambda n, total: bar.update(n),
        )
    _write(output, done, indices, names)
    _log_unfinished(done, indices)
    print(f"molecules: {output}")
    figures = {**_figures(molecules, done), "not evaluated": len(rejected)}
    print(format_table({"model": f"{model.name} {model.hash}", **figures}))
    return 0


def _write(output: Path, done: RelaxationResult, indices: list[int], names: list[str]) -> None:
    properties = {
        name: getattr(done, name).cpu().numpy()
        for name in ("energy", "start_energy", "max_force", "steps", "converged")
    }
    labels = label(indices, names)
    write_annotated(output, done.molecules, labels | properties)


def _log_unfinished(done: RelaxationResult, indices: list[int]) -> None:
    """Print which molecules did not converge or have no energy to standard error."""
    failed = set(done.failures)
    left = [i for i in np.flatnonzero(~done.converged.cpu().numpy()).tolist() if i not in failed]
    if left:
        log_message(f"not converged, by index from 0: {', '.join(str(indices[i]) for i in left)}")
    if failed:
        log_message(failed_line(done.failures, indices))


def _figures(molecules: MoleculeBatch, done: RelaxationResult) -> dict[str, object]:
    """Return the summary; medians are over the structures that have an energy.

    Connectivity and RMSD leave out periodic structures: neither bonds nor a superposition are
    defined for them.
    """
    known = np.isfinite(done.start_energy.cpu().numpy())
    converged = done.converged.cpu().numpy()
    compared = np.flatnonzero(known & ~molecules.pbc.any(-1).cpu().numpy())
    start, end = molecules[compared], done.molecules[compared]
    before, after = validity(start).smiles, validity(end).smiles
    perceived = [(a, b) for a, b in zip(before, after, strict=True) if a is not None]
    preserved = sum(a == b for a, b in perceived)
    gained = (done.start_energy - done.energy).cpu().numpy()
    return {
        "molecules": len(molecules),
        "converged": int(converged.sum()),
        "not converged": int((known & ~converged).sum()),
        "without an energy": int((~known).sum()),
        "median steps": _median(done.steps.cpu().numpy()[known]),
        "connectivity preserved": f"{preserved} of {len(perceived)}",
        "median RMSD from the start, Å": _median(rmsd(start, end).cpu().numpy()),
        "median energy gained, eV": _median(gained[known]),
        "total energy gained, eV": float(gained[known].sum()),
    }


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None

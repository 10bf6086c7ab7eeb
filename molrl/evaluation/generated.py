"""Files of molecules as a generator made them, which are not relaxed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molrl.chemistry.bonds import validity
from molrl.energy import EnergyModel, load_energy
from molrl.errors import InputError
from molrl.evaluation.acceptance import evaluable
from molrl.evaluation.molecule_files import check_format, formulas, write_annotated
from molrl.generation import Generated
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import log_message, progress

_BATCH = 100  # molecules whose energies are evaluated between two updates of the progress


def write_generated(path: Path, made: Generated) -> dict[str, Any]:
    """Write generated molecules with what ``molrl evaluate`` says of them without relaxing them.

    These are, under the same names: ``index``, ``formula``, ``smiles``, ``valid``, ``reason`` and
    ``energy`` (eV, GFN2-xTB; NaN where there is none). Periodic structures have neither bonds nor a
    validity, and are written as they are.

    Args:
        path: the file to write, ``.extxyz``, ``.xyz`` or ``.sdf``.
        made: the molecules.

    Returns:
        Figures for :func:`molrl.evaluation.table.format_table`.

    Raises:
        InputError: if a structure is periodic and the file an SDF.
    """
    molecules, n = made.molecules, len(made.molecules)
    check_format(path, molecules)
    cost = {
        "n_molecules": n,
        "attempts": made.attempts,
        "energy_calls": made.energy_calls,
        "network_calls": made.network_calls,
        "seconds": made.seconds,
    }
    if made.temperature is not None:
        cost["temperature"] = made.temperature
    if molecules.is_periodic:
        write_annotated(path, molecules, {})
        return cost
    model, chemistry = load_energy("gfn2"), validity(molecules)
    energy, valid = _energies(molecules, model), chemistry.valid
    properties: dict[str, Sequence[str] | np.ndarray] = {
        "index": np.arange(n),
        "formula": formulas(molecules),
        "smiles": [smiles or "-" for smiles in chemistry.isomeric_smiles],
        "valid": valid,
        "reason": [reason or "-" for reason in chemistry.reasons],
        "energy": np.round(energy, 4),  # what is below is noise of the SCF
    }
    write_annotated(path, molecules, properties)
    distinct = {s for s, ok in zip(chemistry.smiles, valid, strict=True) if ok}
    return cost | {
        "n_valid": int(valid.sum()),
        "valid_fraction": float(valid.mean()),
        "valid_fraction_per_attempt": int(valid.sum()) / made.attempts,
        "n_distinct": len(distinct),
        "n_failed": int(np.isnan(energy).sum()),
        "evaluator": f"{model.name} {model.hash}",
    }


def _energies(molecules: MoleculeBatch, model: EnergyModel) -> np.ndarray:
    """Return ``(n,)`` float64, eV; NaN where the model cannot evaluate a molecule."""
    found = np.full(len(molecules), np.nan)
    try:
        kept, index, refused = evaluable(molecules, model)
    except InputError as error:
        log_message(f"the molecules have no energies: {error}")
        return found
    if refused:
        first = next(iter(refused.values()))
        log_message(f"{len(refused)} of {len(molecules)} molecules have no energy: {first}")
    with progress(len(kept), "evaluated") as bar:
        for start in range(0, len(kept), _BATCH):
            part = slice(start, start + _BATCH)
            found[index[part]] = model.evaluate(kept[part]).energy.cpu().numpy()
            bar.update(min(start + _BATCH, len(kept)))
    return found

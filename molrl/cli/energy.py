"""``molrl energy``: the data, the fit and the errors of energy models."""

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace

import torch

from molrl.cli.loop import start
from molrl.cli.output import new_file, output_files
from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput
from molrl.energy.registry import load_energy
from molrl.evaluation.acceptance import evaluable, rejected_line
from molrl.evaluation.molecule_files import formulas, write_csv
from molrl.evaluation.table import format_table
from molrl.files import read_named
from molrl.fitting.config import FitConfig
from molrl.fitting.data.config import DataConfig, MoleculeSetConfig
from molrl.fitting.data.make import make_dataset
from molrl.fitting.data.molecule_blocks import extend_molecule_set
from molrl.fitting.data.molecule_set import make_molecule_set
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_text
from molrl.runs.progress import log_message, phases

_SAME_ZERO = 1e-3  # eV an atom


def data(arguments: Namespace) -> int:
    """Make labelled structures and write them to the config's ``output``.

    Raises:
        InputError: if the config is bad, or the output would overwrite something; nothing is made
            then.
    """
    config: DataConfig = arguments.config
    output = new_file(config.output, "output", [".npz"])
    with phases() as report:
        made, dropped = make_dataset(config, report)
    made.save(output)
    figures = {kind: int(made.of_kind(kind).sum()) for kind in made.kinds}
    lost = {
        "not made": dropped.not_made.total(),
        "dropped, no energy": dropped.failed.total(),
        "dropped, too large forces": dropped.large_force.total(),
    }
    print(f"data: {output}")
    print(format_table({"structures": len(made), **figures, **lost}))
    return 0


def molecules(arguments: Namespace) -> int:
    """Enumerate and relax molecules and write them to the config's ``output``.

    With a ``base`` it goes on where an earlier call was interrupted.

    Raises:
        InputError: as for :func:`data`.
    """
    config: MoleculeSetConfig = arguments.config
    output = new_file(config.output, "output", [".npz"])
    with phases() as report:
        make = make_molecule_set if config.base is None else extend_molecule_set
        made, lost = make(config, report)
    made.save(output)
    splits = {name: len(made.of_split(name)) for name in made.splits}
    left_out = {f"left out, {reason}": count for reason, count in lost.items()}
    print(f"molecules: {output}")
    figures = {"molecules": len(set(made.identities)), "conformers": len(made)}
    print(format_table(figures | splits | {"held out": int(made.held_out.sum())} | left_out))
    return 0


def fit(arguments: Namespace) -> int:
    """Fit a network to labelled structures, in a run folder.

    Raises:
        InputError: if the config or the data are bad, or the run folder is not free; nothing is
            written then.
    """
    config: FitConfig = arguments.config
    start("energy fit", config)
    return 0


def convert(arguments: Namespace) -> int:
    """Turn a network that was pickled by mace-torch into weights that run no code.

    Raises:
        InputError: if it is not trusted or cannot be converted; nothing is written then.
    """
    from molrl.energy.mace_torch.files import convert as write  # much of mace-torch

    write(arguments.source, arguments.output, arguments.trust)
    print(f"weights: {arguments.output}; use them as energy mace:{arguments.output}")
    return 0


def evaluate(arguments: Namespace) -> int:
    """Print the errors of one energy model against another on the molecules of a file.

    Molecules that one of the models cannot take are listed on standard error, and have a line in
    the CSV; the others are evaluated.

    Raises:
        InputError: if the file is corrupted, the models can take none of its molecules, or an
            output exists or cannot be written; nothing is written then.
    """
    to_json, to_csv = output_files(arguments, {"--json": (), "--csv": ()})
    everything, _ = read_named(arguments.file)
    model, reference = load_energy(arguments.model), load_energy(arguments.against)
    molecules, indices, rejected = evaluable(everything, model, reference, where=arguments.file)
    if rejected:
        log_message(rejected_line(rejected))
    found = model.evaluate(molecules, forces=True)
    wanted = _at_zero_of(model, reference, molecules)
    figures: dict[str, object] = {
        "model": f"{model.name} {model.hash}",
        "against": f"{reference.name} {reference.hash}",
        **_errors(molecules, found, wanted),
        "not evaluated": len(rejected),
    }
    if to_json:
        write_text(to_json, json.dumps(figures, indent=2) + "\n")
    if to_csv:
        energies = dict(zip(indices, _energies(molecules, found, wanted), strict=True))
        failed = {indices[i]: why for i, why in (wanted.failures | found.failures).items()}
        write_csv(to_csv, _rows(everything, energies, rejected | failed))
    print(format_table(figures))  # last: whoever reads it may close the pipe
    return 0


def _at_zero_of(
    model: EnergyModel, reference: EnergyModel, molecules: MoleculeBatch
) -> EnergyOutput:
    """Evaluate a reference, with the energies of isolated atoms replaced by those of the model.

    Methods differ by hundreds of eV in what they count as an energy; a line says where they do.
    """
    output = reference.evaluate(molecules, forces=True)
    shift = model.isolated_energy(molecules) - reference.isolated_energy(molecules)
    shift = shift.nan_to_num()  # a model without energies of isolated atoms is compared as it is
    largest = float((shift / molecules.n_atoms.clamp(min=1)).abs().max())
    if largest <= _SAME_ZERO:
        return output
    log_message(
        f"isolated atoms of {model.name} and {reference.name} differ, by up to {largest:.3g} eV an "
        "atom: the errors are of energies relative to isolated atoms"
    )
    return replace(output, energy=output.energy + shift.to(output.energy))


def _errors(
    molecules: MoleculeBatch, found: EnergyOutput, wanted: EnergyOutput
) -> dict[str, object]:
    """Errors of energies and forces, over the molecules of which both have an energy."""
    error = (found.energy.cpu() - wanted.energy.cpu()).double()
    sound = torch.isfinite(error)
    per_atom, error = (error / molecules.n_atoms)[sound], error[sound]
    force_error = _force_errors(found, wanted)[sound[molecules.molecule]]
    return {
        "molecules": len(molecules),
        "without an energy": int((~sound).sum()),
        "mean absolute error, eV": _mean(error.abs()),
        "mean absolute error, eV per atom": _mean(per_atom.abs()),
        "mean error, eV": _mean(error),
        "largest error, eV": float(error.abs().max()) if len(error) else None,
        "mean absolute force error, eV/Å": _mean(force_error),
    }


def _force_errors(found: EnergyOutput, wanted: EnergyOutput) -> torch.Tensor:
    """``(n_atoms_total,)`` float64, eV/Å: mean absolute error of the force components."""
    assert found.forces is not None
    assert wanted.forces is not None
    return (found.forces.cpu() - wanted.forces.cpu()).abs().mean(-1).double()


def _energies(
    molecules: MoleculeBatch, found: EnergyOutput, wanted: EnergyOutput
) -> list[dict[str, float]]:
    """Energies and errors of each molecule: eV, and eV/Å for the forces."""
    energy, reference = found.energy.cpu().double(), wanted.energy.cpu().double()
    force_error = molecules.sum_atoms(_force_errors(found, wanted)) / molecules.n_atoms
    columns = {
        "energy": energy,
        "reference_energy": reference,
        "error": energy - reference,
        "mean_force_error": force_error,
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _rows(
    molecules: MoleculeBatch, energies: Mapping[int, dict[str, float]], reasons: Mapping[int, str]
) -> list[dict[str, object]]:
    """Return a line for each molecule of the file; ``reason`` says why an energy is missing."""
    none = dict.fromkeys(next(iter(energies.values())))
    return [
        {"index": i, "formula": formula, **energies.get(i, none), "reason": reasons.get(i, "-")}
        for i, formula in enumerate(formulas(molecules))
    ]


def _mean(values: torch.Tensor) -> float | None:
    return float(values.mean()) if len(values) else None

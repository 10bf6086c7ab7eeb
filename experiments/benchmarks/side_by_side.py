"""Common parts of the benchmarks that compare several energy models with GFN2-xTB.

Every table has a column for each model, so that an older model stands beside a newer one:
``--models mace mace:old.json``.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes

from molrl.chemistry.embedding import from_smiles
from molrl.energy import EnergyModel, load_energy
from molrl.energy.relaxation import relax
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

CHUNK = 256  # structures in one call
Models = Mapping[str, EnergyModel]


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the option of the models that are compared."""
    parser.add_argument(
        "--models",
        nargs="+",
        default=["mace", "mace-small"],
        help="names, or weights as mace:FILE.json; default: mace mace-small",
    )


def load_models(names: Sequence[str]) -> dict[str, EnergyModel]:
    """Load models; one from a file is named after the file, and its hash if names are equal."""
    models: dict[str, EnergyModel] = {}
    for name in names:
        model, short = load_energy(name), Path(name).stem if ":" in name else name
        models[f"{short} {model.hash}" if short in models else short] = model
    return models


def plot_curves(ax: Axes, x: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    """Draw the energies, eV, of each model in meV, those of GFN2-xTB in black."""
    for name, energy in curves.items():
        style = {"color": "black", "lw": 1.6} if name == "gfn2" else {"lw": 1.1}
        ax.plot(x, 1e3 * energy, label=name, **style)


def describe(models: Models) -> str:
    """Return the names and hashes of models, for titles."""
    return ", ".join(f"{name} {model.hash}" for name, model in models.items())


def energies(model: EnergyModel, structures: Sequence[Atoms]) -> np.ndarray:
    """Return ``(n,)`` float64, eV; NaN where the model failed."""
    found = [np.zeros(0)]
    with progress(len(structures), model.name) as bar:
        for start in range(0, len(structures), CHUNK):
            chunk = list(structures[start : start + CHUNK])
            found.append(model.evaluate(chunk).energy.cpu().numpy())
            bar.update(start + len(chunk))
    return np.concatenate(found)


def interactions(
    model: EnergyModel, structures: Sequence[Atoms], sizes: Sequence[Sequence[int]]
) -> np.ndarray:
    """Return energies minus those of the molecules alone in the same geometry.

    Args:
        model: the energy model.
        structures: n clusters of molecules.
        sizes: number of atoms of each molecule of each cluster, in the order of the atoms.

    Returns:
        ``(n,)`` float64, eV; NaN where the model failed.
    """
    parts, owner = [], []
    for i, (structure, counts) in enumerate(zip(structures, sizes, strict=True)):
        for stop, size in zip(np.cumsum(counts), counts, strict=True):
            parts.append(structure[stop - size : stop])
            owner.append(i)
    found = energies(model, [*structures, *parts])
    alone = np.bincount(owner, weights=found[len(structures) :], minlength=len(structures))
    return found[: len(structures)] - alone


def minima(
    smiles: Sequence[str], reference: EnergyModel, max_steps: int, seed: int = 0
) -> list[Atoms]:
    """Return the molecules of SMILES, relaxed with the reference from conformers of MMFF94."""
    starts = MoleculeBatch.from_rdkit([from_smiles(one, seed) for one in smiles])
    return relaxed(starts, reference, max_steps)


def relaxed(
    starts: MoleculeBatch | Sequence[Atoms], model: EnergyModel, max_steps: int
) -> list[Atoms]:
    """Return structures after at most so many steps of relaxation, with a bar."""
    calls = count()
    with progress(max_steps, f"relax {len(starts)} structures with {model.name}") as bar:
        result = relax(
            starts, model, max_steps=max_steps, report=lambda *_: bar.update(next(calls))
        )
    return result.molecules.to_ase()


def summary_rows(
    figures: Mapping[str, Mapping[str, object]], targets: Mapping[str, str]
) -> list[dict[str, object]]:
    """Return a row for each figure, with its target and its value for each model.

    Args:
        figures: model to figure to value, without those that are not measured yet.
        targets: figure to target, "" if it has none.
    """
    return [
        {"figure": name, "target": target, **{model: of.get(name) for model, of in figures.items()}}
        for name, target in targets.items()
    ]

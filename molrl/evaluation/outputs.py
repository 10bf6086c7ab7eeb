"""What a run leaves for its users: the molecules with the judge's figures, and pictures of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from molrl.chemistry.bonds import bonded_mols
from molrl.evaluation.evaluator import EvaluationReport
from molrl.evaluation.reference import BestKnown
from molrl.files import write_extxyz, write_sdf
from molrl.plotting.molecules import draw_grid

N_PICTURES = 10


def write_molecules(verdict: EvaluationReport, folder: Path | str) -> None:
    """Write ``molecules.extxyz`` and ``molecules.sdf`` with the judge's figures.

    Both hold the molecules as generated, in their order, each with its SMILES, validity, energy,
    energy above the relaxed geometry (eV), RMSD to it (Å) and whether the relaxation converged;
    a figure that is not to be had is ``nan``, a SMILES ``-``. Nothing in them differs between
    identical runs. The SDF has the bonds that were perceived.
    """
    folder = Path(folder)
    properties = _properties(verdict)
    write_extxyz(folder / "molecules.extxyz", verdict.molecules, properties)
    mols = bonded_mols(verdict.molecules, verdict.chemistry)
    for i, mol in enumerate(mols):
        for name, values in properties.items():
            mol.SetProp(name, str(values[i]))
    write_sdf(folder / "molecules.sdf", mols)


def draw_best(verdict: EvaluationReport, path: Path | str, best: BestKnown | None = None) -> None:
    """Write a PNG of the gallery of :func:`best_of`.

    Args:
        verdict: of the judge.
        path: of the PNG.
        best: as in :func:`best_of`.
    """
    gallery = best_of(verdict, best)
    draw_grid(verdict.molecules[gallery.chosen], path, gallery.captions, title=gallery.title)


class Gallery(NamedTuple):
    """A choice of molecules, and what is written to their pictures.

    Attributes:
        chosen: indices of the molecules, at most :data:`N_PICTURES`.
        captions: one for each.
        title: above them.
    """

    chosen: list[int]
    captions: list[str]
    title: str


def best_of(verdict: EvaluationReport, best: BestKnown | None = None) -> Gallery:
    """Choose the best valid molecules that stay what they are.

    First comes each distinct molecule once, the lowest in relaxed energy ahead, then what is left
    by its energy as generated. Under each stand its SMILES, its relaxed energy above that of the
    best known isomer (where isomers are compared), and how far the geometry as generated is above
    its own relaxed one.

    Args:
        verdict: of the judge.
        best: the best known isomer, of :func:`molrl.evaluation.reference.best_known_energy`; the
            lowest of the sample takes its place if None.
    """
    chosen = _chosen(verdict)
    relaxed, strain = verdict.relaxed_energy, verdict.energy_above_relaxed
    zero, compared = _zero(verdict, chosen, best)
    captions = []
    for i in chosen:
        isomer = f"isomer {round(relaxed[i] - zero, 2) + 0.0:+.2f} eV\n" * bool(compared)
        name = _short(verdict.smiles[i] or "")
        captions.append(f"{name}\n{isomer}{strain[i]:.2f} eV above relaxed")
    return Gallery(chosen, captions, "\n".join(filter(None, [_counts(verdict), compared])))


def _counts(verdict: EvaluationReport) -> str:
    formula = f"{verdict.molecules[0].bags()[0]}: " if verdict.same_atoms else ""
    distinct = len(_valid_smiles(verdict))
    return f"{formula}{len(verdict)} made, {verdict.valid.sum()} valid, {distinct} distinct"


def _zero(
    verdict: EvaluationReport, chosen: list[int], best: BestKnown | None
) -> tuple[float, str]:
    """Return the energy that isomers are compared with, eV, and a line that says whose it is.

    The line is empty where there is nothing to compare.
    """
    if not verdict.same_atoms or not chosen:
        return 0.0, ""
    if best:
        zero, smiles, what = best.energy, best.smiles, "the best known"
    else:
        figures = verdict.summary()
        zero, smiles = figures["lowest_energy"], figures["lowest_smiles"]
        what = "the lowest of the sample"
    if not _valid_smiles(verdict) - {smiles}:
        return zero, ""
    return zero, f"isomers: energy above {_short(smiles)}, {what}"


def _valid_smiles(verdict: EvaluationReport) -> set[str | None]:
    return {verdict.smiles[i] for i in np.flatnonzero(verdict.valid)}


def _chosen(verdict: EvaluationReport) -> list[int]:
    usable = verdict.valid & verdict.identity_kept & np.isfinite(verdict.energy)
    order = [i for i in np.argsort(verdict.energy, kind="stable").tolist() if usable[i]]
    lowest: dict[str | None, int] = {}
    for i in order:
        lowest.setdefault(verdict.smiles[i], i)
    distinct = sorted(lowest.values(), key=lambda i: verdict.relaxed_energy[i])
    return (distinct + [i for i in order if i not in distinct])[:N_PICTURES]


def _short(smiles: str, width: int = 24) -> str:
    return smiles if len(smiles) <= width else smiles[: width - 1] + "…"


def _properties(verdict: EvaluationReport) -> dict[str, list[str] | np.ndarray]:
    return {
        "smiles": [smiles or "-" for smiles in verdict.chemistry.isomeric_smiles],
        "valid": verdict.valid,
        "judge_energy": _rounded(verdict.energy),
        "energy_above_relaxed": _rounded(verdict.energy_above_relaxed),
        "rmsd_to_relaxed": _rounded(verdict.rmsd),
        "relaxation_converged": verdict.converged,
    }


def _rounded(values: np.ndarray) -> np.ndarray:
    """To 1e-4 eV or Å: beyond that it is the noise of an SCF."""
    return np.round(values, 4) + 0.0

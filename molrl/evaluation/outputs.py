"""What a run leaves for its users: the molecules with the judge's figures, and pictures of them."""

from pathlib import Path

import numpy as np

from molrl.chemistry.bonds import bonded_mols
from molrl.chemistry.drawing import draw_grid
from molrl.evaluation.judge import Verdict
from molrl.files import write_extxyz, write_sdf

N_PICTURES = 10


def write_molecules(verdict: Verdict, folder: Path | str) -> None:
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


def draw_best(verdict: Verdict, path: Path | str, n: int = N_PICTURES) -> None:
    """Write a PNG of the best valid molecules that stay what they are, as generated.

    First comes each distinct molecule once, the lowest in relaxed energy ahead, then what is left
    by its energy as generated. Under each stand its SMILES, its relaxed energy above that of the
    first (where isomers are compared), and how far the geometry shown is above its own
    relaxed one.

    Args:
        verdict: of the judge.
        path: of the PNG.
        n: the most pictures.
    """
    chosen = _best(verdict, n)
    relaxed, strain = verdict.relaxed_energy, verdict.energy_above_relaxed
    valid = np.flatnonzero(verdict.valid)
    distinct = len({verdict.smiles[i] for i in valid})
    captions = []
    for i in chosen:
        above = round(relaxed[i] - relaxed[chosen[0]], 2) + 0.0
        isomer = f"isomer {above:+.2f} eV\n" * (verdict.same_atoms and distinct > 1)
        name = _short(verdict.smiles[i] or "")
        captions.append(f"{name}\n{isomer}{strain[i]:.2f} eV above relaxed")
    formula = f"{verdict.molecules[0].bags()[0]}: " if verdict.same_atoms else ""
    title = f"{formula}{len(verdict)} made, {len(valid)} valid, {distinct} distinct"
    draw_grid(verdict.molecules[chosen], path, captions, title=title)


def _best(verdict: Verdict, n: int) -> list[int]:
    usable = verdict.valid & verdict.identity_kept & np.isfinite(verdict.energy)
    order = [i for i in np.argsort(verdict.energy, kind="stable").tolist() if usable[i]]
    lowest: dict[str | None, int] = {}
    for i in order:
        lowest.setdefault(verdict.smiles[i], i)
    distinct = sorted(lowest.values(), key=lambda i: verdict.relaxed_energy[i])
    return (distinct + [i for i in order if i not in distinct])[:n]


def _short(smiles: str, width: int = 24) -> str:
    return smiles if len(smiles) <= width else smiles[: width - 1] + "…"


def _properties(verdict: Verdict) -> dict[str, list[str] | np.ndarray]:
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

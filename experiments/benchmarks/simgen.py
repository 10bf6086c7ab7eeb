"""Molecules of SiMGen with 4 to 9 heavy atoms, stage by stage, beside others.

How many skeletons are connected and take hydrogens; how many molecules are valid before and after
the final relaxation, which moves the atoms under the shipped network; how many are the same
molecule after a relaxation with GFN2-xTB; how many are distinct and not in the shipped molecule
set; the median strain energy before and after the final relaxation; rings, multiple bonds and
carbonyl groups; and the CPU time of a molecule. The same of the shipped denoiser, for a tenth as
many molecules of any composition, and of the molecules that the references are drawn from. Writes a
picture of the first ones.
"""

import sys
from time import process_time

import numpy as np
import torch
from rdkit import Chem
from record import RESULTS, record

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import MoleculeSet, shipped_molecules
from molrl.energy import load_energy
from molrl.energy.relaxation import relax
from molrl.generation import load_generator
from molrl.generators.diffusion.generator import DenoisingGenerator
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.generator import SimgenGenerator
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import draw_grid

N, SEED, SIZES = 1000, 0, (4, 5, 6, 7, 8, 9)
DENOISER = "pseudo-force"
SAMPLE = 15  # molecules of the picture
_CARBONYL = Chem.MolFromSmarts("[CX3]=[OX1]")
_PEROXIDE = Chem.MolFromSmarts("[O,N,S]-[O,S]")


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    row, relaxed = measure(n, {})
    rows = [
        {"molecules": "SiMGen", "made": n} | row,
        {"molecules": DENOISER, "made": n // 10} | of_denoiser(n // 10),
        {"molecules": "reference", "made": ""} | of_reference(),
    ]
    record("simgen", f"{n} molecules of SiMGen with 4 to 9 heavy atoms, batches of 64", rows)
    names = validity(relaxed[:SAMPLE]).smiles
    title = "SiMGen: the first molecules, after the final relaxation"
    captions = [name or "-" for name in names]
    draw_grid(relaxed[:SAMPLE], RESULTS / "simgen.png", captions, title=title)


def measure(n: int, settings: dict[str, float]) -> tuple[dict[str, object], MoleculeBatch]:
    """Return the figures of n molecules, and the molecules after the final relaxation."""
    generator = SimgenGenerator(device="cpu", relax_steps=0, **settings)
    generator.generate_sizes([4], seed=SEED + 1)  # warm
    began = process_time()
    made = generator.generate_sizes([SIZES[i % len(SIZES)] for i in range(n)], seed=SEED)
    assembled = process_time()
    raw = made.molecules
    final, seconds = finished(raw)
    return {
        "attempts": made.attempts,
        "connected, with hydrogens %": 100 * n / made.attempts,
        **judged(raw, final),
        "CPU s": (assembled - began) / n,
        "CPU s of the relaxation": seconds / n,
    }, final


def of_denoiser(n: int) -> dict[str, object]:
    """Return the figures of n molecules of any composition of the shipped denoiser."""
    generator = load_generator(DENOISER, device="cpu")
    assert isinstance(generator, DenoisingGenerator)
    generator.generate_any(2, seed=SEED + 1)  # warm
    began = process_time()
    raw = generator.generate_any(n, seed=SEED).molecules
    made = process_time()
    final, seconds = finished(raw)
    connected = validity(raw).n_fragments == 1
    return {
        "attempts": n,
        "connected, with hydrogens %": 100 * float(connected.mean()),
        **judged(raw, final),
        "CPU s": (made - began) / n,
        "CPU s of the relaxation": seconds / n,
    }


def of_reference() -> dict[str, object]:
    """Return the figures of the molecules that references are drawn from."""
    raw = sample().molecules
    final, seconds = finished(raw)
    return {
        "attempts": "",
        "connected, with hydrogens %": 100.0,
        **judged(raw, final),
        "CPU s": "",
        "CPU s of the relaxation": seconds / len(raw),
    }


def finished(molecules: MoleculeBatch) -> tuple[MoleculeBatch, float]:
    """Return molecules after SiMGen's final relaxation, and the CPU time, s."""
    config, energy = SimgenConfig(), load_energy("mace", "cpu")
    began = process_time()
    found = relax(molecules, energy, config.relax_force, config.relax_steps).molecules
    return found, process_time() - began


def judged(raw: MoleculeBatch, final: MoleculeBatch) -> dict[str, object]:
    """Return the figures of molecules before and after the final relaxation."""
    before, after = validity(raw), validity(final)
    gfn2 = load_energy("gfn2")
    of_raw = relax(raw, gfn2, force_tolerance=0.1, max_steps=100)
    of_final = relax(final, gfn2, force_tolerance=0.1, max_steps=100)
    under_gfn2 = validity(of_raw.molecules)
    pairs = zip(before.smiles, under_gfn2.smiles, before.valid, strict=True)
    distinct = {s for s, ok in zip(after.smiles, after.valid, strict=True) if ok and s}
    valid = [s for s, ok in zip(before.smiles, before.valid, strict=True) if ok and s]
    return {
        "valid %": 100 * float(before.valid.mean()),
        "valid, same after GFN2 %": 100
        * float(np.mean([a == b and bool(ok) for a, b, ok in pairs])),
        "valid after relaxation %": 100 * float(after.valid.mean()),
        "distinct": len(distinct),
        "novel": len(distinct - set(shipped_molecules().identities)),
        "strain, eV": _median(of_raw.start_energy - of_raw.energy),
        "strain after relaxation, eV": _median(of_final.start_energy - of_final.energy),
        **described(valid),
    }


def sample() -> MoleculeSet:
    """Return some of the molecules that references are drawn from."""
    molecules = shipped_molecules().of_split("train")
    every = np.linspace(0, len(molecules) - 1, 256).astype(int)
    return molecules[[int(i) for i in every if "." not in molecules.identities[i]]]


def known() -> list[str]:
    """Identities from the molecules that references are drawn from."""
    return list(sample().identities)


def described(smiles: list[str]) -> dict[str, object]:
    mols = [Chem.MolFromSmiles(s) for s in smiles]
    multiple = [b.GetBondTypeAsDouble() > 1 for mol in mols for b in mol.GetBonds()]
    return {
        "rings": float(np.mean([mol.GetRingInfo().NumRings() for mol in mols])),
        "multiple bonds %": 100 * float(np.mean(multiple)),
        "with C=O %": 100 * float(np.mean([mol.HasSubstructMatch(_CARBONYL) for mol in mols])),
        "with O-O, N-O, S-O, N-S or S-S %": 100
        * float(np.mean([mol.HasSubstructMatch(_PEROXIDE) for mol in mols])),
    }


def _median(energies: torch.Tensor) -> float:
    return float(np.nanmedian(energies.numpy()))


if __name__ == "__main__":
    main()

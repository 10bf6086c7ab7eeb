"""Molecules of SiMGen with 4 to 9 heavy atoms, and what its settings do.

For each setting: how many molecules are valid after hydrogens were added, how many are the same
molecule after a relaxation with GFN2-xTB, and how many are valid then; how many are distinct and
not in the shipped molecule set; the median strain before relaxation; rings, multiple bonds and
carbonyl groups beside those of the reference molecules; and the CPU time of a molecule.
"""

import sys
from time import process_time

import numpy as np
import torch
from rdkit import Chem
from record import record

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import load_energy
from molrl.energy.relaxation import relax
from molrl.generators.simgen.generator import SimgenGenerator
from molrl.runs.progress import progress

N, SEED, SIZES = 60, 0, (4, 5, 6, 7, 8, 9)
SETTINGS: dict[str, dict[str, float]] = {
    "defaults": {},
    "program": {"temperature": 0.1, "balance": 0.0, "prior_strength": 0.7},
    "equal weights": {"balance": 0.0},
    "no exchange": {"swap_share": 0.0},
    "one particle": {"particles": 1},
    "25 times": {"steps": 25},
    "100 times": {"steps": 100},
    "no churn": {"churn": 1.0},
}
_CARBONYL = Chem.MolFromSmarts("[CX3]=[OX1]")


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    rows: list[dict[str, object]] = []
    with progress(len(SETTINGS), "settings") as bar:
        for i, (name, settings) in enumerate(SETTINGS.items()):
            rows.append({"settings": name} | measure(n, settings))
            bar.update(i + 1)
    rows.append({"settings": "reference"} | {key: "" for key in rows[0] if key != "settings"})
    rows[-1] |= described(known())
    record("simgen", f"{n} molecules of SiMGen with 4 to 9 heavy atoms, batches of 64", rows)


def measure(n: int, settings: dict[str, float]) -> dict[str, object]:
    generator = SimgenGenerator(device="cpu", relax_steps=0, **settings)
    generator.generate_sizes([4], seed=SEED + 1)  # warm
    began = process_time()
    made = generator.generate_sizes([SIZES[i % len(SIZES)] for i in range(n)], seed=SEED)
    seconds = process_time() - began
    before = validity(made.molecules)
    relaxed = relax(made.molecules, load_energy("gfn2"), force_tolerance=0.1, max_steps=100)
    after = validity(relaxed.molecules)
    pairs = zip(before.smiles, after.smiles, before.valid, strict=True)
    distinct = {s for s, ok in zip(after.smiles, after.valid, strict=True) if ok and s}
    strain = (relaxed.start_energy - relaxed.energy).numpy()
    return {
        "attempts": made.attempts,
        "valid %": 100 * float(before.valid.mean()),
        "same after GFN2 %": 100 * float(np.mean([a == b and bool(ok) for a, b, ok in pairs])),
        "valid after GFN2 %": 100 * float(after.valid.mean()),
        "distinct": len(distinct),
        "novel": len(distinct - set(shipped_molecules().identities)),
        "strain, eV": float(np.nanmedian(strain)),
        **described([s for s, ok in zip(before.smiles, before.valid, strict=True) if ok and s]),
        "CPU s": seconds / n,
    }


def known() -> list[str]:
    """Identities from the molecules that references are drawn from."""
    molecules = shipped_molecules().of_split("train")
    every = np.linspace(0, len(molecules) - 1, 256).astype(int)
    return [molecules.identities[i] for i in every if "." not in molecules.identities[i]]


def described(smiles: list[str]) -> dict[str, object]:
    mols = [Chem.MolFromSmiles(s) for s in smiles]
    multiple = [b.GetBondTypeAsDouble() > 1 for mol in mols for b in mol.GetBonds()]
    return {
        "rings": float(np.mean([mol.GetRingInfo().NumRings() for mol in mols])),
        "multiple bonds %": 100 * float(np.mean(multiple)),
        "with C=O %": 100 * float(np.mean([mol.HasSubstructMatch(_CARBONYL) for mol in mols])),
    }


if __name__ == "__main__":
    main()

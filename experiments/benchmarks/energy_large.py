"""Molecules of 10 to 40 heavy atoms against GFN2-xTB: ranks of conformers, errors by size.

python experiments/benchmarks/energy_large.py [--models mace mace:old.json]

*Conformers*: 15 conformers of each molecule by ETKDG, optimised by MMFF94; of the molecules whose
GFN2-xTB energies span 0.3 eV at least, the first ten; the rank correlation is that of Spearman.
*Large molecules*: drugs and peptides of 20 to 40 heavy atoms, relaxed for 30 steps with GFN2-xTB.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from record import record
from scipy.stats import spearmanr
from side_by_side import add_models, describe, energies, load_models, minima, summary_rows

from molrl.energy import load_energy
from molrl.energy.interface import EnergyModel

CONFORMERS, COUNT, SPAN = 15, 10, 0.3  # a molecule; molecules; eV
OUTLIER = 60.0  # meV/atom
RELAXED = 30  # steps
SIZES = (20, 25, 30, 41)  # heavy atoms
FLEXIBLE = {
    "glycylglycylglycine": "NCC(=O)NCC(=O)NCC(=O)O",
    "serine dipeptide": "CC(=O)NC(CO)C(=O)NC",
    "asparagine dipeptide": "CC(=O)NC(CC(N)=O)C(=O)NC",
    "dopamine": "NCCc1ccc(O)c(O)c1",
    "adrenaline": "CNCC(O)c1ccc(O)c(O)c1",
    "pantothenic acid": "CC(C)(CO)C(O)C(=O)NCCC(=O)O",
    "glucose": "OCC1OC(O)C(O)C(O)C1O",
    "glutathione": "NC(CCC(=O)NC(CS)C(=O)NCC(=O)O)C(=O)O",
    "glucosamine": "NC1C(O)OC(CO)C(O)C1O",
    "sorbitol": "OCC(O)C(O)C(O)C(O)CO",
    "glutamine dipeptide": "CC(=O)NC(CCC(N)=O)C(=O)NC",
    "glycyllysine": "NCCCCC(NC(=O)CN)C(=O)O",
    "biotin": "O=C(O)CCCCC1SCC2NC(=O)NC12",
}
LARGE = {
    "N-acetylsulfamethoxazole": "CC(=O)Nc1ccc(cc1)S(=O)(=O)Nc1cc(C)on1",
    "celecoxib": "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F",
    "fluoxetine": "CNCCC(Oc1ccc(cc1)C(F)(F)F)c1ccccc1",
    "indomethacin, F for Cl": "COc1ccc2c(c1)c(CC(=O)O)c(C)n2C(=O)c1ccc(F)cc1",
    "warfarin": "CC(=O)CC(c1ccccc1)C1=C(O)c2ccccc2OC1=O",
    "quinine": "COc1ccc2nccc(C(O)C3CC4CCN3CC4C=C)c2c1",
    "morphine": "CN1CCC23C4Oc5c2c(CC1C3C=CC4O)ccc5O",
    "codeine": "COc1ccc2CC3C4C=CC(O)C5Oc1c2C45CCN3C",
    "oxycodone": "COc1ccc2CC3N(C)CCC45C(Oc1c24)C(=O)CCC35O",
    "naloxone": "C=CCN1CCC23C4Oc5c2c(CC1C3(O)CCC4=O)ccc5O",
    "fentanyl": "CCC(=O)N(c1ccccc1)C1CCN(CCc2ccccc2)CC1",
    "methadone": "CCC(=O)C(CC(C)N(C)C)(c1ccccc1)c1ccccc1",
    "testosterone": "CC12CCC3C(CCC4=CC(=O)CCC34C)C1CCC2O",
    "progesterone": "CC(=O)C1CCC2C3CCC4=CC(=O)CCC4(C)C3CCC12C",
    "estradiol": "CC12CCC3c4ccc(O)cc4CCC3C1CCC2O",
    "cortisol": "CC12CCC(=O)C=C1CCC1C2C(O)CC2(C)C1CCC2(O)C(=O)CO",
    "dexamethasone": "CC1CC2C3CCC4=CC(=O)C=CC4(C)C3(F)C(O)CC2(C)C1(O)C(=O)CO",
    "cholesterol": "CC(C)CCCC(C)C1CCC2C3CC=C4CC(O)CCC4(C)C3CCC12C",
    "retinol": "CC1=C(C(C)(C)CCC1)C=CC(C)=CC=CC(C)=CCO",
    "tetrahydrocannabinol": "CCCCCc1cc(O)c2C3C=C(C)CCC3C(C)(C)Oc2c1",
    "cannabidiol": "CCCCCc1cc(O)c(C2C=C(C)CCC2C(C)=C)c(O)c1",
    "capsaicin": "COc1cc(CNC(=O)CCCCC=CC(C)C)ccc1O",
    "curcumin": "COc1cc(C=CC(=O)CC(=O)C=Cc2ccc(O)c(OC)c2)ccc1O",
    "quercetin": "Oc1cc(O)c2c(c1)oc(c(O)c2=O)-c1ccc(O)c(O)c1",
    "catechin": "OC1Cc2c(O)cc(O)cc2OC1c1ccc(O)c(O)c1",
    "riboflavin": "Cc1cc2nc3c(=O)[nH]c(=O)nc-3n(CC(O)C(O)C(O)CO)c2cc1C",
    "folic acid": "Nc1nc2ncc(CNc3ccc(cc3)C(=O)NC(CCC(=O)O)C(=O)O)nc2c(=O)[nH]1",
    "penicillin G": "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O",
    "amoxicillin": "CC1(C)SC2C(NC(=O)C(N)c3ccc(O)cc3)C(=O)N2C1C(=O)O",
    "cephalexin": "CC1=C(N2C(SC1)C(NC(=O)C(N)c1ccccc1)C2=O)C(=O)O",
    "ciprofloxacin": "O=C(O)c1cn(C2CC2)c2cc(N3CCNCC3)c(F)cc2c1=O",
    "levofloxacin": "CC1COc2c(N3CCN(C)CC3)c(F)cc3c2n1cc(c3=O)C(=O)O",
    "linezolid": "CC(=O)NCC1CN(C(=O)O1)c1ccc(N2CCOCC2)c(F)c1",
    "trimethoprim": "COc1cc(Cc2cnc(N)nc2N)cc(OC)c1OC",
    "tetracycline": "CN(C)C1C2CC3C(=C(O)C2(O)C(=O)C(C(N)=O)=C1O)C(=O)c1c(O)cccc1C3(C)O",
    "sildenafil": "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(n1)-c1cccnc1",
    "erlotinib": "COCCOc1cc2ncnc(Nc3cccc(c3)C#C)c2cc1OCCOC",
    "omeprazole": "COc1ccc2[nH]c(nc2c1)S(=O)Cc1ncc(C)c(OC)c1C",
    "ranitidine": "CNC(=C[N+](=O)[O-])NCCSCc1ccc(CN(C)C)o1",
    "diltiazem": "COc1ccc(cc1)C1Sc2ccccc2N(CCN(C)C)C(=O)C1OC(C)=O",
    "verapamil": "COc1ccc(CCN(C)CCCC(C#N)(C(C)C)c2ccc(OC)c(OC)c2)cc1OC",
    "nifedipine": "COC(=O)C1=C(C)NC(C)=C(C1c1ccccc1[N+](=O)[O-])C(=O)OC",
    "enalapril": "CCOC(=O)C(CCc1ccccc1)NC(C)C(=O)N1CCCC1C(=O)O",
    "prazosin": "COc1cc2nc(nc(N)c2cc1OC)N1CCN(CC1)C(=O)c1ccco1",
    "carvedilol": "COc1ccccc1OCCNCC(O)COc1cccc2[nH]c3ccccc3c12",
    "haloperidol, F for Cl": "OC1(CCN(CCCC(=O)c2ccc(F)cc2)CC1)c1ccc(F)cc1",
    "risperidone": "Cc1nc2CCCCn2c(=O)c1CCN1CCC(CC1)c1noc2cc(F)ccc12",
    "olanzapine": "Cc1cc2c(Nc3ccccc3N=C2N2CCN(C)CC2)s1",
    "citalopram": "CN(C)CCCC1(OCc2cc(ccc12)C#N)c1ccc(F)cc1",
    "donepezil": "COc1cc2CC(CC3CCN(Cc4ccccc4)CC3)C(=O)c2cc1OC",
    "pyrrole of atorvastatin": "CC(C)c1c(C(=O)Nc2ccccc2)c(c(n1CCO)-c1ccc(F)cc1)C",
    "simvastatin": "CCC(C)(C)C(=O)OC1CC(C)C=C2C=CC(C)C(CCC3CC(O)CC(=O)O3)C12",
    "artesunate": "CC1CCC2C(C)C(OC(=O)CCC(=O)O)OC3OC4(C)CCC1C23OO4",
    "sucrose": "OCC1OC(OC2(CO)OC(CO)C(O)C2O)C(O)C(O)C1O",
    "tetra-alanine": "CC(=O)NC(C)C(=O)NC(C)C(=O)NC(C)C(=O)NC(C)C(=O)NC",
    "leu-enkephalin": "NC(Cc1ccc(O)cc1)C(=O)NCC(=O)NCC(=O)NC(Cc1ccccc1)C(=O)NC(CC(C)C)C(=O)O",
    "phenylalanylglycylphenylalanine": "NC(Cc1ccccc1)C(=O)NCC(=O)NC(Cc1ccccc1)C(=O)O",
    "aspartame": "COC(=O)C(Cc1ccccc1)NC(=O)C(N)CC(=O)O",
    "serylhistidyltyrosine": "NC(CO)C(=O)NC(Cc1c[nH]cn1)C(=O)NC(Cc1ccc(O)cc1)C(=O)O",
}
TARGETS = {
    "conformers: mean rank correlation": ">= 0.7",
    "conformers: lowest rank correlation": "",
    "large molecules: MAE, meV/atom": "<= 15",
    "large molecules: worst, meV/atom": "<= 60",
    "large molecules: above 60 meV/atom": "0",
    **{f"{low} to {high - 1} heavy atoms: MAE, meV/atom": "" for low, high in pairwise(SIZES)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_models(parser)
    models = load_models(parser.parse_args().models)
    reference = load_energy("gfn2")
    sets = flexible_molecules(reference)
    large = minima(list(LARGE.values()), reference, RELAXED)
    heavy = np.array([(one.numbers > 1).sum() for one in large])
    right = energies(reference, large)
    ranks = {name: [rank(model, *of) for of in sets.values()] for name, model in models.items()}
    sizes = np.array([len(one) for one in large])
    errors = {
        name: 1e3 * (energies(model, large) - right) / sizes for name, model in models.items()
    }
    figures = {
        name: rank_figures(ranks[name]) | size_figures(heavy, np.abs(errors[name]))
        for name in models
    }
    title = f"Molecules of 10 to 40 heavy atoms, {describe(models)} against GFN2-xTB"
    record("energy_large", title, summary_rows(figures, TARGETS))
    rows = table("rank correlation", list(sets), ranks)
    rows += table(
        "error, meV/atom", [f"{name}, {n}" for name, n in zip(LARGE, heavy, strict=True)], errors
    )
    record("energy_large_by_molecule", f"{title}: each molecule and its heavy atoms", rows)


def flexible_molecules(reference: EnergyModel) -> dict[str, tuple[list[Atoms], np.ndarray]]:
    """Return conformers and their energies, eV, of molecules with a wide enough span."""
    found = {name: conformers(smiles) for name, smiles in FLEXIBLE.items()}
    flat = energies(reference, [one for some in found.values() for one in some])
    split = np.split(flat, np.cumsum([len(some) for some in found.values()])[:-1])
    wide = {
        name: (some, energy)
        for (name, some), energy in zip(found.items(), split, strict=True)
        if np.ptp(energy) >= SPAN
    }
    return dict(list(wide.items())[:COUNT])


def conformers(smiles: str) -> list[Atoms]:
    """Return conformers by ETKDG, optimised by MMFF94."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 7
    rdDistGeom.EmbedMultipleConfs(mol, CONFORMERS, parameters)
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=500)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    return [Atoms(numbers, one.GetPositions()) for one in mol.GetConformers()]


def rank(model: EnergyModel, structures: Sequence[Atoms], right: np.ndarray) -> float:
    """Return the rank correlation of a model with energies of the reference."""
    return float(spearmanr(energies(model, structures), right).statistic)


def rank_figures(ranks: Sequence[float]) -> dict[str, object]:
    return {
        "conformers: mean rank correlation": float(np.mean(ranks)),
        "conformers: lowest rank correlation": float(np.min(ranks)),
    }


def size_figures(heavy: np.ndarray, error: np.ndarray) -> dict[str, object]:
    """Return the figures of errors, meV/atom, by the number of heavy atoms."""
    figures: dict[str, object] = {
        "large molecules: MAE, meV/atom": float(error.mean()),
        "large molecules: worst, meV/atom": float(error.max()),
        "large molecules: above 60 meV/atom": int((error > OUTLIER).sum()),
    }
    for low, high in pairwise(SIZES):
        of = error[(heavy >= low) & (heavy < high)]
        figures[f"{low} to {high - 1} heavy atoms: MAE, meV/atom"] = float(of.mean())
    return figures


def table(
    figure: str, names: Sequence[str], found: Mapping[str, Sequence[float] | np.ndarray]
) -> list[dict[str, object]]:
    """Return a row for each molecule."""
    return [
        {"figure": figure, "molecule": name, **{model: float(x[i]) for model, x in found.items()}}
        for i, name in enumerate(names)
    ]


if __name__ == "__main__":
    main()

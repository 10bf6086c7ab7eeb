"""Torsions and bonds against GFN2-xTB: barriers, minima, curves.

python experiments/benchmarks/energy_torsions.py [--models mace mace:old.json]

Molecules are relaxed with GFN2-xTB and then distorted rigidly. *Torsions*: a bond rotated by 10
degrees at a time; points up to 1.2 eV above the lowest. The barrier is the highest point minus the
lowest. The minimum is right if it is within 20 degrees of that of GFN2-xTB, or GFN2-xTB has it
within 15 meV of its lowest point, as it has minima that symmetry makes equal. *Bonds*: one bond at
0.85 to 1.3 times its length; energies relative to that at its length.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from rdkit import Chem
from record import RESULTS, record
from side_by_side import (
    Models,
    add_models,
    describe,
    energies,
    load_models,
    plot_curves,
    relaxed,
    summary_rows,
)

from molrl.chemistry.embedding import from_smiles
from molrl.energy import load_energy
from molrl.energy.interface import EnergyModel
from molrl.molecules import MoleculeBatch
from molrl.plotting.figures import blank_figure, save_figure, tidy

# Name and SMILES; the atoms mapped to 1 and 2 are the ends of the bond, and those behind 2 move.
# An atom mapped to 1 alone stands for its bond to a hydrogen.
TORSIONS = (
    ("acetamide C-N", "C[C:1](=O)[NH2:2]"),
    ("N-methylacetamide C-N", "C[C:1](=O)[NH:2]C"),
    ("urea C-N", "N[C:1](=O)[NH2:2]"),
    ("formamide C-N", "[CH:1](=O)[NH2:2]"),
    ("benzamide C-C", "O=[C:2](N)[c:1]1ccccc1"),
    ("thioacetamide C-N", "C[C:1](=S)[NH2:2]"),
    ("butadiene", "C=[CH:1][CH:2]=C"),
    ("acrolein", "C=[CH:1][CH:2]=O"),
    ("glyoxal", "O=[CH:1][CH:2]=O"),
    ("styrene", "C=[CH:2][c:1]1ccccc1"),
    ("benzaldehyde", "O=[CH:2][c:1]1ccccc1"),
    ("acetophenone", "C[C:2](=O)[c:1]1ccccc1"),
    ("nitrobenzene", "O=[N+:2]([O-])[c:1]1ccccc1"),
    ("aniline C-N", "[NH2:2][c:1]1ccccc1"),
    ("phenol C-O", "[OH:2][c:1]1ccccc1"),
    ("anisole C-O", "C[O:2][c:1]1ccccc1"),
    ("biphenyl", "c1cccc[c:1]1-[c:2]1ccccc1"),
    ("2,2'-bithiophene", "c1ccs[c:1]1-[c:2]1cccs1"),
    ("vinylamine C-N", "C=[CH:1][NH2:2]"),
    ("methyl vinyl ether C-O", "C=[CH:1][O:2]C"),
    ("hydrazine", "[NH2:1][NH2:2]"),
    ("hydroxylamine", "[NH2:1][OH:2]"),
    ("hydrogen peroxide", "[OH:1][OH:2]"),
    ("formic acid C-O", "O=[CH:1][OH:2]"),
    ("acetic acid C-O", "C[C:1](=O)[OH:2]"),
    ("methyl acetate C-O", "C[C:1](=O)[O:2]C"),
    ("methyl nitrite", "C[O:1][N:2]=O"),
    ("formaldoxime N-O", "C=[N:1][OH:2]"),
    ("butane", "C[CH2:1][CH2:2]C"),
    ("ethanol C-O", "C[CH2:1][OH:2]"),
    ("ethylene glycol C-C", "O[CH2:1][CH2:2]O"),
    ("1,2-difluoroethane", "F[CH2:1][CH2:2]F"),
    ("glycine C-C", "N[CH2:1][C:2](=O)O"),
    ("methanesulfonamide S-N", "C[S:1](=O)(=O)[NH2:2]"),
    ("methanesulfonic acid S-O", "C[S:1](=O)(=O)[OH:2]"),
    ("dimethyl disulfide", "C[S:1][S:2]C"),
    ("alanine dipeptide phi", "CC(=O)[NH:1][CH:2](C)C(=O)NC"),
    ("alanine dipeptide psi", "CC(=O)N[CH:1](C)[C:2](=O)NC"),
    ("3BPA alpha", "Nc1nccc[c:1]1[O:2]Cc1ccccc1"),
    ("3BPA gamma", "Nc1ncccc1O[CH2:1][c:2]1ccccc1"),
)
BONDS = (
    ("C-H", "[CH4:1]"), ("C-C", "[CH3:1][CH3:2]"), ("C=C", "[CH2:1]=[CH2:2]"),
    ("C#C", "[CH:1]#[CH:2]"), ("C-N", "[CH3:1][NH2:2]"), ("C=N", "[CH2:1]=[NH:2]"),
    ("C#N", "[CH:1]#[N:2]"), ("C-O", "[CH3:1][OH:2]"), ("C=O", "[CH2:1]=[O:2]"),
    ("N-H", "[NH3:1]"), ("O-H", "[OH2:1]"), ("N-N", "[NH2:1][NH2:2]"),
    ("N=N", "[NH:1]=[NH:2]"), ("N-O", "[NH2:1][OH:2]"), ("O-O", "[OH:1][OH:2]"),
    ("C-F", "[CH3:1][F:2]"), ("N-F", "[NH2:1][F:2]"), ("O-F", "[OH:1][F:2]"),
    ("C-S", "[CH3:1][SH:2]"), ("C=S", "[CH2:1]=[S:2]"), ("S-H", "[SH2:1]"),
    ("S-S", "[SH:1][SH:2]"), ("S=O of DMSO", "C[S:1](C)=[O:2]"), ("S=O of SO2", "O=[S:1]=[O:2]"),
    ("S-F of SF2", "F[S:1][F:2]"), ("S-F of SF6", "F[S:1](F)(F)(F)(F)[F:2]"),
    ("C-C of toluene", "[CH3:2][c:1]1ccccc1"), ("C-C of acetamide", "[CH3:2][C:1](=O)N"),
    ("C-N of acetamide", "C[C:1](=O)[NH2:2]"), ("C-O of methyl acetate", "CC(=O)[O:1][CH3:2]"),
)  # fmt: skip
SF6 = [name for name, _ in BONDS].index("S-F of SF6")
ANGLES = np.arange(0, 360, 10)
STRETCHES = np.linspace(0.85, 1.3, 19)  # of the length
HIGHEST, NEAR_DEGENERATE, NEAR = 1.2, 0.015, 20  # eV, eV, degrees
TARGETS = {
    "torsions: barrier MAE, meV": "<= 70",
    "torsions: minimum right, of 40": ">= 38",
    "torsions: RMSE, meV": "",
    "bonds: RMSE near equilibrium, meV": "<= 30",
    "bonds: the same without SF6, meV": "",
    "bonds: largest RMSE, meV": "",
}
Curves = dict[str, np.ndarray]  # model to (n_points,) eV


@dataclass(frozen=True)
class Bond:
    """A bond of a molecule at its minimum.

    Attributes:
        atoms: the molecule.
        ends: indices of the fixed and of the moved end.
        moved: ``(n_atoms,)`` bool, the atoms behind the second end, with it.
    """

    atoms: Atoms
    ends: tuple[int, int]
    moved: np.ndarray

    def rotated(self, angle: float) -> Atoms:
        """Return the molecule with one side turned about the bond by degrees."""
        first, second = self.ends
        out = self.atoms.copy()
        part = out[self.moved]
        axis = out.positions[second] - out.positions[first]
        part.rotate(angle, axis, center=out.positions[second])
        out.positions[self.moved] = part.positions
        return out

    def stretched(self, factor: float) -> Atoms:
        """Return the molecule with the bond at a multiple of its length."""
        first, second = self.ends
        out = self.atoms.copy()
        vector = out.positions[second] - out.positions[first]
        out.positions[self.moved] += (factor - 1) * vector
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_models(parser)
    models = load_models(parser.parse_args().models)
    every = {"gfn2": load_energy("gfn2"), **models}
    torsions = scan(TORSIONS, every, lambda bond: [bond.rotated(angle) for angle in ANGLES])
    bonds = scan(BONDS, every, lambda bond: [bond.stretched(factor) for factor in STRETCHES])
    rows = {name: [torsion_row(one, name) for one in torsions] for name in models}
    errors = {name: [bond_error(one, name) for one in bonds] for name in models}
    figures = {name: summary(rows[name], errors[name]) for name in models}
    title = f"Torsions and bonds, {describe(models)} against GFN2-xTB"
    record("energy_torsions", title, summary_rows(figures, TARGETS))
    named = [name for name, _ in TORSIONS]
    record("energy_torsions_by_bond", f"{title}: each torsion, meV", barriers(named, rows))
    lengths = [
        {"bond": name, **{f"RMSE {model}": 1e3 * errors[model][i] for model in models}}
        for i, (name, _) in enumerate(BONDS)
    ]
    record("energy_torsions_bonds", f"{title}: each bond's curve, meV", lengths)
    draw(named, torsions)


def scan(
    bonds: Sequence[tuple[str, str]], every: Models, distort: Callable[[Bond], list[Atoms]]
) -> list[Curves]:
    """Return the energies of the distorted molecules, one dict for each bond."""
    distorted = [distort(bond) for bond in find(bonds, every["gfn2"])]
    flat = [structure for some in distorted for structure in some]
    found = {name: energies(model, flat).reshape(len(bonds), -1) for name, model in every.items()}
    return [{name: of[i] for name, of in found.items()} for i in range(len(bonds))]


def find(bonds: Sequence[tuple[str, str]], reference: EnergyModel) -> list[Bond]:
    """Return the mapped bonds of molecules, at minima of the reference."""
    mols = [from_smiles(smiles, seed=0) for _, smiles in bonds]
    atoms = relaxed(MoleculeBatch.from_rdkit(mols), reference, 200)
    return [bond(mol, one) for mol, one in zip(mols, atoms, strict=True)]


def bond(mol: Chem.Mol, atoms: Atoms) -> Bond:
    numbers = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    first = numbers.index(1)
    hydrogen = mol.GetAtomWithIdx(first).GetNeighbors()[-1].GetIdx()  # hydrogens come last
    second = numbers.index(2) if 2 in numbers else hydrogen
    cut = Chem.RWMol(mol)
    cut.RemoveBond(first, second)
    (side,) = [part for part in Chem.GetMolFrags(cut) if second in part]
    if first in side:
        raise ValueError(f"the bond of {Chem.MolToSmiles(mol)} is in a ring")
    return Bond(atoms, (first, second), np.isin(np.arange(len(atoms)), side))


def torsion_row(curves: Curves, model: str) -> dict[str, float]:
    """Return barriers and errors of a torsion, eV, and whether the minimum is right."""
    right, found = curves["gfn2"], curves[model]
    low = right - np.nanmin(right) <= HIGHEST  # a comparison with NaN is false
    right, found, angles = right[low], found[low], ANGLES[low]
    best, lowest = int(right.argmin()), int(found.argmin())
    apart = abs((angles[lowest] - angles[best] + 180) % 360 - 180)
    shifted = (found - found.min()) - (right - right.min())
    return {
        "barrier": float(np.ptp(found)),
        "error": float(np.ptp(found) - np.ptp(right)),
        "RMSE": float(np.sqrt(np.square(shifted).mean())),
        "minimum": apart <= NEAR or right[lowest] - right[best] <= NEAR_DEGENERATE,
    }


def bond_error(curves: Curves, model: str) -> float:
    """Return the RMSE of a bond's curve, eV, each relative to the energy at its length."""
    at = int(np.abs(STRETCHES - 1).argmin())
    error = (curves[model] - curves[model][at]) - (curves["gfn2"] - curves["gfn2"][at])
    return float(np.sqrt(np.nanmean(np.square(error))))


def summary(torsions: Sequence[dict[str, float]], bonds: Sequence[float]) -> dict[str, object]:
    return {
        "torsions: barrier MAE, meV": 1e3 * float(np.mean([abs(one["error"]) for one in torsions])),
        "torsions: minimum right, of 40": int(sum(one["minimum"] for one in torsions)),
        "torsions: RMSE, meV": 1e3 * float(np.mean([one["RMSE"] for one in torsions])),
        "bonds: RMSE near equilibrium, meV": 1e3 * float(np.mean(bonds)),
        "bonds: the same without SF6, meV": 1e3 * float(np.mean(np.delete(bonds, SF6))),
        "bonds: largest RMSE, meV": 1e3 * float(np.max(bonds)),
    }


def barriers(
    names: Sequence[str], rows: dict[str, list[dict[str, float]]]
) -> list[dict[str, object]]:
    """Return a row for each torsion, with the barriers of all models."""
    out = []
    for i, name in enumerate(names):
        (barrier,) = {round(1e3 * (of[i]["barrier"] - of[i]["error"])) for of in rows.values()}
        row: dict[str, object] = {"torsion": name, "barrier gfn2": barrier}
        for model, of in rows.items():
            row[f"barrier {model}"] = round(1e3 * of[i]["barrier"])
            row[f"RMSE {model}"] = round(1e3 * of[i]["RMSE"])
            row[f"minimum {model}"] = "right" if of[i]["minimum"] else "wrong"
        out.append(row)
    return out


def draw(names: Sequence[str], torsions: Sequence[Curves]) -> None:
    """Draw the torsions, a panel for each."""
    figure = blank_figure(13, 13)
    panels = figure.subplots(8, 5, sharex=True).flat
    for ax, name, curves in zip(panels, names, torsions, strict=True):
        plot_curves(ax, ANGLES, {model: x - np.nanmin(x) for model, x in curves.items()})
        ax.set_xticks([0, 120, 240, 360])
        top = min(HIGHEST, 1.5 * float(np.nanmax(curves["gfn2"]) - np.nanmin(curves["gfn2"])))
        ax.set_ylim(-0.05e3 * top, 1e3 * top)
        ax.set_title(name, fontsize=9, loc="left")
        tidy(ax)
    figure.supxlabel("rotation from the minimum, degrees")
    figure.supylabel("energy, meV")
    figure.axes[0].legend(frameon=False, fontsize=8)
    save_figure(figure, RESULTS / "energy_torsions.png")


if __name__ == "__main__":
    main()

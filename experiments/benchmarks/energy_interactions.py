"""Energies between molecules against GFN2-xTB: dimers, clusters, solvation, dynamics.

python experiments/benchmarks/energy_interactions.py [--models mace mace:old.json]

*S22*: Jurečka, Šponer, Černý and Hobza, Phys. Chem. Chem. Phys. 8, 1985 (2006), at the geometries
given there. *Curves*: 20 pairs of molecules at GFN2-xTB minima; of 8 random orientations the one
with the deepest well of GFN2-xTB, along the distance of the nearest atoms from 2 to 8 Å.
*Clusters*: 2 to 20 molecules, packed at random and relaxed for 30 steps with GFN2-xTB. *Cluster
task*: H2CO with five H2O, 16 starts relaxed with each of the two models, ranked by both.
*Dynamics*: Langevin dynamics of two water hexamers at 300 K for 2 ps; a hexamer is in two pieces
where no two oxygen atoms bridge a gap of 4.5 Å.

Interaction energies are those of the whole minus those of its molecules in the same geometry.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms, units
from ase.data import atomic_masses
from ase.data.s22 import create_s22_system, get_number_of_dimer_atoms, s22
from packing import packed, placed, turned, unit
from record import RESULTS, record
from scipy.cluster.hierarchy import linkage
from scipy.stats import spearmanr
from side_by_side import (
    Models,
    add_models,
    describe,
    interactions,
    load_models,
    minima,
    plot_curves,
    relaxed,
    summary_rows,
)

from molrl.energy import EnergyModel, load_energy
from molrl.molecules import MoleculeBatch
from molrl.plotting.figures import blank_figure, save_figure, tidy
from molrl.runs.progress import progress

SEED = 1402
PAIRS = (
    ("O", "O"), ("O", "N"), ("O", "CO"), ("O", "C=O"), ("O", "c1ccccc1"), ("N", "N"), ("F", "F"),
    ("CO", "CO"), ("C", "C"), ("C", "O"), ("C=C", "C#C"), ("C#N", "C#N"), ("C=O", "C=O"),
    ("NC=O", "NC=O"), ("OC=O", "O"), ("CC#N", "O"), ("S", "S"), ("CS(C)=O", "O"), ("CF", "O"),
    ("c1ccccc1", "C"),
)  # fmt: skip
DISTANCES = np.concatenate([np.arange(2.0, 4.0, 0.2), np.arange(4.0, 8.1, 0.5)])  # Å
ORIENTATIONS = 8
SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)  # molecules in a cluster
MIXED = ("O", "O", "CO", "N", "C=O", "C#N", "C", "CC#N", "NC=O")
RELAXED = 30  # steps of clusters
STARTS = 16
NEAR, NEAR_EACH = 0.15, 0.03  # of the interaction energy; eV a molecule
STEP, STEPS, TEMPERATURE, FRICTION = 0.5 * units.fs, 4000, 300.0, 0.01 / units.fs
HEXAMERS, GAP = 2, 4.5  # Å
TARGETS = {
    "S22: MAE, meV": "<= 60",
    "S22: signs right, of 22": ">= 21",
    "curves: RMSE, meV": "",
    "curves: signs of the well right, of 20": "",
    "clusters: within 15 % or 30 meV a molecule, %": "100",
    "clusters: mean error, %": "",
    "clusters: mean error, meV a molecule": "",
    "cluster task: rank correlation": ">= 0.9",
    "water hexamers that stay together, of 2": "2",
    "largest gap, Å": "< 4.5",
}


@dataclass(frozen=True)
class Case:
    """A set of clusters of molecules, ``n`` of them.

    Attributes:
        names: of each.
        structures: geometries.
        sizes: number of atoms of each molecule of each.
    """

    names: list[str]
    structures: list[Atoms]
    sizes: list[list[int]]

    def interactions(self, models: Models) -> dict[str, np.ndarray]:
        """Return ``(n,)`` eV by model."""
        return {
            name: interactions(model, self.structures, self.sizes) for name, model in models.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_models(parser)
    models = load_models(parser.parse_args().models)
    reference = load_energy("gfn2")
    every = {"gfn2": reference, **models}
    dimers, pairs, clusters = s22_dimers(), curves(reference), packed_clusters(reference)
    of_dimers, of_clusters = dimers.interactions(every), clusters.interactions(every)
    of_pairs = {
        name: values.reshape(len(PAIRS), -1) for name, values in pairs.interactions(every).items()
    }
    solvated = relaxed(solvation_starts(), reference, 150)
    figures = {
        name: s22_figures(of_dimers["gfn2"], of_dimers[name])
        | curve_figures(of_pairs["gfn2"], of_pairs[name])
        | cluster_figures(clusters, of_clusters["gfn2"], of_clusters[name])
        | task_figure(reference, model, solvated)
        | hexamer_figures(model, reference)
        for name, model in models.items()
    }
    title = f"Interactions of molecules, {describe(models)} against GFN2-xTB"
    record("energy_interactions", title, summary_rows(figures, TARGETS))
    rows = table("S22", dimers.names, of_dimers)
    rows += table("well of the curve", [" ".join(pair) for pair in PAIRS], wells(of_pairs))
    rows += table("cluster", clusters.names, of_clusters)
    record("energy_interactions_by_structure", f"{title}, eV", rows)
    draw(of_pairs)


def s22_dimers() -> Case:
    """Return the dimers of S22."""
    structures = [create_s22_system(name) for name in s22]
    sizes = [[int(n) for n in get_number_of_dimer_atoms(name)] for name in s22]
    return Case([name.replace("_", " ") for name in s22], structures, sizes)


def s22_figures(right: np.ndarray, found: np.ndarray) -> dict[str, object]:
    return {
        "S22: MAE, meV": 1e3 * float(np.abs(found - right).mean()),
        "S22: signs right, of 22": int((np.sign(found) == np.sign(right)).sum()),
    }


def curves(reference: EnergyModel) -> Case:
    """Return the pairs at all distances, in the orientation of the deepest well."""
    rng = np.random.default_rng(SEED)
    smiles = sorted({one for pair in PAIRS for one in pair})
    monomers = dict(zip(smiles, minima(smiles, reference, 100), strict=True))
    structures = []
    for first, second in PAIRS:
        for _ in range(ORIENTATIONS):
            fixed, moved = monomers[first], turned(monomers[second], rng)
            way = unit(rng)
            structures += [fixed + placed(fixed, moved, way, distance) for distance in DISTANCES]
    sizes = [[len(monomers[one]) for one in pair] for pair in PAIRS]
    repeated = [size for size in sizes for _ in range(ORIENTATIONS * len(DISTANCES))]
    found = interactions(reference, structures, repeated)
    wells_of = np.nanmin(found.reshape(len(PAIRS), ORIENTATIONS, -1), axis=-1)
    chosen = [
        (i * ORIENTATIONS + int(best)) * len(DISTANCES) + k
        for i, best in enumerate(wells_of.argmin(1))
        for k in range(len(DISTANCES))
    ]
    names = [" ".join(pair) for pair in PAIRS for _ in DISTANCES]
    return Case(names, [structures[i] for i in chosen], [repeated[i] for i in chosen])


def curve_figures(right: np.ndarray, found: np.ndarray) -> dict[str, object]:
    at = right.argmin(1)[:, None]
    signs = np.sign(np.take_along_axis(found, at, 1)) == np.sign(np.take_along_axis(right, at, 1))
    return {
        "curves: RMSE, meV": 1e3 * float(np.sqrt(np.nanmean((found - right) ** 2))),
        "curves: signs of the well right, of 20": int(signs.sum()),
    }


def wells(of_pairs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the energies at the distance of the well of GFN2-xTB."""
    at = of_pairs["gfn2"].argmin(1)[:, None]
    return {name: np.take_along_axis(found, at, 1)[:, 0] for name, found in of_pairs.items()}


def packed_clusters(reference: EnergyModel) -> Case:
    """Return clusters of water and of several molecules, relaxed for some steps."""
    rng = np.random.default_rng(SEED + 1)
    monomers = dict(zip(MIXED, minima(MIXED, reference, 100), strict=True))
    names, starts, sizes = [], [], []
    for size in SIZES:
        for kind in ("water", "mixed"):
            drawn = ["O"] * size if kind == "water" else rng.choice(MIXED, size).tolist()
            parts = [monomers[one] for one in drawn]
            names.append(f"{size} {kind}")
            starts.append(packed(parts, rng))
            sizes.append([len(part) for part in parts])
    return Case(names, relaxed(starts, reference, RELAXED), sizes)


def cluster_figures(case: Case, right: np.ndarray, found: np.ndarray) -> dict[str, object]:
    error = np.abs(found - right)
    share, each = error / np.abs(right), error / [len(counts) for counts in case.sizes]
    near = (share <= NEAR) | (each <= NEAR_EACH)
    return {
        "clusters: within 15 % or 30 meV a molecule, %": 100 * float(near.mean()),
        "clusters: mean error, %": 100 * float(share.mean()),
        "clusters: mean error, meV a molecule": 1e3 * float(each.mean()),
    }


def solvation_starts() -> list[Atoms]:
    """Return formaldehyde with five molecules of water round it, as in MolDesignCluster-v0."""
    rng = np.random.default_rng(SEED + 2)
    solute, water = minima(["C=O", "O"], load_energy("gfn2"), 100)
    return [packed([solute] + [water] * 5, rng) for _ in range(STARTS)]


def task_figure(
    reference: EnergyModel, model: EnergyModel, of_reference: Sequence[Atoms]
) -> dict[str, object]:
    """Rank the minima of both models with both, by the interaction energy."""
    structures = [*of_reference, *relaxed(solvation_starts(), model, 150)]
    sizes = [[4, 3, 3, 3, 3, 3]] * len(structures)
    found = [interactions(one, structures, sizes) for one in (reference, model)]
    return {"cluster task: rank correlation": float(spearmanr(*found).statistic)}


def hexamer_figures(model: EnergyModel, reference: EnergyModel) -> dict[str, object]:
    """Run Langevin dynamics of two hexamers; report the widest gap between their molecules."""
    rng = np.random.default_rng(SEED + 3)
    (water,) = minima(["O"], reference, 100)
    starts = relaxed([packed([water] * 6, rng) for _ in range(HEXAMERS)], reference, 150)
    gaps = np.zeros(HEXAMERS)
    for batch in langevin(MoleculeBatch.from_ase(starts), model):
        oxygens = batch.positions[batch.numbers == 8].reshape(HEXAMERS, 6, 3).numpy()
        # The longest link of single linkage is the gap between the two most distant pieces.
        gaps = np.maximum(gaps, [linkage(one, "single")[:, 2].max() for one in oxygens])
    return {
        "water hexamers that stay together, of 2": int((gaps < GAP).sum()),
        "largest gap, Å": float(gaps.max()),
    }


def langevin(batch: MoleculeBatch, model: EnergyModel) -> Iterator[MoleculeBatch]:
    """Yield the batch every 20 steps of the BAOAB integrator.

    Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34 (2013).
    """
    generator = torch.Generator().manual_seed(SEED)
    mass = torch.from_numpy(atomic_masses[batch.numbers.numpy()])[:, None]
    thermal = (units.kB * TEMPERATURE / mass).sqrt()
    kept = float(np.exp(-FRICTION * STEP))

    def noise() -> torch.Tensor:
        return torch.randn(batch.positions.shape, generator=generator, dtype=torch.float64)

    velocity, force = thermal * noise(), forces(model, batch)
    with progress(STEPS, f"dynamics with {model.name}") as bar:
        for step in range(1, STEPS + 1):
            velocity = velocity + 0.5 * STEP * force / mass
            half = batch.positions + 0.5 * STEP * velocity
            velocity = kept * velocity + np.sqrt(1 - kept**2) * thermal * noise()
            batch = replace(batch, positions=half + 0.5 * STEP * velocity)
            force = forces(model, batch)
            velocity = velocity + 0.5 * STEP * force / mass
            if step % 20 == 0:
                bar.update(step)
                yield batch


def forces(model: EnergyModel, batch: MoleculeBatch) -> torch.Tensor:
    found = model.evaluate(batch, forces=True).forces
    assert found is not None  # asked for
    return found.cpu()


def table(kind: str, names: Sequence[str], found: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """Return a row for each structure."""
    return [
        {"set": kind, "structure": name, **{model: float(x[i]) for model, x in found.items()}}
        for i, name in enumerate(names)
    ]


def draw(of_pairs: dict[str, np.ndarray]) -> None:
    """Draw the curves, a panel for each pair."""
    figure = blank_figure(12, 9)
    for ax, i in zip(figure.subplots(4, 5, sharex=True).flat, range(len(PAIRS)), strict=True):
        low = min(float(of_pairs["gfn2"][i].min()), -0.02)
        plot_curves(ax, DISTANCES, {name: found[i] for name, found in of_pairs.items()})
        ax.axhline(0, color="#999999", lw=0.6)
        ax.set(ylim=(1.6e3 * low, -2.5e3 * low))
        ax.set_title(" ".join(PAIRS[i]), fontsize=9, loc="left")
        tidy(ax)
    figure.supxlabel("distance of the nearest atoms, Å")
    figure.supylabel("interaction energy, meV")
    figure.axes[0].legend(frameon=False, fontsize=8)
    save_figure(figure, RESULTS / "energy_interactions.png")


if __name__ == "__main__":
    main()

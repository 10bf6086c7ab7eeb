"""What the field of a denoiser is at each noise level: a restoring force, or a physical one.

    python experiments/benchmarks/score_analysis.py [pseudo-force:runs/pseudo_force] [-n 60]

Molecules of the test split, with known elements, get noise of one level after the other. The field
is the way from the noisy to the denoised geometry, which is the score times the squared noise
level, as a force of springs of 1 eV/Å². At each level it is compared with the way back to the true
geometry (the restoring force) and with the forces of GFN2-xTB and of the shipped mace: the angle
between the vectors of all atoms of a molecule (90° if they have nothing in common), its median over
the molecules, and the median of their root mean squares over the atoms. The angle between the way
back and the force of GFN2-xTB, which no training changes, stands beside them. Elijošius et al.,
Nat. Commun. 16 (2025), find a restoring force first and a quantum-mechanical one at the end. Writes
experiments/results/score_analysis_NAME.{json,md,png}.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from record import RESULTS, record
from torch import Tensor

import molrl
from molrl.chemistry.training_set import load_training_set
from molrl.energy import EnergyModel, load_energy
from molrl.generators.diffusion.cloud import Cloud, is_broken
from molrl.generators.diffusion.config import NoiseConfig
from molrl.generators.diffusion.generator import DenoisingGenerator
from molrl.generators.diffusion.noise import add_noise, draw_known
from molrl.molecules import MoleculeBatch
from molrl.plotting.figures import blank_figure, save_figure, tidy
from molrl.runs.progress import progress

LEVELS = (1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02)  # Å
KNOWN = NoiseConfig(named=1.0, placed=0.0)
ANGLES = {  # of two vectors: how the angle is drawn
    ("field", "way back"): ("#2a6fb0", "-", "field and way back"),
    ("field", "gfn2"): ("#c0392b", "-", "field and GFN2-xTB"),
    ("field", "mace"): ("#e08e2b", "-", "field and mace"),
    ("way back", "gfn2"): ("#777777", "--", "way back and GFN2-xTB"),
}
SIZES = {
    "field": ("#2a6fb0", "-", "field, 1 eV/Å² times Å"),
    "way back": ("#2a6fb0", ":", "way back, 1 eV/Å² times Å"),
    "gfn2": ("#c0392b", "-", "GFN2-xTB"),
    "mace": ("#e08e2b", "-", "mace"),
}


def vectors_at(
    generator: DenoisingGenerator, clean: Cloud, level: float, energies: dict[str, EnergyModel]
) -> tuple[MoleculeBatch, dict[str, Tensor]]:
    """Return noisy molecules, and their ``(n_atoms, 3)`` vectors by name, in eV/Å."""
    sigma = torch.full((len(clean),), level)
    noisy = add_noise(clean, sigma, torch.Generator().manual_seed(1))
    with torch.no_grad():
        denoised, _ = generator.model.denoise(noisy, sigma)
    usable = ~is_broken(noisy)
    chosen = noisy.mask & usable[:, None]
    molecules = noisy.to_molecules(generator.model.elements)[usable]
    found = {
        "field": (denoised - noisy.positions)[chosen].double(),
        "way back": (clean.positions - noisy.positions)[chosen].double(),
    }
    for name, energy in energies.items():
        forces = energy.evaluate(molecules, forces=True).forces
        assert forces is not None  # asked for
        found[name] = forces
    return molecules, found


def angles(molecules: MoleculeBatch, first: Tensor, second: Tensor) -> np.ndarray:
    """Return ``(n_molecules,)`` degrees between vectors of all atoms; NaN where one is unknown."""
    both, a, b = (
        molecules.sum_atoms((x * y).sum(-1))
        for x, y in ((first, second), (first, first), (second, second))
    )
    cosine = both / (a * b).sqrt().clamp(min=1e-12)
    found: np.ndarray = cosine.clamp(-1, 1).acos().rad2deg().numpy()
    return found


def sizes(molecules: MoleculeBatch, vectors: Tensor) -> np.ndarray:
    """Return ``(n_molecules,)`` eV/Å, the root mean square over atoms."""
    found: np.ndarray = (
        (molecules.sum_atoms(vectors.square().sum(-1)) / molecules.n_atoms).sqrt().numpy()
    )
    return found


def measure(generator: DenoisingGenerator, n: int) -> list[dict[str, object]]:
    """Return a row for each noise level."""
    test = load_training_set().of_split("test").molecules
    chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:n]
    clean = Cloud.of_molecules(test[chosen], generator.model.elements)
    clean = draw_known(clean, KNOWN, torch.Generator().manual_seed(0))
    energies = {each: load_energy(each) for each in ("gfn2", "mace")}
    rows: list[dict[str, object]] = []
    with progress(len(LEVELS), "noise levels") as bar:
        for i, level in enumerate(LEVELS):
            molecules, found = vectors_at(generator, clean, level, energies)
            between = {pair: angles(molecules, *(found[each] for each in pair)) for pair in ANGLES}
            lengths = {each: sizes(molecules, found[each]) for each in SIZES}
            rows.append(
                {"noise, Å": level, "molecules": int(np.isfinite(lengths["gfn2"]).sum())}
                | {f"{a} to {b}, °": float(np.nanmedian(x)) for (a, b), x in between.items()}
                | {f"{a}, eV/Å": float(np.nanmedian(x)) for a, x in lengths.items()}
            )
            bar.update(i + 1)
    return rows


def draw(rows: list[dict[str, object]], title: str, path: Path) -> None:
    """Draw angles and sizes against the noise level, from noise on the left to molecules."""
    figure = blank_figure(9.6, 4.0)
    left, right = figure.subplots(1, 2)
    for (a, b), style in ANGLES.items():
        _line(left, rows, f"{a} to {b}, °", style)
    left.axhline(90, color="#bbbbbb", lw=0.8, zorder=0)
    left.set(ylim=(0, 95), ylabel="angle, °")
    for each, style in SIZES.items():
        _line(right, rows, f"{each}, eV/Å", style)
    right.set(yscale="log", ylabel="root mean square, eV/Å")
    for axes, what in ((left, "direction"), (right, "size")):
        axes.set(xscale="log", xlabel="noise level, Å", xlim=(max(LEVELS) * 1.1, min(LEVELS) / 1.1))
        axes.set_title(f"{title}: {what}", fontsize=10, loc="left", color="#333333")
        axes.set_xticks(LEVELS[::2], [f"{level:g}" for level in LEVELS[::2]])
        axes.tick_params(axis="x", which="minor", bottom=False)
        tidy(axes)
        axes.legend(fontsize=8, frameon=False)
    save_figure(figure, path)


def _line(axes: Axes, rows: list[dict[str, object]], key: str, style: tuple[str, str, str]) -> None:
    color, dashes, label = style
    values = [row[key] for row in rows]
    axes.plot(LEVELS, np.array(values, float), dashes, color=color, marker=".", label=label)


def main() -> None:
    """Measure, write and draw."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generator", nargs="?", default="pseudo-force")
    parser.add_argument("-n", type=int, default=60, help="number of molecules")
    given = parser.parse_args()
    generator = molrl.load_generator(given.generator, device="cpu")
    assert isinstance(generator, DenoisingGenerator)
    rows = measure(generator, given.n)
    title = f"{generator.name}, {generator.header.steps} steps of training"
    name = f"score_analysis_{generator.name}"
    record(name, f"{title}, {given.n} molecules, by noise level", rows)
    draw(rows, title, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()

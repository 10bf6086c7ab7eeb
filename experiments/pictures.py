"""Pictures of all tasks for the documentation, and rewards: known molecules, placed atom by atom.

python experiments/pictures.py [FOLDER]
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

import molrl
from molrl.chemistry.bonds import bonded_atoms
from molrl.chemistry.enumeration import isomers
from molrl.chemistry.fragments import load_fragment
from molrl.energy.relaxation import relax
from molrl.envs.design import MolDesignEnv
from molrl.files import write_extxyz
from molrl.molecules import MoleculeBatch
from molrl.plotting.molecules import draw_molecule

SIZE = (260, 260)  # pixels of a frame
FRAMES = 4

Canvas = tuple[NDArray[np.int64], NDArray[np.float64]]
Image = NDArray[np.uint8]


def build(name: str, atoms: Canvas, **config: object) -> list[Canvas]:
    """Run an episode that places atoms in the order given, and print its rewards.

    Args:
        name: id of the environment.
        atoms: numbers and positions of the atoms to place.
        config: keywords of the environment.

    Returns:
        The canvas before the first step and after each.
    """
    env = gym.make(name, **config).unwrapped
    assert isinstance(env, MolDesignEnv)
    seen, info = env.reset(seed=0)
    canvases, rewards = [canvas(seen)], []
    numbers, positions = atoms
    if not len(canvases[0][0]):
        positions = positions - positions[0]
    for number, position in zip(numbers, positions, strict=True):
        away = np.abs(canvases[-1][1] - position).max(-1) if len(canvases[-1][1]) else [0.0]
        focus = int(np.argmin(away))
        shift = position - canvases[-1][1][focus] if len(canvases[-1][1]) else np.zeros(3)
        action = np.array([focus, env.elements.index(int(number)), *shift], np.float32)
        seen, reward, ended, _, info = env.step(action)
        canvases.append(canvas(seen))
        rewards.append(reward)
        assert info["reason"] in ("", "complete"), (name, info)
    assert ended, name
    terms = " + ".join(f"{reward:.2f}" for reward in rewards)
    print(f"{name} {config.get('bag', '')}: {terms} = {sum(rewards):.2f} eV")
    return canvases


def canvas(seen: dict[str, NDArray[Any]]) -> Canvas:
    filled = seen["numbers"] > 0
    return seen["numbers"][filled], seen["positions"][filled].astype(np.float64)


def heavy_first(numbers: Sequence[int], positions: Sequence[Sequence[float]]) -> Canvas:
    order = np.argsort(np.array(numbers) == 1, kind="stable")
    return np.array(numbers)[order], np.array(positions, np.float64)[order]


def known(bag: molrl.Bag, seed: int) -> Canvas:
    """Return a molecule of the bag."""
    ((numbers, positions), *_) = MoleculeBatch.from_rdkit(isomers(bag, 1, seed)).arrays()
    return heavy_first(numbers, positions)


def drawn_bags(name: str) -> list[Image]:
    """Draw molecules of the first bags of an environment."""
    env = gym.make(name).unwrapped
    env.reset(seed=5)
    bags: list[molrl.Bag] = []
    while len(bags) < FRAMES:
        seen = env.reset()[0]
        bag = molrl.Bag(dict(zip(env.elements, seen["bag"].tolist(), strict=True)))
        bags += [bag] if bag not in bags else []
    return [balls(*build("MolDesign-v0", known(bag, 0), bag=bag.formula)[-1]) for bag in bags]


def tripod(center: NDArray[Any], away: NDArray[Any], n: int) -> list[NDArray[np.float64]]:
    """Return the positions of n hydrogens of a carbon whose other bond points against ``away``."""
    side = np.cross(away, [0.31, 0.52, 0.79])
    side /= np.linalg.norm(side)
    other = np.cross(away, side)
    angles = 2 * np.pi * np.arange(n) / 3
    return [center + 0.37 * away + 1.02 * (np.cos(a) * side + np.sin(a) * other) for a in angles]


def anisole() -> Canvas:
    """Return the methoxy group of anisole, on a phenyl scaffold."""
    ring = load_fragment("*c1ccccc1")
    ((atom, out),) = ring.ends
    across = np.cross(np.linalg.svd(ring.positions)[2][2], out)
    oxygen = ring.positions[atom] + 1.37 * out
    way = 0.47 * out + 0.88 * across
    way /= np.linalg.norm(way)
    carbon = oxygen + 1.42 * way
    return heavy_first([8, 6, 1, 1, 1], [oxygen, carbon, *tripod(carbon, way, 3)])


def methylene(fragments: Canvas) -> Canvas:
    """Return the carbon and two hydrogens that bridge the gap in x between two fragments."""
    _, positions = fragments
    first, second = positions[:11], positions[11:]
    i, j = np.unravel_index(
        np.argmin(np.linalg.norm(first[:, None] - second, axis=-1)), (len(first), len(second))
    )
    carbon = np.add((first[i] + second[j]) / 2, [0, 0.84, 0])
    hydrogens = [np.add(carbon, [0, 0.62, z]) for z in (0.89, -0.89)]
    return heavy_first([6, 1, 1], [carbon, *hydrogens])


def cluster(folder: Path) -> list[Canvas]:
    """Return the canvases of three relaxed water molecules around formaldehyde."""
    solute, water = load_fragment("C=O"), load_fragment("O")
    places = [np.array([3.0, 1.4, 0.3]), np.array([-2.6, 1.8, -0.5]), np.array([0.4, -3.2, 0.8])]
    parts = [solute, *[water] * 3]
    numbers = np.concatenate([part.numbers for part in parts])
    shifts = [np.zeros(3), *places]
    positions = np.concatenate([p.positions + s for p, s in zip(parts, shifts, strict=True)])
    start = MoleculeBatch.from_arrays([(numbers, positions)])
    ((numbers, positions),) = relax(start, molrl.load_energy("gfn2")).molecules.arrays()
    n = len(solute)
    file = folder / "solute.extxyz"
    write_extxyz(file, MoleculeBatch.from_arrays([(numbers[:n], positions[:n])]))
    waters = numbers[n:], positions[n:] - positions[:n].mean(0)
    rules = {"max_displacement": 4.0}
    return build("MolDesignCluster-v0", waters, solute=str(file), n_solvent=3, rules=rules)


def benzene() -> Canvas:
    angles = np.arange(6) * np.pi / 3
    around = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    return heavy_first([6] * 6 + [1] * 6, [*(1.4 * around), *(2.49 * around)])


def frames(canvases: Sequence[Canvas]) -> list[Canvas]:
    """Select evenly spaced canvases, including the first and the last."""
    return [canvases[i] for i in np.linspace(0, len(canvases) - 1, FRAMES).round().astype(int)]


def balls(numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> Image:
    (bonds,) = bonded_atoms(MoleculeBatch.from_arrays([(numbers, positions)]))
    return draw_molecule(numbers, positions, bonds, size=SIZE)


def over_points(points: NDArray[np.float32]) -> Callable[..., Image]:
    """Return a function that draws atoms from above, over the points to fill."""

    def draw(numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> Image:
        figure = plt.figure(figsize=(SIZE[1] / 100, SIZE[0] / 100), dpi=100)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        middle = points[:, :2].mean(0)
        axes.scatter(*points[:, :2].T, s=16, color="#f2a03d", zorder=1)
        for i in np.argsort(positions[:, 2]):
            radius, color = 0.55 * covalent_radii[numbers[i]], jmol_colors[numbers[i]]
            axes.add_patch(plt.Circle(positions[i, :2], radius, fc=color, ec="k", zorder=2))
        axes.set(xlim=middle[0] + [-3.6, 3.6], ylim=middle[1] + [-3.6, 3.6], aspect="equal")
        axes.axis("off")
        figure.canvas.draw()
        image = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        plt.close(figure)
        return image

    return draw


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    methanol, octahedron = known(molrl.Bag("CH4O"), 0), np.vstack([np.eye(3), -np.eye(3)])
    fluoride = np.array([16, *[9] * 6]), 1.56 * np.vstack([np.zeros(3), octahedron])
    link = canvas(gym.make("MolDesignLinker-v0").reset()[0])
    points = gym.make("MolDesignShape-v0").reset()[0]["points"]
    with TemporaryDirectory() as temporary:
        episodes = {
            "bag": build("MolDesign-v0", methanol, bag="CH4O"),
            "cluster": cluster(Path(temporary)),
            "scaffold": build("MolDesignScaffold-v0", anisole()),
            "linker": build("MolDesignLinker-v0", methylene(link)),
            "complex": build("MolDesignComplex-v0", fluoride),
        }
    strips = {name: [balls(*c) for c in frames(episode)] for name, episode in episodes.items()}
    ring = build("MolDesignShape-v0", benzene())
    strips["shape"] = [over_points(points)(*c) for c in frames(ring)]
    strips["bags"] = drawn_bags("MolDesignBags-v0")
    strips["stochastic"] = drawn_bags("MolDesignStochastic-v0")
    for name, images in strips.items():
        plt.imsave(folder / f"{name}.png", np.concatenate(images, axis=1))


if __name__ == "__main__":
    main()

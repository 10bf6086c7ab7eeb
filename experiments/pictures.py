"""A picture of every task for the README, played by the best of many random placements.

python experiments/pictures.py [FOLDER]
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

import molrl
from molrl.agents.random import RandomAgent
from molrl.chemistry.drawing import draw_molecule
from molrl.envs.design import MolDesignEnv
from molrl.envs.rules import SOLO

CANDIDATES = 400  # random placements of every atom, the best of which is taken
SIZE = (260, 260)  # pixels of a frame
FRAMES = 4

Canvas = tuple[NDArray[np.int64], NDArray[np.float32]]
Image = NDArray[np.uint8]


def play(
    env: MolDesignEnv, seed: int, distances: tuple[float, float] = (0.95, 1.7)
) -> list[Canvas]:
    """The canvas from the start of an episode to its end, heavy atoms placed first."""
    name, config = env.spec.id, env.spec.kwargs
    many = gym.make_vec(name, CANDIDATES, autoreset_mode="Disabled", **config)
    agent, rng = RandomAgent(env.energy_model, distances=distances), np.random.default_rng(seed)
    seen, info = env.reset(seed=seed)
    canvases, ended = [canvas(seen)], False
    while not ended:
        many.go_on_from(env.state[np.zeros(CANDIDATES, np.int64)])
        observation = {key: np.repeat(array[None], CANDIDATES, 0) for key, array in seen.items()}
        heavy = observation["element_mask"] * ~SOLO[list(env.elements)]
        if heavy.any():
            observation["element_mask"] = heavy.astype(np.int8)
        actions = agent._act(observation, rng.random((CANDIDATES, 8)))
        rewards = many.step(actions)[1]
        seen, _, ended, _, info = env.step(actions[int(np.argmax(rewards))])
        canvases.append(canvas(seen))
    print(f"{name} {molrl.Bag(canvases[-1][0])}: {info['reason']}")
    return canvases


def canvas(seen: dict[str, NDArray[Any]]) -> Canvas:
    filled = seen["numbers"] > 0
    return seen["numbers"][filled], seen["positions"][filled]


def spread(canvases: Sequence[Canvas]) -> list[Canvas]:
    """Some of the canvases, evenly, the first and the last among them."""
    return [canvases[i] for i in np.linspace(0, len(canvases) - 1, FRAMES).round().astype(int)]


def balls(numbers: NDArray[np.int64], positions: NDArray[np.float32]) -> Image:
    return draw_molecule(numbers, positions, size=SIZE)


def over_points(points: NDArray[np.float32]) -> Callable[..., Image]:
    """Draws atoms from above, over the points they are to fill."""

    def draw(numbers: NDArray[np.int64], positions: NDArray[np.float32]) -> Image:
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


def make(name: str, **config: object) -> MolDesignEnv:
    env = gym.make(name, **config).unwrapped
    assert isinstance(env, MolDesignEnv)
    return env


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    ring = make("MolDesignShape-v0", bag="C6", rules={"max_reward": 60.0})
    points = ring.reset()[0]["points"]
    strips = {
        "bag": [balls(*c) for c in spread(play(make("MolDesign-v0", bag="CH4O"), 1))],
        "bags": [balls(*play(make("MolDesignBags-v0"), i)[-1]) for i in range(FRAMES)],
        "stochastic": [balls(*play(make("MolDesignStochastic-v0"), i)[-1]) for i in range(FRAMES)],
        "cluster": [
            balls(*c) for c in spread(play(make("MolDesignCluster-v0", n_solvent=3), 2, (0.9, 2.4)))
        ],
        "scaffold": [balls(*c) for c in spread(play(make("MolDesignScaffold-v0"), 3))],
        "linker": [balls(*c) for c in spread(play(make("MolDesignLinker-v0"), 0))],
        "shape": [over_points(points)(*c) for c in spread(play(ring, 0))],
        "complex": [balls(*c) for c in spread(play(make("MolDesignComplex-v0"), 0, (1.4, 1.8)))],
    }
    for name, frames in strips.items():
        plt.imsave(folder / f"{name}.png", np.concatenate(frames, axis=1))


if __name__ == "__main__":
    main()

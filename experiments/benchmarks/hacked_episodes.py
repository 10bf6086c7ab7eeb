"""Episodes that a model rewards too much, found by a search, and honest ones that rules end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import gymnasium as gym
import numpy as np
from ase import Atoms
from isomers import BestIsomer
from reference_or_bound import gfn2_or_bound
from side_by_side import minima

from molrl.attacks.episodes import search_episodes
from molrl.bags import Bag
from molrl.chemistry.bonds import bonded_atoms
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel, load_energy
from molrl.envs.design import MolDesignEnv
from molrl.envs.rules import REASON_TEXTS, Reason, transition
from molrl.envs.state import CanvasState
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress
from molrl.tasks.bag import BagTask

BAGS = (
    "C5H12", "C4H10O", "C5H12O", "C6H12O", "C5H9NO", "C4H11N", "C4H10", "C3H8O", "C4H7N", "C2H6O",
    "C4H10S", "C3H7NO", "C4H9NO", "C4H8O", "C3H6O2", "C2H5NO2", "C3H9N", "C6H14", "C5H10O",
    "C5H13N", "C3H8S", "C4H8O2", "C5H11NO", "C3H6O2S", "C3H7F", "C4H10N2", "C6H13N", "C2H6O2S",
    "C4H8S", "C5H12N2",
)  # fmt: skip
CHUNK = 64  # episodes that run in step
DISAGREEMENT = 0.5  # eV, by which GFN2-xTB has a hacked canvas above the best isomer
FLUORINATED = (
    "FS(F)(F)(F)(F)F", "FS(F)(F)F", "O=S(=O)(F)F", "FC(F)(F)F", "FC(F)(F)C(F)(F)F", "FN(F)F",
    "FC(F)(F)C#N", "FC(F)=C(F)F", "FC(F)(F)C(F)(F)C(F)(F)F", "OC(=O)C(F)(F)F", "FC(F)(F)S",
    "Fc1ccccc1F", "FC(F)(F)c1ccccc1", "CS(=O)(=O)F", "FSF", "FOF",
)  # fmt: skip
ORDERS = 10  # of each of these


@dataclass(frozen=True)
class EnvCanvases:
    """Canvases of an environment, as a search of episodes takes them.

    Attributes:
        env: the environment, with its rules and reward.
        state: B canvases.
    """

    env: MolDesignEnv
    state: CanvasState

    def __getitem__(self, chosen: np.ndarray) -> "EnvCanvases":
        """Return some of the canvases."""
        return EnvCanvases(self.env, self.state[chosen])

    def place(
        self, parent: np.ndarray, number: int, placements: np.ndarray
    ) -> tuple["EnvCanvases", np.ndarray, np.ndarray]:
        """Place one atom on copies of the canvases."""
        outcome = transition(
            self.state[parent], actions_of(self.env, number, placements), self.env.problem.context
        )
        allowed = np.isin(outcome.reason, [Reason.ONGOING, Reason.COMPLETE])
        return EnvCanvases(self.env, outcome.state), outcome.reward, allowed


def actions_of(env: MolDesignEnv, number: int, placements: np.ndarray) -> np.ndarray:
    """Return the actions ``(n, 5)`` float32 of placements ``(n, 4)`` of an element."""
    element = np.full((len(placements), 1), env.elements.index(number))
    actions = np.concatenate([placements[:, :1], element, placements[:, 1:]], axis=1)
    return actions.astype(np.float32)


def hacked_row(model: EnergyModel, formula: str, rounds: int, seed: int) -> dict[str, object]:
    """Search the best return of crowded episodes of a bag, and let GFN2-xTB say what it is worth.

    Args:
        model: the energy model that is attacked.
        formula: the bag.
        rounds: searches, each with another central element or reach of the crowd.
        seed: of all random choices.
    """
    env = design_env(formula, model)
    best = BestIsomer.of(model, formula)
    row: dict[str, object] = {"bag": formula, "best isomer's return": best.reward}
    row |= {"highest return": None, "gfn2 above its best isomer": None, "hacked": 0}
    for number in range(rounds):
        rng = np.random.default_rng([seed, number])
        env.reset(seed=0)
        found = search_episodes(EnvCanvases(env, env.state), Bag(formula), number, rng)
        if not len(found.total):
            continue
        steps = zip(found.numbers, found.placements[0], strict=True)
        actions = np.concatenate([actions_of(env, z, step[None]) for z, step in steps])
        returned, reason, canvas = replay(env, actions)
        if reason == REASON_TEXTS[Reason.COMPLETE]:
            right = gfn2_or_bound(canvas)
            claimed = np.array([best.energy + best.reward - returned])  # the canvas's energy
            refuted = bool(right.refutes(claimed, best.reference + DISAGREEMENT)[0])
            row["hacked"] = int(str(row["hacked"])) + int(returned > best.reward and refuted)
            highest = row["highest return"]
            if highest is None or returned > float(str(highest)):
                above = float(right.energy[0]) - best.reference
                row["highest return"] = float(returned)
                row["gfn2 above its best isomer"] = above if np.isfinite(above) else None
    return row


def design_env(formula: str, model: EnergyModel) -> MolDesignEnv:
    """Return the environment of a bag with the default rules."""
    env = gym.make("MolDesign-v0", bag=formula, energy=model).unwrapped
    assert isinstance(env, MolDesignEnv)  # as registered
    env.reset(seed=0)
    return env


def replay(env: MolDesignEnv, actions: np.ndarray) -> tuple[float, str, MoleculeBatch]:
    """Return the return of an episode, the reason of its end, and the last canvas."""
    env.reset(seed=0)
    total, info = 0.0, {"reason": ""}
    for action in actions:
        _, reward, terminated, _, info = env.step(action)
        total += reward
        if terminated:
            break
    return total, str(info["reason"]), env.state.to_molecules()


def honest_endings(model: EnergyModel, n_molecules: int, seed: int) -> dict[str, Counter[str]]:
    """Place molecules atom by atom at their own positions, and count the reasons of the end.

    Args:
        model: the energy model of the environment.
        n_molecules: of the shipped set.
        seed: of the molecules and of the orders.

    Returns:
        Reasons of the episodes of the shipped molecules, and of fluorinated ones and SF6.
    """
    rng = np.random.default_rng(seed)
    shipped = shipped_molecules().molecules
    fitting = np.flatnonzero((shipped.n_atoms <= 25).numpy())
    drawn = shipped[rng.permutation(fitting)[:n_molecules]].to_ase()
    fluorinated = minima(FLUORINATED, load_energy("gfn2"), 200)
    return {
        "shipped molecules": endings(model, drawn, rng),
        "SF6 and fluorinated molecules": endings(model, ORDERS * fluorinated, rng),
    }


def honest_rows(model: EnergyModel, n_molecules: int, seed: int) -> list[dict[str, object]]:
    """Return a row for each set of molecules and each reason why an honest episode ended."""
    return [
        {"molecules": name, "reason": reason, "episodes": n}
        for name, found in honest_endings(model, n_molecules, seed).items()
        for reason, n in found.most_common()
    ]


def endings(
    model: EnergyModel, molecules: Sequence[Atoms], rng: np.random.Generator
) -> Counter[str]:
    """Return how often episodes in random orders ended for each reason."""
    env = gym.make("MolDesign-v0", energy=model, elements=list(model.elements)).unwrapped
    assert isinstance(env, MolDesignEnv)  # as registered
    env.reset(seed=0)
    bonds = bonded_atoms(MoleculeBatch.from_ase(molecules))
    episodes = [
        honest_actions(env.elements, atoms, pairs, rng)
        for atoms, pairs in zip(molecules, bonds, strict=True)
    ]
    found: Counter[str] = Counter()
    with progress(len(molecules), f"honest episodes with {model.name}") as bar:
        for start in range(0, len(molecules), CHUNK):
            part = slice(start, start + CHUNK)
            found += endings_of_batch(env, molecules[part], episodes[part])
            bar.update(found.total())
    return found


def endings_of_batch(
    env: MolDesignEnv, molecules: Sequence[Atoms], episodes: Sequence[np.ndarray]
) -> Counter[str]:
    """Run episodes of many molecules in step, and count the reasons of their ends."""
    problem, found = env.problem, Counter[str]()
    tasks = [BagTask(bag=Bag(m.numbers.tolist()).formula) for m in molecules]
    state = problem.initial_state([problem.draw(np.random.default_rng(0), task) for task in tasks])
    ongoing = np.arange(len(molecules))
    for step in count():
        if not len(ongoing):
            return found
        actions = np.array([episodes[i][step] for i in ongoing], np.float32)
        outcome = transition(state, actions, problem.context)
        ended = outcome.reason != Reason.ONGOING
        found.update(REASON_TEXTS[outcome.reason[ended]])
        ongoing, state = ongoing[~ended], outcome.state[np.flatnonzero(~ended)]


def honest_actions(
    elements: Sequence[int], atoms: Atoms, bonds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return actions ``(n_atoms, 5)`` that place each atom next to one it is bonded to.

    Args:
        elements: what an action chooses from.
        atoms: the molecule, of one piece.
        bonds: ``(n_bonds, 2)`` indices.
        rng: the random order.
    """
    both = np.concatenate([bonds, bonds[:, ::-1]])
    order = [int(rng.integers(len(atoms)))]
    actions = [[0, elements.index(int(atoms.numbers[order[0]])), 0, 0, 0]]
    while len(order) < len(atoms):
        edges = both[np.isin(both[:, 0], order) & ~np.isin(both[:, 1], order)]
        focus, new = edges[rng.integers(len(edges))].tolist()
        number = int(atoms.numbers[new])
        shift = atoms.positions[new] - atoms.positions[focus]
        actions.append([order.index(focus), elements.index(number), *shift])
        order.append(new)
    return np.array(actions)

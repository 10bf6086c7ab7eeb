"""Episodes that a model rewards too much, found by a search, and honest ones that rules end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import gymnasium as gym
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from isomers import BestIsomer
from reference_or_bound import gfn2_or_bound
from side_by_side import minima

from molrl.bags import Bag
from molrl.chemistry.bonds import bonded_atoms
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel, load_energy
from molrl.envs.design import MolDesignEnv
from molrl.envs.rules import MONOVALENT, REASON_TEXTS, Reason, transition
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
BEAM, OTHERS = 16, 8  # canvases kept: those of highest return, and others
PROPOSALS, VARIANTS = 8, 5  # actions tried on each canvas; changed ones of those that are kept
REFINED = (0.1, 0.03)  # Å, by which they are changed
NEAREST, FURTHEST = 0.65, 1.3  # of the covalent radii's sum, of new atoms from their focus
CROWDED = (0.75, 0.85, 0.7, 1.0, 0.8, 1.2)  # the same, furthest, of crowds in one search each
DISAGREEMENT = 0.5  # eV, by which GFN2-xTB has a hacked canvas above the best isomer
FLUORINATED = (
    "FS(F)(F)(F)(F)F", "FS(F)(F)F", "O=S(=O)(F)F", "FC(F)(F)F", "FC(F)(F)C(F)(F)F", "FN(F)F",
    "FC(F)(F)C#N", "FC(F)=C(F)F", "FC(F)(F)C(F)(F)C(F)(F)F", "OC(=O)C(F)(F)F", "FC(F)(F)S",
    "Fc1ccccc1F", "FC(F)(F)c1ccccc1", "CS(=O)(=O)F", "FSF", "FOF",
)  # fmt: skip
ORDERS = 10  # of each of these


@dataclass(frozen=True)
class Beam:
    """Canvases of one bag on which the same elements were placed.

    Attributes:
        state: B canvases.
        total: ``(B,)`` eV, rewards so far.
        actions: ``(B, n_steps, 5)`` float32, what was done.
    """

    state: CanvasState
    total: np.ndarray
    actions: np.ndarray

    def extended(
        self, env: MolDesignEnv, parent: np.ndarray, actions: np.ndarray, rng: np.random.Generator
    ) -> tuple["Beam", np.ndarray]:
        """Return the canvases of highest return after actions, some others, and their parents.

        Args:
            env: the environment.
            parent: ``(n,)`` int64, canvas of each action.
            actions: ``(n, 5)``.
            rng: of the others, which are kept because the best ones may all end at the next atom.
        """
        actions = actions.astype(np.float32)
        outcome = transition(self.state[parent], actions, env.problem.context)
        total = self.total[parent] + outcome.reward
        kept = np.flatnonzero(np.isin(outcome.reason, [Reason.ONGOING, Reason.COMPLETE]))
        kept = kept[np.argsort(-total[kept])]
        kept = np.concatenate([kept[:BEAM], rng.permutation(kept[BEAM:])[:OTHERS]])
        done = np.concatenate([self.actions[parent[kept]], actions[kept, None]], axis=1)
        return Beam(outcome.state[kept], total[kept], done), parent[kept]

    def refined(self, env: MolDesignEnv, actions: np.ndarray, rng: np.random.Generator) -> "Beam":
        """Return the best canvases after actions ``(B, P, 5)`` and after ones near the best."""
        parent = np.repeat(np.arange(len(self.total)), actions.shape[1])
        best, parent = self.extended(env, parent, actions.reshape(-1, 5), rng)
        for sigma in REFINED:
            shift = sigma * rng.normal(size=(len(parent), VARIANTS, 5))
            shift[..., :2], shift[:, 0] = 0, 0  # the same focus and element; one as it was
            near = (best.actions[:, -1, None] + shift).reshape(-1, 5)
            best, parent = self.extended(env, np.repeat(parent, VARIANTS), near, rng)
        return best


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
        found = search(env, Bag(formula), number, rng)
        if not len(found.total):
            continue
        returned, reason, canvas = replay(env, found.actions[0])
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


def search(env: MolDesignEnv, bag: Bag, number: int, rng: np.random.Generator) -> Beam:
    """Crowd an atom with others as the rules allow, and keep the canvases of highest return."""
    env.reset(seed=0)
    beam = Beam(env.state, np.zeros(1), np.zeros((1, 0, 5), np.float32))
    atoms = np.array(bag.numbers)
    centres = np.unique(atoms[~MONOVALENT[atoms]])
    centre = int(centres[number % len(centres)])
    ligands = rng.permutation(atoms[MONOVALENT[atoms]])
    others = list(atoms[~MONOVALENT[atoms]])
    others.remove(centre)
    rest = [int(one) for one in rng.permutation(others)]
    # A crowd that is pressed together costs more at first than one that is not, so that only a
    # search which allows nothing else finds what is behind it.
    furthest = CROWDED[number // len(centres) % len(CROWDED)]
    beam = beam.refined(env, first_action(env, centre), rng)
    for ligand in ligands.tolist():
        crowd = beam.refined(env, propose(env, beam.state, ligand, (1, furthest), rng), rng)
        if len(crowd.total):
            beam = crowd
        else:
            rest.append(ligand)
    for element in rest:
        beam = beam.refined(env, propose(env, beam.state, element, (None, FURTHEST), rng), rng)
        if not len(beam.total):
            break
    return beam


def first_action(env: MolDesignEnv, element: int) -> np.ndarray:
    """Return the action that places an atom on an empty canvas, ``(1, 1, 5)``."""
    return np.array([[[0, env.elements.index(element), 0, 0, 0]]])


def propose(
    env: MolDesignEnv,
    state: CanvasState,
    element: int,
    where: tuple[int | None, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return random actions ``(B, PROPOSALS, 5)`` near atoms that are not monovalent.

    Args:
        env: the environment.
        state: B canvases, at least one, all with the same elements in the same slots.
        element: atomic number of the new atom.
        where: how many of these atoms can be the focus, None for all, and the largest distance
            from it, as a share of the covalent radii's sum.
        rng: the random numbers.
    """
    shape = (len(state), PROPOSALS)
    present = state.numbers[0, : state.n_atoms[0]]
    focus = rng.choice(np.flatnonzero(~MONOVALENT[present])[: where[0]], shape)
    radii = covalent_radii[element] + covalent_radii[present[focus]]
    way = rng.normal(size=(*shape, 3))
    reach = radii * rng.uniform(NEAREST, where[1], size=shape)
    way *= (reach / np.linalg.norm(way, axis=-1))[..., None]
    index = np.full(shape, env.elements.index(element))
    return np.concatenate([focus[..., None], index[..., None], way], axis=-1)


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

"""One round of learning from the model's own mistakes: what it pays best, labelled."""

import numpy as np
from pydantic import Field

from molrl.bags import Bag
from molrl.energy.data.adversarial import molecules_of_split, placement_attack
from molrl.energy.data.config import SMALL_BAGS
from molrl.energy.data.dataset import Dataset
from molrl.energy.data.episodes import greedy_episodes
from molrl.energy.data.held_out import read_identities
from molrl.energy.data.labels import Dropped, Progress, label
from molrl.energy.data.structures import Structure
from molrl.energy.interface import EnergyModel
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.config import Config


class RoundConfig(Config):
    """What to search for mistakes, and where to put them.

    Attributes:
        output: the ``.npz`` file.
        model: the energy model that is attacked.
        seed: of all random choices; another one for each round.
        molecules: half-built molecules attacked, at each guard.
        placements: random placements tried on each.
        guards: each a smallest distance, as a share of the covalent radii's sum. The small ones
            teach the model to be repulsive where the environment's guard does not look.
        episodes: greedy episodes, half with ``bags``, half with the bags of random molecules.
        bags: formulas, of elements that the model knows.
        held_out: a file of molecules that are not built upon; as for the data.
        guard: of the greedy episodes; the environment's.
        max_force: eV/Å; structures with a larger force are dropped.
        reference: the energy model that labels.
    """

    output: str
    model: str
    seed: int = Field(default=1, ge=0)
    molecules: int = Field(default=400, ge=1)
    placements: int = Field(default=200, ge=2)
    guards: tuple[float, ...] = (0.65, 0.55, 0.45, 0.35, 0.0)
    episodes: int = Field(default=300, ge=0)
    bags: tuple[str, ...] = SMALL_BAGS
    held_out: str | None = None
    guard: float = Field(default=0.65, ge=0, lt=1)
    max_force: float = Field(default=400.0, gt=0)
    reference: str = "gfn2"


def make_round(config: RoundConfig, progress: Progress) -> tuple[Dataset, Dropped]:
    """Attack the model and label what it likes; nothing is written.

    Only molecules of the train split are used, so that the test split still judges.

    Returns:
        The data, and what was found but not kept.

    Raises:
        InputError: if a bag has an element that the model does not know, or the file of held-out
            molecules is broken.
    """
    model, reference = load_energy(config.model), load_energy(config.reference)
    own = _own_bags(config, model)
    held_out = read_identities(config.held_out, progress)
    found: list[Structure] = []
    steps = len(config.guards) + 1
    for i, guard in enumerate(config.guards):
        report = placement_attack(
            model,
            reference,
            config.molecules,
            config.placements,
            seed=config.seed * len(config.guards) + i,
            guard=guard,
            split="train",
            held_out=held_out,
        )
        found += report.structures
        progress("attacking", i + 1, steps)
    bags = list(own)
    if n_drawn := config.episodes - len(own):
        mols = molecules_of_split(n_drawn, config.seed, "train", model.elements, held_out)
        bags += MoleculeBatch.from_rdkit(mols).bags()
    found += greedy_episodes(model, bags, config.placements // 2, config.seed, config.guard)
    progress("attacking", steps, steps)
    return label(found, reference, config.max_force, progress)


def _own_bags(config: RoundConfig, model: EnergyModel) -> list[Bag]:
    """A bag of the config's for every other episode."""
    for formula in config.bags:
        if not set(Bag(formula)) <= set(model.elements):
            raise InputError(f"bags: {formula} has an element that {model.name} does not know")
    rng = np.random.default_rng(config.seed)
    n = config.episodes // 2 if config.bags else 0
    return [Bag(str(formula)) for formula in rng.choice(config.bags, size=n)] if n else []

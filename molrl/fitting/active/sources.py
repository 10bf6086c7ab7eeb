"""Sources of active learning: searches for structures that a model should know better."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import split_of
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.relaxation import relax
from molrl.fitting.active.adversaries import Adversaries
from molrl.fitting.active.config import LearnConfig
from molrl.fitting.active.dynamics import hyperactive
from molrl.fitting.active.gradient_attack import N_STARTS, gradient_search
from molrl.fitting.data.adversarial import PlacementSearch, half_built_molecules, random_placements
from molrl.fitting.data.config import GUARD
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.episodes import greedy_episodes
from molrl.generation import Generator
from molrl.molecules import MoleculeBatch
from molrl.structures.structure import Structure, to_batch, to_structures

_PICKS = 3  # structures that a search finds on each molecule
_EXCESS = 3  # candidates for each label where the most uncertain are taken
_LOW_FORCE = 10.0  # eV/Å; dynamics and relaxations start from structures with no larger force
_DOWNHILL = 40  # steps; a relaxation is as informative there as at its end


@dataclass(frozen=True)
class Sources:
    """The sources of one round; each gives at most ``n`` structures of the train split.

    Args:
        config: of the learning.
        model: the model of the round, with its uncertainty.
        data: what it was fitted to.
        generators: external generators of molecules.
        held_out: identities of molecules that are kept out.
        number: of the round.
    """

    config: LearnConfig
    model: NetworkEnergy
    data: Dataset
    generators: Sequence[Generator]
    held_out: Collection[str]
    number: int

    def collect(self, progress: Callable[[str, int, int], None]) -> list[Structure]:
        """Return what all sources find, by the shares of the config; nothing is labelled."""
        found: list[Structure] = []
        counts = self.config.shares.counts(self.config.labels)
        for i, (name, count) in enumerate(counts.items(), start=1):
            if count:
                found += getattr(self, name)(count)
            progress(f"searching, round {self.number}", i, len(counts))
        return found

    def hyperactive(self, n: int) -> list[Structure]:
        """Run biased dynamics from well-known low-force structures; return their best frames."""
        chosen = self._low_force(_EXCESS * n, self._seed("hyperactive"))
        dynamics = self.config.dynamics
        molecules, _, _ = self.data.take(torch.from_numpy(chosen))
        known = (self._uncertainty(molecules) <= dynamics.tolerance).cpu().numpy()
        if not known.any():
            return []
        chosen, molecules = chosen[known], molecules[known]
        found = hyperactive(self.model, molecules, dynamics, self._seed("hyperactive"))
        structures = self._moved(found.molecules, chosen, "hyperactive")
        order = found.uncertainty.argsort(descending=True, stable=True)[:n].tolist()
        return [structures[i] for i in order if found.uncertainty[i] > -torch.inf]

    def placements(self, n: int) -> list[Structure]:
        """Search random placements for the lowest and highest energies, at all guards."""

        def search(molecules: list[Structure], seed: int, guard: float) -> PlacementSearch:
            starts, tried = random_placements(molecules, self.config.placements, seed, guard)
            return PlacementSearch.of(self.model, starts, tried)

        return self._search("placements", n, search)

    def gradient(self, n: int) -> list[Structure]:
        """Let placed atoms follow the model downhill, at all guards; return the ends."""
        return self._search(
            "gradient", n, lambda m, s, g: gradient_search(self.model, m, N_STARTS, s, g)
        )

    def episodes(self, n: int) -> list[Structure]:
        """Play greedy episodes; return their most uncertain states."""
        rng = np.random.default_rng(self._seed("episodes"))
        bags = [Bag(str(formula)) for formula in rng.choice(self.config.bags, size=max(1, n // 2))]
        tried = self.config.placements // 2
        states = greedy_episodes(self.model, bags, tried, self._seed("episodes"), GUARD)
        return self._most_uncertain([s for s in states if self._allowed(s)], n)

    def minima(self, n: int) -> list[Structure]:
        """Relax low-force structures of the data under the model.

        The reference finds forces there just where the model has none: along soft modes, and at
        minima that are not there.
        """
        chosen = self._low_force(n, self._seed("minima"))
        molecules, _, _ = self.data.take(torch.from_numpy(chosen))
        end = relax(molecules, self.model, max_steps=_DOWNHILL).molecules
        return self._moved(end, chosen, "minimum")

    def generated(self, n: int) -> list[Structure]:
        """Return the most uncertain molecules of external generators, whole and half-built."""
        rng = np.random.default_rng(self._seed("generated"))
        n_generated = (
            2 * len(self.generators) * len(self.config.generator_bags)
        )  # whole and half-built
        each = -(-_EXCESS * n // n_generated)
        made: list[Structure] = []
        for generator in self.generators:
            for formula in self.config.generator_bags:
                seed = self._seed(f"{generator.name} {formula}")
                molecules = generator.generate(formula, each, seed).molecules
                made += _named(molecules, f"walk:{formula}:{generator.name}-{seed}")
        made = [s for s in made if self._allowed(s)]
        prefixes = [s.only(np.arange(rng.integers(2, len(s) + 1)), s.kind) for s in made]
        return self._most_uncertain(made + prefixes, n)

    def crowds(self, n: int) -> list[Structure]:
        """Take crowds of atoms downhill behind the guard."""
        return self._adversaries.crowds(n, self._seed("crowds"))

    def hops(self, n: int) -> list[Structure]:
        """Hop between the minima of whole bags."""
        return self._adversaries.hops(n, self._seed("hops"))

    def clusters(self, n: int) -> list[Structure]:
        """Relax dimers and clusters of molecules, or run them at 300 K."""
        return self._adversaries.clusters(n, self._seed("clusters"))

    def overbound(self, n: int) -> list[Structure]:
        """Search compact clusters that the model binds too strongly."""
        return self._adversaries.overbound(n, self._seed("overbound"))

    def hacked(self, n: int) -> list[Structure]:
        """Search crowded episodes of high returns."""
        return self._adversaries.hacked(n, self._seed("hacked"))

    @cached_property
    def _adversaries(self) -> Adversaries:
        bags = [Bag(formula) for formula in self.config.bags]
        return Adversaries(self.model, bags, self.held_out)

    def _low_force(self, n: int, seed: int) -> np.ndarray:
        """Draw at most ``n`` structures of the train split with small forces; their indices."""
        chosen = self.data.split == self.data.splits.index("train")
        chosen &= (self.data.largest_force() <= _LOW_FORCE) & ~self.data.bound
        chosen &= self.data.molecules.n_atoms > 1
        index = torch.nonzero(chosen).flatten().numpy()
        return np.random.default_rng(seed).choice(index, min(n, len(index)), replace=False)

    def _moved(self, molecules: MoleculeBatch, origin: np.ndarray, kind: str) -> list[Structure]:
        """Return what structures ``origin`` of the data have become."""
        names = [self.data.identities[i] for i in self.data.identity[origin].tolist()]
        return to_structures(molecules, kind, names)

    def _allowed(self, structure: Structure) -> bool:
        name = structure.identity
        return split_of(name) == "train" and name not in self.held_out

    def _search(
        self, source: str, n: int, search: Callable[[list[Structure], int, float], PlacementSearch]
    ) -> list[Structure]:
        """Search on ``n`` / 3 half-built molecules, divided among the guards."""
        guards = self.config.guards
        n_molecules = -(-n // (_PICKS * len(guards)))
        found = []
        for guard in guards:
            seed = self._seed(f"{source} {guard}")
            molecules = half_built_molecules(
                n_molecules, seed, "train", self.model.elements, self.held_out
            )
            found.append(search(molecules, seed, guard))
        # The best of each molecule first, so that what is cut off is what matters least.
        ranked = [
            some[rank]
            for rank in range(_PICKS)
            for one in found
            for some in one.picks
            if rank < len(some)
        ]
        return ranked[:n]

    def _most_uncertain(self, structures: Sequence[Structure], n: int) -> list[Structure]:
        if not structures:
            return []
        uncertainty = self._uncertainty(to_batch(structures))
        order = uncertainty.argsort(descending=True, stable=True)[:n].tolist()
        return [structures[i] for i in order]

    def _uncertainty(self, molecules: MoleculeBatch) -> torch.Tensor:
        uncertainty = self.model.evaluate(molecules, uncertainty=True).uncertainty
        assert uncertainty is not None  # asked for, of a model that has one
        return uncertainty

    def _seed(self, source: str) -> int:
        """Derive a seed for each source and round."""
        words = [self.config.seed, self.number, *source.encode()]
        return int(np.random.SeedSequence(words).generate_state(1)[0] % 2**31)


def _named(molecules: MoleculeBatch, name: str) -> list[Structure]:
    """Name molecules by the identity that their coordinates give, or else by ``name``."""
    names = [smiles or f"{name}-{i}" for i, smiles in enumerate(validity(molecules).smiles)]
    return to_structures(molecules, "generated", names)

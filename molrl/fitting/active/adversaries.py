"""The attacks of :mod:`molrl.attacks` as searches for structures to label."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from ase.data import chemical_symbols

from molrl.attacks.descent import descend
from molrl.attacks.episodes import GuardedCanvases, search_episodes
from molrl.attacks.evolution import evolve
from molrl.attacks.hopping import Walkers
from molrl.attacks.room import Room, is_behind_guard
from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import split_of
from molrl.chemistry.monovalent import MONOVALENT
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.relaxation import relax
from molrl.fitting.active.config import DynamicsConfig
from molrl.fitting.active.dynamics import hyperactive
from molrl.fitting.data.complexes import ComplexDraws
from molrl.fitting.data.config import GUARD, DataConfig
from molrl.fitting.data.placements import interaction_energies
from molrl.fitting.data.starting import Bases, starting_molecules
from molrl.molecules import MoleculeBatch
from molrl.structures.crowds import draw_crowd, draw_ligands, pack_atoms, surround
from molrl.structures.structure import Structure, to_batch

_SEED_GUARD = 0.66  # of what is drawn, so that rounding leaves it behind GUARD
_HEAVY = 6  # heavy atoms of the molecules that are built on, at most
_TYPICAL = 300  # molecules that say what atoms are bound by
_LIGANDS, _REACH = (4, 14), 1.4  # of a central atom; of the covalent radii's sum
_SURROUNDED = 0.5  # of the crowds; the others are of any sort
_CROWD_STEPS = (10, 50)  # downhill; those in the middle are kept as well
_LEGS = (10, 30, 50)  # steps of a hop's relaxation, each of whose ends is kept
_ROUNDS, _SAME = 3, 1e-3  # hops of a walker; eV, of states that count as one
_TOGETHER = 32  # clusters relaxed in one batch
_SPARE = 1.3  # clusters drawn for each that is asked for; a tenth belong to other splits
_SETTLED = (8, 40)  # steps of a relaxation of clusters, a third of them each
_WARM = DynamicsConfig(steps=100, temperature=300.0, bias=0.0, tolerance=1e9)
_COMPACT = (4, 11)  # atoms
_SEARCHES = 12  # with other centres and reaches
_BEST = 2  # canvases of each beam


@dataclass(frozen=True)
class Adversaries:
    """Searches for what a model overbinds, on molecules of the train split.

    All that they return is neutral and behind the guard of the environments.

    Args:
        model: the model that is attacked, with its uncertainty.
        bags: bags of the searches besides those of molecules.
        held_out: identities of molecules that nothing is built on.
    """

    model: NetworkEnergy
    bags: Sequence[Bag]
    held_out: Collection[str]

    @cached_property
    def molecules(self) -> list[Structure]:
        """Return small molecules of the shipped set, without those of other splits or held out."""
        symbols = tuple(chemical_symbols[z] for z in self.model.elements if z > 1)
        config = DataConfig(output="", elements=symbols, max_heavy=_HEAVY, bags=())
        found = starting_molecules(config, self.held_out)
        return [m for m in found if split_of(m.identity) == "train" and not m.charge]

    def crowds(self, n: int, seed: int) -> list[Structure]:
        """Take crowds downhill along the guard; return the lowest ends and states on the way."""
        rng = np.random.default_rng(seed)
        starts: list[Structure] = []
        while len(starts) < n:  # each gives two, of which the lower half is kept
            crowd = self._crowd(rng)
            if crowd is not None and self._allowed(crowd):
                starts.append(crowd)
        padded = to_batch(starts).to_padded()
        numbers, x = padded["numbers"], padded["positions"]
        # Crowds stay together; what is on a canvas goes where it wants to.
        room = Room.of(numbers, GUARD, _REACH)
        held = torch.tensor([s.identity.startswith("crowd:") for s in starts])
        furthest = torch.maximum(room.furthest, (x - x[:, :1]).norm(dim=-1))
        room = Room(room.closest, furthest.masked_fill(~held[:, None], torch.inf))
        found: list[Structure] = []
        for steps in _CROWD_STEPS:
            end = descend(self.model, numbers, x, room, steps)
            x = end.positions
            found += [
                s.at(x[i, : len(s)].numpy(), "crowd")
                for i, s in enumerate(starts)
                if end.energy[i].isfinite()
            ]
        return self._lowest(self._guarded(found), n)

    def hops(self, n: int, seed: int) -> list[Structure]:
        """Hop between minima of bags; return minima and what is on the way, lowest first."""
        rng = np.random.default_rng(seed)
        n_walkers = max(2, -(-n // (_ROUNDS * len(_LEGS))))
        bags = [self._bag(rng) for _ in range(n_walkers)]
        walkers = Walkers(bags, GUARD, seed)
        found: list[Structure] = []
        for number in range(2 * _ROUNDS):  # some relaxations end inside the guard
            molecules = walkers.start()
            energy = np.zeros(0)
            for steps in _LEGS:
                end = relax(molecules, self.model, max_steps=steps)
                molecules, energy = end.molecules, end.energy.cpu().numpy()
                names = [f"walk:{b.formula}:hop-{seed}-{i}" for i, b in enumerate(bags)]
                found += self._named(molecules, "hop", names)
            walkers.accept(molecules, energy)
            if number >= _ROUNDS - 1 and len(found) >= 2 * n:
                break
        return self._lowest(found, n)

    def clusters(self, n: int, seed: int) -> list[Structure]:
        """Relax clusters and dimers of molecules for a while, or run them at 300 K."""
        draws = ComplexDraws(DataConfig(output="", seed=seed), Bases(molecules=self.molecules))
        half = int(np.ceil(_SPARE * n / 2))
        drawn = [s for s in [*draws.dimers(half), *draws.clusters(half)] if self._allowed(s)]
        thirds = [drawn[i::3] for i in range(3)]
        found = [
            s
            for some, steps in zip(thirds, _SETTLED, strict=False)
            for s in self._relaxed(some, steps)
        ]
        if thirds[2]:
            warm = hyperactive(self.model, to_batch(thirds[2]), _WARM, seed).molecules
            found += _at(thirds[2], warm)
        kept = self._guarded(found)
        order = np.random.default_rng(seed).permutation(len(kept))[:n]
        return [kept[i] for i in order]

    def overbound(self, n: int, seed: int) -> list[Structure]:
        """Search compact clusters of low energy and low uncertainty by an evolution strategy."""
        rng = np.random.default_rng(seed)
        starts: list[Structure] = []
        while len(starts) < n:
            few = rng.choice(self.model.elements, size=int(rng.integers(1, 4)))
            size = int(rng.integers(*_COMPACT))
            cluster = pack_atoms(rng.choice(few, size=size), rng, _SEED_GUARD)
            if self._allowed(cluster):
                starts.append(cluster)
        return self._guarded(evolve(self.model, starts, GUARD, seed))

    def hacked(self, n: int, seed: int) -> list[Structure]:
        """Crowd atoms in episodes; return all states of those of the highest returns."""
        rng = np.random.default_rng(seed)
        found: list[Structure] = []
        empty = GuardedCanvases.empty(self.model, GUARD)
        for number in range(n):  # most give ten states and more
            if len(found) >= n:
                break
            bag = self._bag(rng)
            if MONOVALENT[list(bag.numbers)].all():
                continue
            beam = search_episodes(empty, bag, int(rng.integers(_SEARCHES)), rng)
            best = MoleculeBatch.from_arrays(
                (beam.canvases.numbers, x) for x in beam.canvases.positions[:_BEST].astype(float)
            )
            name = f"walk:{bag.formula}:hacked-{seed}-{number}"
            for s in self._named(best, "hacked", [name] * len(best)):
                found += [s.only(np.arange(k), "hacked") for k in range(3, len(s) + 1)]
        return found[:n]

    @cached_property
    def _typical(self) -> np.ndarray:
        """What an atom of each element adds to the energy of a molecule in the model, ``(119,)``.

        eV, by least squares; a crowd that is bound by more than its atoms would be in molecules
        is one that the model overbinds.
        """
        some = self.molecules[:: -(-len(self.molecules) // _TYPICAL)]
        counts = np.array([np.bincount(s.numbers, minlength=119) for s in some])
        energies = interaction_energies(self.model, some)
        found: np.ndarray = np.linalg.lstsq(counts, energies, rcond=None)[0]
        return found

    def _crowd(self, rng: np.random.Generator) -> Structure | None:
        elements = self.model.elements
        if rng.random() < _SURROUNDED:
            ligands = draw_ligands(int(rng.integers(*_LIGANDS, endpoint=True)), elements, rng)
            return surround(int(rng.choice(elements)), ligands, rng, _SEED_GUARD)
        molecule = self.molecules[int(rng.integers(len(self.molecules)))]
        return draw_crowd(molecule, elements, rng, _SEED_GUARD)

    def _bag(self, rng: np.random.Generator) -> Bag:
        """A bag of the config, or of a molecule."""
        if len(self.bags) and rng.random() < 0.5:
            return self.bags[int(rng.integers(len(self.bags)))]
        return Bag(self.molecules[int(rng.integers(len(self.molecules)))].numbers)

    def _relaxed(self, structures: Sequence[Structure], steps: int) -> list[Structure]:
        """Structures after some steps downhill, with their parts; those alike in size together."""
        out: list[Structure] = []
        order = sorted(structures, key=len)
        for start in range(0, len(order), _TOGETHER):
            some = order[start : start + _TOGETHER]
            out += _at(some, relax(to_batch(some), self.model, max_steps=steps).molecules)
        return out

    def _named(self, molecules: MoleculeBatch, kind: str, names: Sequence[str]) -> list[Structure]:
        """Those behind the guard, under the identity that their coordinates give, or the name."""
        kept = [i for i, (z, x) in enumerate(molecules.arrays()) if is_behind_guard(z, x, GUARD)]
        if not kept:
            return []
        smiles = validity(molecules[kept]).smiles
        arrays = molecules.arrays()
        found = [
            Structure(*arrays[i], kind, smile or names[i])
            for i, smile in zip(kept, smiles, strict=True)
        ]
        return [s for s in found if self._allowed(s)]

    def _lowest(self, structures: Sequence[Structure], n: int) -> list[Structure]:
        """Those bound by most per atom beyond what is typical, by the model, each once."""
        if not structures:
            return []
        energy = interaction_energies(self.model, structures)
        excess = [
            (e - self._typical[s.numbers].sum()) / len(s)
            for e, s in zip(energy, structures, strict=True)
        ]
        out: list[Structure] = []
        seen: set[tuple[str, int]] = set()
        for i in np.argsort(excess):
            s = structures[i]
            key = (Bag(s.numbers).formula, round(float(np.nan_to_num(energy[i])) / _SAME))
            if np.isfinite(energy[i]) and key not in seen:
                seen.add(key)
                out.append(s)
        return out[:n]

    def _guarded(self, structures: Sequence[Structure]) -> list[Structure]:
        return [
            s
            for s in structures
            if np.isfinite(s.positions).all() and is_behind_guard(s.numbers, s.positions, GUARD)
        ]

    def _allowed(self, structure: Structure) -> bool:
        name = structure.identity
        return split_of(name) == "train" and name not in self.held_out


def _at(structures: Sequence[Structure], molecules: MoleculeBatch) -> list[Structure]:
    """Structures at other positions, with their parts."""
    arrays = molecules.arrays()
    return [s.at(x, s.kind) for s, (_, x) in zip(structures, arrays, strict=True)]

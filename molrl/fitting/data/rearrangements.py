"""Draws of torsions, of structures on the paths of reactions, and of distorted large molecules."""

from collections.abc import Iterator, Sequence

import numpy as np

from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.draws import draw_one, draw_shares, drawn
from molrl.fitting.data.starting import Bases
from molrl.structures.build import take_prefix
from molrl.structures.complexes import draw_dimer
from molrl.structures.distort import rattle
from molrl.structures.reactions import move_hydrogen, stretch_bond
from molrl.structures.structure import Structure
from molrl.structures.torsions import (
    RotatableBond,
    has_preferred_bond,
    rotatable_bonds,
    turn_random_bond,
)

_LARGE, _PREFERRED = 0.2, 0.75  # of the torsions; of the others
_TWO_BONDS = 0.25
_STRETCHED, _MOVED = 0.4, 0.3  # of the reactions; the others are of reactive species
_SPECIES = 0.4  # of the stretched and of those whose hydrogen moves
_DIMER = 0.5  # of the moved


class RearrangementDraws:
    """Draws of torsions and reactions of the molecules of a config.

    Args:
        config: the seed.
        bases: the molecules.
    """

    def __init__(self, config: DataConfig, bases: Bases) -> None:
        self._config = config
        self._bases = bases
        self._shares = draw_shares(bases.molecules)
        self._bonds: dict[str, list[RotatableBond]] = {}

    def torsions(self, count: int) -> Iterator[Structure]:
        """Draw ``count`` structures of kind ``torsion``."""
        names = [m.identity for m in self._bases.molecules] if count else []
        preferred = [i for i, name in enumerate(names) if has_preferred_bond(name)]

        def draw(rng: np.random.Generator) -> Structure | None:
            if self._bases.large and rng.random() < _LARGE:
                return self._turned(draw_one(self._bases.large, rng), rng)
            if preferred and rng.random() < _PREFERRED:
                at = preferred[int(rng.integers(len(preferred)))]
                return self._turned(self._bases.molecules[at], rng)
            return self._turned(draw_one(self._bases.molecules, rng), rng)

        return drawn(self._config, "torsion", count, draw)

    def reactions(self, count: int) -> Iterator[Structure]:
        """Draw ``count`` structures of kind ``reaction``."""
        return drawn(self._config, "reaction", count, self._reaction)

    def _turned(self, molecule: Structure, rng: np.random.Generator) -> Structure | None:
        """The molecule with one or two of its bonds turned by any angle."""
        bonds = self._bonds.get(molecule.identity)
        if bonds is None:
            bonds = self._bonds.setdefault(molecule.identity, rotatable_bonds(molecule))
        turned = turn_random_bond(molecule, bonds, rng)
        if turned is not None and rng.random() < _TWO_BONDS:
            turned = turn_random_bond(turned, bonds, rng)
        return turned

    def _reaction(self, rng: np.random.Generator) -> Structure | None:
        sort = rng.random()
        if sort < _STRETCHED:
            return stretch_bond(self._molecule(rng), rng)
        if sort < _STRETCHED + _MOVED:
            if self._bases.everywhere and rng.random() < _DIMER:
                first, second = (draw_one(self._bases.everywhere, rng) for _ in range(2))
                start = draw_dimer(first, second, rng)
            else:
                start = self._molecule(rng)
            return start and move_hydrogen(start, rng)
        if not self._bases.reactive:
            return None
        return self._of_species(draw_one(self._bases.reactive, rng), rng)

    def _molecule(self, rng: np.random.Generator) -> Structure:
        if self._bases.reactive and rng.random() < _SPECIES:
            return draw_one(self._bases.reactive, rng)
        molecules = self._bases.molecules
        return molecules[int(rng.choice(len(molecules), p=self._shares))]

    def _of_species(self, species: Structure, rng: np.random.Generator) -> Structure | None:
        """The species rattled, turned, half-built or stretched."""
        sort = rng.random()
        if sort < 0.35:
            return rattle(species, rng, rng.uniform(0.01, 0.15), "reaction")
        if sort < 0.7:
            changed = self._turned(species, rng) if sort < 0.55 else stretch_bond(species, rng)
        else:
            changed = take_prefix(species, rng)
        return changed and rattle(changed, rng, rng.uniform(0.0, 0.08), "reaction")


def distort_large(
    config: DataConfig, large: Sequence[Structure], count: int
) -> Iterator[Structure]:
    """Rattle large molecules by 0.02 to 0.1 Å, half of them after a bond is turned.

    Args:
        config: the seed.
        large: the molecules.
        count: how many to make.

    Returns:
        Structures of kind ``distorted large``.
    """

    def draw(rng: np.random.Generator) -> Structure | None:
        molecule: Structure | None = draw_one(large, rng)
        if rng.random() < 0.5:
            molecule = molecule and turn_random_bond(molecule, rotatable_bonds(molecule), rng)
        return molecule and rattle(molecule, rng, rng.uniform(0.02, 0.1), "distorted large")

    return drawn(config, "distorted large", count if large else 0, draw)

"""The placement attack: placements of too low energy by a model, checked by a reference.

An agent is an adversary that exploits errors of its reward. The attack does the same: of many
random placements of an atom on a half-built molecule it takes the one of lowest energy.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from rdkit import Chem

from molrl.chemistry.enumeration import VALENCES, random_molecules
from molrl.chemistry.identity import canonical_smiles
from molrl.chemistry.molecule_set import split_of
from molrl.energy.interface import EnergyModel
from molrl.errors import InputError
from molrl.fitting.data.config import GUARD
from molrl.fitting.data.placements import interaction_energies, placements
from molrl.molecules import MoleculeBatch
from molrl.structures.build import take_prefix
from molrl.structures.distort import rattle
from molrl.structures.structure import Structure

_OVERBOUND = 1.0  # eV
_RATTLE = 0.05  # Å


@dataclass(frozen=True)
class AttackReport:
    """The errors that an attack found.

    Errors are model minus reference, in the energy change of the placement. Below zero the
    placement is overbound, and an agent is rewarded for it.

    Attributes:
        errors: ``(n,)`` eV, of the placement of lowest energy on each half-built molecule.
        failed: molecules left out because the reference gave no energy for the placement.
        structures: of each molecule the placements of lowest and of highest energy, and the one
            furthest from the lowest among the lower half: structures to fit to, of kind
            ``adversarial``.
    """

    errors: np.ndarray
    failed: int
    structures: list[Structure]

    def summary(self) -> dict[str, float]:
        """Return the statistics by name; energies in eV."""
        errors = self.errors
        return {
            "molecules": len(errors),
            "failed": self.failed,
            "mean_error": float(errors.mean()),
            "mean_absolute_error": float(np.abs(errors).mean()),
            "worst_error": float(errors[np.abs(errors).argmax()]),
            "overbinding_99": float(-np.quantile(errors, 0.01)),
            "overbinding_max": float(-errors.min()),
            "overbound_share": float((errors < -_OVERBOUND).mean()),
        }


@dataclass(frozen=True)
class PlacementSearch:
    """Placements of low energy by a model, one list for each half-built molecule.

    Attributes:
        starts: the half-built molecules.
        picks: of each the placements of lowest and of highest energy, and the one furthest from
            the lowest among the lower half.
    """

    starts: list[Structure]
    picks: list[list[Structure]]

    @property
    def structures(self) -> list[Structure]:
        """Return all picks, molecule after molecule."""
        return [structure for some in self.picks for structure in some]

    @classmethod
    def of(
        cls,
        model: EnergyModel,
        starts: Sequence[Structure],
        tried: Sequence[Sequence[Structure]],
    ) -> "PlacementSearch":
        """Pick among the placements tried on each start by their energies.

        Args:
            model: the energy model that is searched.
            starts: the half-built molecules.
            tried: placements on each, one at least.
        """
        if not tried:
            return cls([], [])
        interaction = interaction_energies(
            model, [structure for some in tried for structure in some]
        )
        ends = np.cumsum([len(some) for some in tried])
        energies = np.split(interaction, ends[:-1])
        picks = [
            [some[i] for i in _pick(energy, some)]
            for energy, some in zip(energies, tried, strict=True)
        ]
        return cls(list(starts), picks)

    def check(self, model: EnergyModel, reference: EnergyModel) -> AttackReport:
        """Compare model and reference on the placement of lowest energy on each molecule.

        Raises:
            InputError: if the reference gives an energy for none.
        """
        best = [some[0] for some in self.picks]
        errors = _change(model, self.starts, best) - _change(reference, self.starts, best)
        known = np.isfinite(errors)
        if not known.any():
            raise InputError(
                "the attack found no placement for which the reference gives an energy"
            )
        return AttackReport(errors[known], int((~known).sum()), self.structures)


def placement_attack(
    model: EnergyModel,
    reference: EnergyModel,
    n_molecules: int = 100,
    n_placements: int = 200,
    seed: int = 0,
    guard: float = GUARD,
) -> AttackReport:
    """Take the placement of lowest energy by the model on each of many half-built molecules.

    Args:
        model: the energy model that is attacked.
        reference: the energy model that is right.
        n_molecules: half-built molecules of the test split to build upon.
        n_placements: random placements tried on each.
        seed: of all random choices.
        guard: placements nearer to any atom than this share of the covalent radii's sum are not
            tried, as in the environment; nor are any nearer than 0.3 Å.
    """
    molecules = half_built_molecules(n_molecules, seed, "test", model.elements)
    starts, tried = random_placements(molecules, n_placements, seed, guard)
    return PlacementSearch.of(model, starts, tried).check(model, reference)


def random_placements(
    molecules: Sequence[Structure], n_placements: int, seed: int, guard: float
) -> tuple[list[Structure], list[list[Structure]]]:
    """Draw placements on each molecule; molecules where the guard leaves no room are left out.

    Args:
        molecules: the half-built molecules.
        n_placements: placements tried on each.
        seed: of all random choices.
        guard: smallest distance to any atom as a share of the covalent radii's sum.

    Returns:
        The molecules that have room, and the placements on each.
    """
    starts, tried = [], []
    for i, start in enumerate(molecules):
        elements = np.union1d(start.numbers, [1])
        rng = np.random.default_rng([seed, i])
        some = placements(start, elements, n_placements, rng, guard)
        if some:
            starts.append(start)
            tried.append(some)
    return starts, tried


def molecules_of_split(
    n: int, seed: int, split: str, elements: Sequence[int], held_out: Collection[str]
) -> list[Chem.Mol]:
    """Draw molecules of one split, without those that are held out.

    Args:
        n: how many, all distinct.
        seed: of all random choices.
        split: ``train``, ``valid`` or ``test``.
        elements: atomic numbers that may occur; hydrogen always may.
        held_out: identities that may not occur.
    """
    symbols = tuple(s for s in VALENCES if s in {chemical_symbols[z] for z in elements})
    return random_molecules(
        n,
        seed,
        symbols,
        wanted=lambda smiles: split_of(smiles) == split and smiles not in held_out,
    )


def half_built_molecules(
    n: int,
    seed: int,
    split: str,
    elements: Sequence[int] = (1, 6, 7, 8),
    held_out: Collection[str] = frozenset(),
) -> list[Structure]:
    """Return slightly rattled prefixes of :func:`molecules_of_split`, each of another molecule."""
    mols = molecules_of_split(n, seed, split, elements, held_out)
    out = []
    for i, (mol, (numbers, positions)) in enumerate(
        zip(mols, MoleculeBatch.from_rdkit(mols).arrays(), strict=True)
    ):
        rng = np.random.default_rng([seed, i])
        whole = Structure(numbers, positions, "half-built", canonical_smiles(mol))
        prefix = take_prefix(whole, rng)
        out.append(rattle(prefix or whole, rng, _RATTLE, "half-built"))
    return out


def _pick(energy: np.ndarray, tried: Sequence[Structure]) -> list[int]:
    """The lowest, the highest, and the furthest from the lowest among the lower half."""
    order = np.argsort(energy)
    last = np.array([structure.positions[-1] for structure in tried])
    lower = order[: max(2, len(order) // 2)]
    far = np.linalg.norm(last[lower] - last[order[0]], axis=-1)
    return list(dict.fromkeys([int(order[0]), int(order[-1]), int(lower[far.argmax()])]))


def _change(
    model: EnergyModel, starts: Sequence[Structure], ends: Sequence[Structure]
) -> np.ndarray:
    """``(n,)`` eV: the energy change of each placement, relative to isolated atoms."""
    before = interaction_energies(model, starts)
    change: np.ndarray = interaction_energies(model, ends) - before
    return change

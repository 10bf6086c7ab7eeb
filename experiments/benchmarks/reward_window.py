"""Rewards of the steps that build real molecules, and how many such episodes the rules end.

python experiments/benchmarks/reward_window.py [MODEL ...]

Molecules relaxed with GFN2-xTB are placed atom by atom where their atoms are, in five orders:
*heavy first*, all heavy atoms along bonds, then the monovalent ones; *along bonds*, any atom that
is bonded to a placed one; *hydrogens early*, along bonds, each monovalent atom as soon as possible;
*within reach*, heavy atoms within 2.5 Å along each axis, bonded or not, and monovalent atoms bonded
to placed ones; and *moved*, along bonds, with every atom moved at random by 0.05 Å along each axis.
The molecules are a sample of the shipped ones, all shipped ones with two fluorine atoms or more,
all shipped sulfones and sulfoxides, and perfluorinated and hypervalent ones that are not shipped.

A reward is E(canvas) + E(atom) - E(canvas with the atom). The columns "ended by" are shares of the
episodes, each rule by itself. An episode is "right" if the energy of every canvas is within 0.1 eV
per atom of GFN2-xTB: those are what a limit on the uncertainty should let pass. Canvases without an
energy end an episode too; episodes with some are counted apart.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from record import record

from molrl.chemistry.bonds import bonded_atoms
from molrl.chemistry.embedding import from_smiles
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.chemistry.monovalent import MONOVALENT
from molrl.energy import EnergyModel, load_energy
from molrl.energy.relaxation import relax
from molrl.envs.config import MAX_UNCERTAINTY, Rules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

SEED, SAMPLE, REPEATS, CHUNK = 14, 250, 4, 512
ORDERS = ("heavy first", "along bonds", "hydrogens early", "within reach", "moved")
MOVED = 0.05  # Å
RIGHT = 0.1  # eV per atom
NOT_SHIPPED = (
    *("FS(F)(F)(F)(F)F", "FS(F)(F)F", "O=S(F)(F)(F)F", "FS(F)(F)(F)(F)C", "FS(F)(=O)=O", "FS(F)=O"),
    *("O=S(=O)(O)O", "CS(=O)(=O)C(F)(F)F", "NS(=O)(=O)C(F)(F)F", "O=S(=O)(O)C(F)(F)F"),
    *("FC(F)(F)F", "FC(F)(F)C(F)(F)F", "FC(F)(F)C(F)(F)C(F)(F)F", "FC(F)=C(F)F", "FN(F)F"),
    *("CC(F)(F)F", "OC(=O)C(F)(F)F", "FC(F)(F)c1ccccc1", "Fc1c(F)c(F)c(F)c(F)c1F"),
)


@dataclass(frozen=True)
class Episode:
    """A molecule with its atoms in the order of their placement.

    Attributes:
        group: of the molecule.
        order: one of :data:`ORDERS`.
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float64, Å.
    """

    group: str
    order: str
    numbers: np.ndarray
    positions: np.ndarray

    @property
    def size(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    def lengths(self) -> np.ndarray:
        """Return ``(n, n)`` distances, Å; infinite on the diagonal."""
        lengths = np.linalg.norm(self.positions[:, None] - self.positions, axis=-1)
        np.fill_diagonal(lengths, np.inf)
        return lengths

    def clashes(self, rules: Rules) -> bool:
        """Return whether two atoms clash."""
        radii = covalent_radii[self.numbers]
        contact = rules.clash_fraction * (radii[:, None] + radii)
        return bool((self.lengths() < np.maximum(contact, rules.clash_distance)).any())

    def has_far_monovalent(self, rules: Rules) -> bool:
        """Return whether a monovalent atom is placed too far from the other kinds of atoms."""
        near = self.lengths() < (rules.monovalent_distance or np.inf)
        partner = np.tril(near & ~MONOVALENT[self.numbers]).any(1)
        return bool((MONOVALENT[self.numbers] & ~partner)[1:].any())


def draw_order(
    numbers: np.ndarray, positions: np.ndarray, order: str, rng: np.random.Generator
) -> np.ndarray:
    """Return ``(n,)`` int64, the atoms of a connected molecule in a random order of one kind."""
    molecule = MoleculeBatch.from_arrays([(numbers, positions)])
    bonded = np.zeros((len(numbers), len(numbers)), bool)
    bonded[tuple(bonded_atoms(molecule)[0].T)] = True
    bonded |= bonded.T
    light, linked = MONOVALENT[numbers], bonded
    if order == "within reach":
        near = (np.abs(positions[:, None] - positions) <= Rules().max_displacement).all(-1)
        linked = np.where(light[:, None], bonded, near | bonded)
    preferred = {"heavy first": ~light, "hydrogens early": light}.get(order, light | ~light)
    placed = [int(rng.choice(np.flatnonzero(~light)))]
    while len(placed) < len(numbers):
        open_ = linked[:, placed].any(1)
        open_[placed] = False
        wanted = open_ & preferred if (open_ & preferred).any() else open_
        placed.append(int(rng.choice(np.flatnonzero(wanted))))
    return np.array(placed)


def molecules() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the group, the atomic numbers and the positions of each molecule."""
    shipped, rng = shipped_molecules(), np.random.default_rng(SEED)
    heavy = [i for i, z in enumerate(shipped.molecules.arrays()) if (~MONOVALENT[z[0]]).any()]
    groups = {
        "shipped": rng.choice(heavy, SAMPLE, replace=False).tolist(),
        "two or more F": [i for i in heavy if shipped.identities[i].count("F") >= 2],
        "S=O": [i for i in heavy if "S(=O)" in shipped.identities[i]],
    }
    for group, rows in groups.items():
        for numbers, positions in shipped.molecules[rows].arrays():
            yield group, numbers, positions.astype(float)
    embedded = MoleculeBatch.from_rdkit([from_smiles(s, SEED) for s in NOT_SHIPPED])
    for numbers, positions in relax(embedded, "gfn2").molecules.arrays():
        yield from [("perfluorinated, hypervalent", numbers, positions)] * REPEATS


def episodes() -> list[Episode]:
    found = []
    for i, (group, numbers, positions) in enumerate(molecules()):
        for order in ORDERS:
            rng = np.random.default_rng([SEED, i, ORDERS.index(order)])
            rows = draw_order(numbers, positions, order, rng)
            placed = positions[rows]
            if order == "moved":
                placed = placed + rng.normal(scale=MOVED, size=placed.shape)
            found.append(Episode(group, order, numbers[rows], placed))
    return found


@dataclass(frozen=True)
class Steps:
    """Steps of one episode from the second atom on.

    Attributes:
        rewards: ``(n - 1,)`` float64, eV; NaN where an energy failed.
        energy: ``(n - 1,)`` float64, eV per atom, relative to the isolated atoms.
        uncertainty: ``(n - 1,)`` float64; -inf where the model offers none.
    """

    rewards: np.ndarray
    energy: np.ndarray
    uncertainty: np.ndarray

    def is_right(self, reference: "Steps") -> bool:
        """Return whether all energies that both have are near those of the reference."""
        errors = np.abs(self.energy - reference.energy)
        return bool((errors[np.isfinite(errors)] <= RIGHT).all())


def evaluate(built: Sequence[Episode], model: EnergyModel) -> list[Steps]:
    """Evaluate every canvas of each episode."""
    canvases = [(e.numbers[:n], e.positions[:n]) for e in built for n in range(1, e.size + 1)]
    energy, uncertainty = [], []
    with progress(len(canvases), f"canvases by {model.name}") as bar:
        for start in range(0, len(canvases), CHUNK):
            batch = MoleculeBatch.from_arrays(canvases[start : start + CHUNK])
            output = model.evaluate(batch, uncertainty=True)
            energy.append((output.energy - model.isolated_energy(batch)).cpu().numpy())
            scores = output.uncertainty
            none = np.full(len(batch), -np.inf)
            uncertainty.append(none if scores is None else scores.cpu().numpy())
            bar.update(start + len(batch))
    ends = np.cumsum([e.size for e in built])[:-1]
    energies, scored = (np.split(np.concatenate(x), ends) for x in (energy, uncertainty))
    return [
        Steps(-np.diff(e), (e / np.arange(1, len(e) + 1))[1:], u[1:])
        for e, u in zip(energies, scored, strict=True)
    ]


Row = dict[str, object]


def rewards_row(steps: Sequence[Steps]) -> Row:
    """Return quantiles of the rewards, and of the largest uncertainty of each episode."""
    rewards = np.concatenate([s.rewards for s in steps])
    rewards = rewards[np.isfinite(rewards)]
    names = ("least", "0.1 %", "1 %", "median", "99 %", "99.9 %", "largest")
    quantiles = np.quantile(rewards, [0, 0.001, 0.01, 0.5, 0.99, 0.999, 1])
    highest = [s.uncertainty.max(initial=-np.inf) for s in steps]
    uncertainty = float(np.quantile(highest, 0.99, method="nearest"))
    return {
        "steps": len(rewards),
        **{f"{n} reward, eV": float(q) for n, q in zip(names, quantiles, strict=True)},
        "99 % of largest uncertainty": uncertainty if np.isfinite(uncertainty) else None,
    }


def endings_row(
    built: Sequence[Episode], steps: Sequence[Steps], reference: Sequence[Steps], rules: Rules
) -> Row:
    """Return the shares of the episodes that each rule ends, in per cent."""
    highest, limit = rules.max_reward or np.inf, np.inf
    if isinstance(rules.max_uncertainty, float):
        limit = rules.max_uncertainty
    uncertain = np.array([(s.uncertainty > limit).any() for s in steps])
    ended = {
        "clash": [e.clashes(rules) for e in built],
        "monovalent atom": [e.has_far_monovalent(rules) for e in built],
        "min_reward": [(s.rewards < rules.min_reward).any() for s in steps],
        "max_reward": [(s.rewards > highest).any() for s in steps],
        "max_uncertainty": uncertain,
    }
    right = np.array([s.is_right(of) for s, of in zip(steps, reference, strict=True)])
    failed = np.array([np.isnan(s.rewards).any() for s in steps])
    by_any = np.any(list(ended.values()), axis=0)
    return {
        **{f"ended by {rule}, %": share(np.array(by)) for rule, by in ended.items()},
        "ended, %": share(by_any),
        "right, %": share(right),
        "right ones ended, %": share(by_any[right]),
        "wrong ones ended by max_uncertainty, %": share(uncertain[~right]),
        "without an energy, %": share(failed),
    }


def share(which: np.ndarray) -> float | None:
    return 100 * float(which.mean()) if len(which) else None


def subsets(built: Sequence[Episode]) -> dict[str, list[int]]:
    """Return the episodes of all, each group and each order, by name."""
    every = {"all": list(range(len(built)))}
    for attribute in ("group", "order"):
        for i, episode in enumerate(built):
            every.setdefault(getattr(episode, attribute), []).append(i)
    return every


def main(names: Sequence[str]) -> None:
    built, rows = episodes(), []
    reference = evaluate(built, load_energy("gfn2"))
    for name in names or ("gfn2", "mace"):
        model = load_energy(name)
        rules = Rules().resolved(model.offers_uncertainty)
        steps = reference if name == "gfn2" else evaluate(built, model)
        for subset, of in subsets(built).items():
            here, their = [steps[i] for i in of], [reference[i] for i in of]
            endings = endings_row([built[i] for i in of], here, their, rules)
            row: Row = {"model": name, "molecules": subset, "episodes": len(of)}
            rows.append(row | rewards_row(here) | endings)
    window = f"{Rules().min_reward} to {Rules().max_reward} eV"
    record(
        "reward_window",
        f"Steps that build real molecules; allowed: rewards of {window}, where the model offers an "
        f"uncertainty up to {MAX_UNCERTAINTY}",
        rows,
    )


if __name__ == "__main__":
    main(sys.argv[1:])

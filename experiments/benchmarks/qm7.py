"""Common parts of the QM7 benchmarks: molecules, their identities, and energies with progress.

QM7 is 7,101 real molecules of H, C, N, O and S with up to 7 heavy atoms (Rupp, Tkatchenko, Müller
and von Lilienfeld, Phys. Rev. Lett. 108, 058301 (2012)). It is not part of molrl: the
benchmarks take an extended XYZ file of it.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch

from molrl.chemistry.bonds import validity
from molrl.energy import EnergyModel
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

CHUNK = 100  # molecules between two updates of the progress
BLUE, RED = "#1f6f8b", "#c8553d"


@dataclass(frozen=True)
class Molecules:
    """Molecules of a file, without those that cannot be used.

    Attributes:
        molecules: the molecules to use.
        left_out: number of the others by reason.
    """

    molecules: MoleculeBatch
    left_out: Counter[str]

    def __len__(self) -> int:
        return len(self.molecules)

    def without(self, unwanted: np.ndarray, reason: str) -> "Molecules":
        """Return the molecules without ``unwanted (n_molecules,)`` bool."""
        left_out = self.left_out + Counter({reason: int(unwanted.sum())})
        return replace(
            self, molecules=self.molecules[torch.from_numpy(~unwanted)], left_out=left_out
        )

    def formulas(self) -> np.ndarray:
        """Return the formula of each molecule, ``(n_molecules,)`` str."""
        return np.array([bag.formula for bag in self.molecules.bags()])

    def having(self, number: int) -> np.ndarray:
        """Return which molecules contain an element, ``(n_molecules,)`` bool."""
        return self.molecules.sum_atoms((self.molecules.numbers == number).long()).numpy() > 0

    def describe(self) -> str:
        """Return how many molecules there are, and how many were left out and why."""
        lost = [f"{count} with {reason}" for reason, count in self.left_out.items()]
        return f"{len(self)} molecules of QM7" + (f", without {' and '.join(lost)}" if lost else "")


def known_molecules(path: str, model: EnergyModel) -> Molecules:
    """Read the molecules of a file whose elements the model knows."""
    molecules = read_molecules(path)
    foreign = ~torch.isin(molecules.numbers, torch.tensor(model.elements))
    unknown = molecules.sum_atoms(foreign.long()).numpy() > 0
    return Molecules(molecules, Counter()).without(unknown, "elements unknown to the model")


def identities(molecules: MoleculeBatch, what: str) -> np.ndarray:
    """Return the canonical SMILES perceived from the coordinates, ``(n_molecules,)``, or ``""``."""
    found: list[str] = []
    with progress(len(molecules), f"identities, {what}") as bar:
        for start in range(0, len(molecules), CHUNK):
            smiles = validity(molecules[start : start + CHUNK]).smiles
            found += [name or "" for name in smiles]
            bar.update(len(found))
    return np.array(found, dtype=str)


def evaluate(model: EnergyModel, molecules: MoleculeBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return ``energy (n_molecules,)``, eV, NaN if it failed, and ``forces (n_atoms_total, 3)``."""
    energy, forces = np.full(len(molecules), np.nan), np.zeros((len(molecules.numbers), 3))
    done = atoms = 0
    with progress(len(molecules), model.name) as bar:
        while done < len(molecules):
            chunk = molecules[done : done + CHUNK]
            out = model.evaluate(chunk, forces=True)
            assert out.forces is not None  # asked for
            energy[done : done + len(chunk)] = out.energy.cpu()
            forces[atoms : atoms + len(chunk.numbers)] = out.forces.cpu()
            done, atoms = done + len(chunk), atoms + len(chunk.numbers)
            bar.update(done)
    return energy, forces

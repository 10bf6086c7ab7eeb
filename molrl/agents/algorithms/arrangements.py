"""Archive of what the tasks with points to fill or refills of the bag build."""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from torch import Tensor

from molrl.agents.algorithms.archive import Admission, Archive, Isomer
from molrl.agents.algorithms.replay import Replay
from molrl.chemistry.bonds import Validity
from molrl.energy.interface import EnergyModel
from molrl.molecules import MoleculeBatch

_WIDTH = 0.05  # eV; arrangements of the same molecules and of closer returns are alike


class Arrangements(Archive):
    """Relaxed molecules in the frame of a shape, or around a solute, sampled by their returns.

    Their identity is that of the molecules and the return, which tells how they lie. Minus the
    return of the task's reward, with all its terms, takes the place of the energy.

    Args:
        model: the energy model, by which molecules are relaxed.
        admission: what is taken.
        replay: by which the returns are computed.
    """

    def __init__(self, model: EnergyModel, admission: Admission, replay: Replay) -> None:
        self._replay, self._instance = replay, replay.problem.task.examples[0]
        super().__init__(model, admission)

    def _counts(self, molecules: MoleculeBatch) -> NDArray[np.int64]:
        """Return zeros: what relaxes to the same arrangement is not known before."""
        return np.zeros(len(molecules), np.int64)

    def _valid(self, molecules: MoleculeBatch, energy: Tensor) -> list[Isomer]:
        """Return what is whole and can be built again, with minus its return as its energy."""
        found = super()._valid(molecules, energy)
        made = []
        for isomer, value in zip(found, self._replay.returns(found).tolist(), strict=True):
            if np.isfinite(value):
                name = f"{isomer.smiles} {_WIDTH * round(value / _WIDTH):.2f} eV"
                made.append(replace(isomer, smiles=name, energy=-value))
        return made

    def _whole(self, found: Validity) -> NDArray[np.bool_]:
        """Return where fragments are closed-shell, and the placed atoms molecules of the bag."""
        reasons = zip(found.reasons, found.n_fragments.tolist(), strict=True)
        closed = np.array([each in ("", f"{n} fragments") for each, n in reasons], bool)
        whole: NDArray[np.bool_] = closed & [self._in_parts(mol) for mol in found.mols]
        return whole

    def _in_parts(self, mol: Chem.Mol | None) -> bool:
        """Return whether the atoms that are not fixed make up one molecule for each bag."""
        if mol is None:
            return False
        wanted, n_fixed = Counter(self._instance.bag.numbers), len(self._instance.fixed)
        numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        parts = [part for part in Chem.GetMolFrags(mol) if part[-1] >= n_fixed]
        formulas = [Counter(numbers[i] for i in part) for part in parts]
        return formulas == (1 + self._instance.refills) * [wanted]

"""Spin-polarised GFN2-xTB energies through tblite, of the lower of two spin states.

Plain GFN2-xTB (Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652, 2019) has no
spin-dependent energy, and puts triplets such as CH2 and O2 above their singlets. Here the
interaction of unpaired electrons is added with the spin constants of Neugebauer et al., J. Comput.
Chem. 44, 2120 (2023).
"""

import hashlib
from collections import Counter
from dataclasses import replace
from importlib.metadata import version

import torch

from molrl.energy.gfn2 import MAX_ITERATIONS
from molrl.energy.output import EnergyOutput, Wanted
from molrl.energy.properties import is_of_atoms
from molrl.energy.semiempirical import SemiempiricalEnergy
from molrl.molecules import MoleculeBatch

TEMPERATURE = 300.0  # K, of the electrons
SPIN_POLARIZATION = 1.0
NO_HIGH_SPIN = "higher spin without an energy"  # a key of EnergyOutput.faults


class SpinGFN2Energy(SemiempiricalEnergy):
    """The lower of two spin states in spin-polarised GFN2-xTB; see :class:`SemiempiricalEnergy`.

    The two states are the batch's multiplicity, by default the lowest possible, and the next
    higher one. Forces and further properties are those of the state with the lower energy; where
    the two cross, the energy has a kink. Isolated atoms follow the same rule, which gives every
    main-group element its ground state by Hund's rules except boron, where the method itself puts
    the quartet lower. Fragments with more than two unpaired electrons in total, such as two
    nitrogen atoms 8 Å apart, are up to 5 eV above the sum of the fragments.

    A molecule whose lower multiplicity does not converge is a failure. One for which only the
    higher multiplicity does not converge keeps the energy of the lower, and is counted in
    ``faults``.

    Example:
        >>> from ase.build import molecule
        >>> model = SpinGFN2Energy(n_workers=1)
        >>> oxygen, triplet = molecule("O2"), molecule("O2")
        >>> oxygen.info["spin"], triplet.info["spin"] = 1, 3
        >>> energy = model.evaluate([oxygen, triplet]).energy
        >>> bool(abs(energy[0] - energy[1]) < 1e-4)  # the triplet is the ground state
        True
        >>> model.close()
    """

    implemented_properties = ("energy", "forces", "dipole", "energies", "charges")
    name = "spgfn2"
    # Without the lanthanides from cerium on: GFN2-xTB does not count their f electrons.
    elements = (*range(1, 58), *range(72, 87))
    worker = "xtb_worker.py"

    @property
    def hash(self) -> str:
        """A hash of the method, its settings and the version of tblite."""
        text = f"spGFN2-xTB tblite {version('tblite')} {MAX_ITERATIONS} {SPIN_POLARIZATION}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _worker_arguments(self, spin: int) -> tuple[int, int, float, float]:
        return spin - 1, MAX_ITERATIONS, TEMPERATURE, SPIN_POLARIZATION

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        n = len(molecules)
        higher = replace(molecules, spin=molecules.spin + 2)
        both = super()._evaluate(MoleculeBatch.cat([molecules, higher]), wanted)
        low, high = both.energy[:n], both.energy[n:]
        lost = int((low.isfinite() & ~high.isfinite()).sum())
        faults = both.faults + Counter({NO_HIGH_SPIN: lost})
        crossed = high < low  # False where one of them is NaN
        crossed_atoms = crossed[molecules.molecule]
        force = None if both.forces is None else _lower(both.forces, crossed_atoms)
        further = {
            name: _lower(values, crossed_atoms if is_of_atoms(name) else crossed)
            for name, values in both.properties.items()
        }
        failures = {i: reason for i, reason in both.failures.items() if i < n}
        energy = torch.where(crossed, high, low)
        return EnergyOutput(energy, force, properties=further, failures=failures, faults=faults)


def _lower(values: torch.Tensor, crossed: torch.Tensor) -> torch.Tensor:
    """Choose the rows of the higher spin, the second half of ``values``, where it is crossed."""
    of_low, of_high = values.chunk(2)
    return torch.where(crossed.reshape(-1, *[1] * (values.ndim - 1)), of_high, of_low)

"""Spin-polarised GFN2-xTB through tblite, in the lower of two spin states.

Plain GFN2-xTB has no energy that depends on the spin, and puts triplets such as CH2 and O2 above
their singlets. Here unpaired electrons interact by the spin constants of Neugebauer et al.,
J. Comput. Chem. 44, 2120 (2023), added to Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput.
15, 1652 (2019).
"""

import hashlib
from collections import Counter
from dataclasses import replace
from importlib.metadata import version

import torch

from molrl.energy.gfn2 import MAX_ITERATIONS
from molrl.energy.interface import EnergyOutput, Wanted
from molrl.energy.semiempirical import SemiempiricalEnergy
from molrl.molecules import MoleculeBatch

SPIN_POLARIZATION = 1.0
NO_HIGH_SPIN = "higher spin without an energy"  # among the faults


class SpinGFN2Energy(SemiempiricalEnergy):
    """The lower of two spin states in spin-polarised GFN2-xTB; see :class:`SemiempiricalEnergy`.

    The two are the batch's multiplicity, which is the lowest that there is unless it says
    otherwise, and the next higher one. Forces and dipole are those of the state that is lower;
    where the two cross, the energy has a kink. Isolated atoms follow the same rule, which gives
    every element of the main groups its ground state by Hund's rules, but for boron, where the
    method itself puts the quartet lower. Pieces with more than two unpaired electrons together,
    such as two nitrogen atoms 8 Å apart, are up to 5 eV above what they are alone.

    A molecule of which the lower multiplicity does not converge is a failure. One of which only
    the higher does not keeps the lower multiplicity's energy, and is counted in ``faults``.
    """

    implemented_properties = ("energy", "forces", "dipole")
    name = "spgfn2"
    elements = (*range(1, 58), *range(72, 87))  # lanthanides: f electrons are not counted
    worker = "xtb_worker.py"

    @property
    def hash(self) -> str:
        """Names the method, its settings and the library's version."""
        text = f"spGFN2-xTB tblite {version('tblite')} {MAX_ITERATIONS} {SPIN_POLARIZATION}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _worker_arguments(self, spin: int) -> tuple[int, int, float]:
        return spin - 1, MAX_ITERATIONS, SPIN_POLARIZATION

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        n = len(molecules)
        higher = replace(molecules, spin=molecules.spin + 2)
        both = super()._evaluate(MoleculeBatch.cat([molecules, higher]), wanted)
        low, high = both.energy[:n], both.energy[n:]
        lost = int((low.isfinite() & ~high.isfinite()).sum())
        faults = both.faults + Counter({NO_HIGH_SPIN: lost})
        crossed = high < low  # never where one of them is NaN
        force = None
        if both.forces is not None:
            of_low, of_high = both.forces.chunk(2)
            force = torch.where(crossed[molecules.molecule, None], of_high, of_low)
        further = {
            name: torch.where(crossed[:, None], values[n:], values[:n])
            for name, values in both.properties.items()
        }
        failures = {i: reason for i, reason in both.failures.items() if i < n}
        energy = torch.where(crossed, high, low)
        return EnergyOutput(energy, force, properties=further, failures=failures, faults=faults)

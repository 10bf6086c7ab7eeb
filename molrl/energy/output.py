"""What an evaluation of an energy model computes, and what it returns."""

from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Wanted:
    """What an evaluation must compute besides the energy.

    Attributes:
        forces: the forces on each atom.
        stress: the stress of each cell.
        descriptors: invariant features of each atom.
        uncertainty: the uncertainty of each atom and molecule, where the model offers it.
        properties: further properties, under ASE's names.

    Example:
        >>> Wanted(forces=True, properties=("dipole",)).stress
        False
    """

    forces: bool = False
    stress: bool = False
    descriptors: bool = False
    uncertainty: bool = False
    properties: tuple[str, ...] = ()


@dataclass
class EnergyOutput:
    """The result of :meth:`EnergyModel.evaluate`. All tensors are detached.

    Attributes:
        energy: ``(n_molecules,)`` float64, eV, total energy of the model; NaN where it failed.
        forces: ``(n_atoms_total, 3)`` float64, eV/Å; None unless requested.
        stress: ``(n_molecules, 3, 3)`` float64, eV/Å³, derivative of the energy with the strain
            over the volume; NaN for structures that are not periodic in three dimensions or have
            no atoms; None unless requested.
        descriptors: ``(n_atoms_total, n_features)`` floating, invariant features of each atom;
            None unless requested.
        uncertainty: ``(n_molecules,)`` float64, out-of-distribution score of each molecule, for
            networks on the scale of
            :meth:`molrl.energy.uncertainty.GaussianMixture.atom_uncertainty`; None unless
            requested and available.
        atom_uncertainty: ``(n_atoms_total,)`` float64, the same score of each atom; None likewise.
        properties: tensor of each further property requested, under ASE's names and in ASE's units
            ("dipole": ``(n_molecules, 3)`` float64, e Å): ``(n_molecules, ...)``, or
            ``(n_atoms_total, ...)`` for a property of atoms ("energies": eV; "charges": e); NaN
            where it failed.
        failures: index of each molecule whose energy failed, with the reason.
        faults: how often each kind of fault occurred during the evaluation, whether it was
            recovered from (a worker replaced, a batch halved) or is among the failures.

    Example:
        >>> EnergyOutput(torch.zeros(2), failures={1: "SCF not converged"}).forces is None
        True
    """

    energy: Tensor
    forces: Tensor | None = None
    stress: Tensor | None = None
    descriptors: Tensor | None = None
    uncertainty: Tensor | None = None
    atom_uncertainty: Tensor | None = None
    properties: dict[str, Tensor] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)

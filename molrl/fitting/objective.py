"""The loss of a fit: errors of energies and forces, compiled into few kernels if asked."""

import os
import shutil
from collections.abc import Sequence

import torch
from torch import Tensor

from molrl.energy.networks.interface import Graph
from molrl.energy.networks.potential import Potential
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

_ENERGY_WIDTH = 0.02  # eV per atom times its square root; smaller errors count as squares
_FORCE_WIDTH = 0.05  # eV/Å; likewise
_STEEP = 10.0  # eV/Å; errors of a structure with forces as large count half
_DUMMY_ATOMS = 2  # of each element; see with_dummy_molecule
_APART = 3.0  # Å between dummy atoms, so that most have two neighbours


class Objective:
    """The loss of labelled structures: pseudo-Huber in energy and in forces.

    The error of a structure whose largest force is F counts as 1 / (1 + F / 10 eV/Å): a clash must
    be known to be bad, an equilibrium must be known well.

    Args:
        potential: whose errors they are.
        energy_weight: weight of the energy's part.
        force_weight: weight of the forces' part.
        compiled: whether the loss and its gradient run as code that ``torch.compile`` makes at
            the first call, in two to five minutes: half the time a step on a CPU, and the same
            numbers except for rounding.

    Raises:
        InputError: if it shall be compiled for a CPU and there is no C++ compiler.
    """

    def __init__(
        self, potential: Potential, energy_weight: float, force_weight: float, compiled: bool
    ) -> None:
        if compiled and next(potential.network.parameters()).device.type == "cpu":
            _check_compiler()
        self.potential = potential
        self.energy_weight, self.force_weight = energy_weight, force_weight
        self.compiled = compiled
        self._errors = torch.compile(_errors, dynamic=True, fullgraph=True) if compiled else _errors

    def __call__(
        self, molecules: MoleculeBatch, energy: Tensor, forces: Tensor, largest_force: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the loss, and the mean errors of energy, eV/atom, and forces, eV/Å.

        Args:
            molecules: at least one, each of one atom or more, on the network's device.
            energy: ``(n_molecules,)`` eV, less that of the isolated atoms.
            forces: ``(n_atoms_total, 3)`` eV/Å.
            largest_force: ``(n_molecules,)`` eV/Å, the largest norm of an atom's force.
        """
        n_atoms = molecules.n_atoms
        shown = molecules
        if self.compiled:
            shown = with_dummy_molecule(molecules, self.potential.config.elements)
        graph = self.potential.network.graph(shown, torch.float32)
        energy_error, force_error = self._errors(self.potential, graph, energy, forces)
        energy_error = energy_error / n_atoms
        softness = 1 / (1 + largest_force / _STEEP)
        in_energy = _pseudo_huber(energy_error * softness * n_atoms.sqrt(), _ENERGY_WIDTH)
        in_forces = _pseudo_huber(force_error * softness[molecules.molecule], _FORCE_WIDTH)
        loss = self.energy_weight * in_energy.mean() + self.force_weight * in_forces.mean()
        return loss, energy_error.detach().mean(), force_error.detach().mean()


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise InputError(
            f"compiled: there is no C++ compiler {compiler}; install one, name one in CXX, "
            "or set compiled to false"
        )


def _errors(
    potential: Potential, graph: Graph, energy: Tensor, forces: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the sizes of errors: ``(n_molecules,)`` eV, ``(n_atoms_total,)`` eV/Å."""
    predicted, force = potential.predict(graph)
    wrong = force[: len(forces)] - forces
    # (the small number keeps the gradient of a force without error finite)
    return (predicted[: len(energy)] - energy).abs(), (wrong.square().sum(-1) + 1e-12).sqrt()


def with_dummy_molecule(molecules: MoleculeBatch, elements: Sequence[int]) -> MoleculeBatch:
    """Add a molecule: two atoms of each element in a line, each a neighbour of the next.

    Code is compiled for sizes of two and more. None or one atom of an element or neighbour of an
    atom are sizes that it would be compiled for again.
    """
    numbers = torch.tensor(elements, device=molecules.device).repeat_interleave(_DUMMY_ATOMS)
    positions = molecules.positions.new_zeros(len(numbers), 3)
    positions[:, 0] = _APART * torch.arange(len(numbers), device=molecules.device)
    n_atoms = molecules.n_atoms.new_tensor([len(numbers)])
    dummy = MoleculeBatch(numbers, positions, n_atoms)
    return MoleculeBatch.cat([molecules, dummy])


def _pseudo_huber(error: Tensor, width: float) -> Tensor:
    return width * ((1 + (error / width).square()).sqrt() - 1)

"""The loss of a fit: errors of energies, forces and what else is labelled, compiled if asked."""

import os
import shutil
from collections.abc import Sequence

import torch
from torch import Tensor

from molrl.energy.networks.interface import Graph, Prediction
from molrl.energy.networks.potential import Potential
from molrl.errors import InputError
from molrl.fitting.config import LossWeights
from molrl.fitting.data.dataset import Dataset
from molrl.molecules import MoleculeBatch

_ENERGY_WIDTH = 0.02  # eV per atom times its square root; smaller errors count as squares
_FORCE_WIDTH = 0.05  # eV/Å; likewise
_SITE_WIDTH = 0.2  # eV
_DIPOLE_WIDTH = 0.1  # e Å
_INTERACTION_WIDTH = 0.03  # eV
_STEEP = 10.0  # eV/Å; errors of a structure with forces as large count half
_DUMMY_ATOMS = 2  # of each element; see with_dummy_molecule
_APART = 3.0  # Å between dummy atoms, so that most have two neighbours
_PARTS = 1 << 20  # more than the molecules of any structure


class Objective:
    """The loss of labelled structures: pseudo-Huber in each label.

    The error of a structure whose largest force is F counts as 1 / (1 + F / 10 eV/Å): a clash must
    be known to be bad, an equilibrium must be known well. Where the label is a lower bound of the
    energy, a higher energy is no error, and forces have none.

    Args:
        potential: whose errors they are.
        weights: of the parts.
        compiled: whether the potential and its gradient run as code that ``torch.compile`` makes
            at the first call, in two to five minutes: half the time a step on a CPU, and the same
            numbers except for rounding.

    Raises:
        InputError: if it shall be compiled for a CPU and there is no C++ compiler.
    """

    def __init__(self, potential: Potential, weights: LossWeights, compiled: bool) -> None:
        if compiled and next(potential.network.parameters()).device.type == "cpu":
            _check_compiler()
        self.potential, self.weights, self.compiled = potential, weights, compiled
        self._predict = (
            torch.compile(_predict, dynamic=True, fullgraph=True) if compiled else _predict
        )

    def __call__(self, data: Dataset, energy: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss, and mean absolute errors by name.

        Args:
            data: at least one structure, each of one atom or more, on the network's device.
            energy: ``(n_structures,)`` eV, less that of the isolated atoms.

        Returns:
            The loss, and the mean errors of the energy, eV/atom, and of the force on an atom, eV/Å.
        """
        molecules = data.molecules
        parts, owner = parts_of(data)
        shown = MoleculeBatch.cat([molecules, parts]) if len(parts) else molecules
        if self.compiled:
            shown = with_dummy_molecule(shown, self.potential.config.elements)
        graph = self.potential.graph(shown, torch.float32)
        found = Prediction(**self._predict(self.potential, graph))
        alone = found.energy[len(data) : len(data) + len(parts)]
        interaction = found.energy[: len(data)].index_add(0, owner, -alone)
        found = self._of(found, data)
        n_atoms, weights = molecules.n_atoms, self.weights
        softness = 1 / (1 + data.largest_force() / _STEEP)
        on_atoms = softness[molecules.molecule]
        energy_error = _above(found.energy - energy, data.bound) / n_atoms
        loss = weights.energy_weight * _mean_huber(
            energy_error * softness * n_atoms.sqrt(), _ENERGY_WIDTH
        )
        assert found.forces is not None  # of predict
        wrong = (found.forces - data.forces) * ~data.bound[molecules.molecule].unsqueeze(-1)
        # (the small number keeps the gradient of a force without error finite)
        force_error = (wrong.square().sum(-1) + 1e-12).sqrt()
        loss = loss + weights.force_weight * _mean_huber(force_error * on_atoms, _FORCE_WIDTH)
        if found.site_energy is not None:
            error = _known(found.site_energy - data.site_energy) * on_atoms
            loss = loss + weights.site_weight * _mean_huber(error, _SITE_WIDTH)
        if found.charges is not None:
            error = _known(self._dipole(found.charges, molecules) - data.dipole)
            loss = loss + weights.dipole_weight * _mean_huber(
                error * softness.unsqueeze(-1), _DIPOLE_WIDTH
            )
        if len(parts):
            n_parts = torch.bincount(owner, minlength=len(data)).clamp(min=2)
            error = _known(interaction - data.interaction) * softness * (2 / n_parts).sqrt()
            loss = loss + weights.interaction_weight * _mean_huber(error, _INTERACTION_WIDTH)
        errors = {
            "energy_error": energy_error.detach().abs().mean(),
            "force_error": force_error.detach().mean(),
        }
        return loss, errors

    def _of(self, found: Prediction, data: Dataset) -> Prediction:
        """What was predicted of the structures, without that of their parts and the dummy."""
        n_atoms = len(data.molecules.numbers)

        def atoms(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[:n_atoms]

        return Prediction(
            found.energy[: len(data)],
            found.features[:n_atoms],
            atoms(found.forces),
            atoms(found.site_energy),
            atoms(found.charges),
        )

    def _dipole(self, charges: Tensor, molecules: MoleculeBatch) -> Tensor:
        """Sum charges times positions, ``(n_molecules, 3)`` e Å."""
        moments = charges.unsqueeze(-1) * molecules.positions
        out = moments.new_zeros(len(molecules), 3)
        return out.index_add(0, molecules.molecule, moments)


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise InputError(
            f"compiled: there is no C++ compiler {compiler}; install one, name one in CXX, "
            "or set compiled to false"
        )


def _predict(potential: Potential, graph: Graph) -> dict[str, Tensor]:
    """Predict what the potential has; a dictionary, which compiled code may return."""
    return {k: v for k, v in potential.predict(graph)._asdict().items() if v is not None}


def parts_of(data: Dataset) -> tuple[MoleculeBatch, Tensor]:
    """Take the structures whose interaction energy is known apart into their molecules.

    Args:
        data: the structures.

    Returns:
        The molecules, each alone, and ``(n_parts,)`` int64, the structure each is of.
    """
    molecules = data.molecules
    whole = torch.isfinite(data.interaction)
    atoms = torch.nonzero(whole[molecules.molecule]).flatten()
    key = molecules.molecule[atoms] * _PARTS + data.part[atoms]
    key, order = torch.sort(key, stable=True)
    of_part, n_atoms = torch.unique_consecutive(key, return_counts=True)
    atoms = atoms[order]
    parts = MoleculeBatch(molecules.numbers[atoms], molecules.positions[atoms], n_atoms)
    return parts, of_part // _PARTS


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


def _above(error: Tensor, bound: Tensor) -> Tensor:
    """Errors of energies, without those that are above a lower bound."""
    return torch.where(bound, error.clamp(max=0.0), error)


def _known(error: Tensor) -> Tensor:
    """Errors with 0 where there is no label, which is NaN."""
    return torch.where(torch.isnan(error.detach()), torch.zeros_like(error), error)


def _mean_huber(error: Tensor, width: float) -> Tensor:
    return (width * ((1 + (error / width).square()).sqrt() - 1)).mean()

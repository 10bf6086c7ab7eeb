"""The check of an energy model."""

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.energy.properties import is_of_atoms
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.testing.rules import (
    copy_of,
    molecules_of,
    random_rotation,
    require,
    require_close,
    require_unchanged,
    rule,
)

_ENERGY = 1e-3  # eV, the noise of float32 and of an SCF
_FORCE = 0.02  # eV/Å
_STEP = 0.01  # Å, of the numerical derivative
_BOX = 8.0  # Å, of a periodic cell
_STRAIN = 2e-3
_WORK = 0.1  # eV per unit of strain
# Weights of the energies at -2, -1, 1 and 2 steps: the error is of the fourth order in the step.
_STENCIL = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}


def check_energy_model(obj: EnergyModel | BaseCalculator | str, *, seed: int = 0) -> None:
    """Check that an energy model keeps the contract of :class:`molrl.energy.EnergyModel`.

    The rules, in this order: it declares a name, a hash and ascending elements; energies are
    ``(n_molecules,)`` float64 and finite or listed as failed, which not all are; the input is not
    changed; a batch gives the energies of its molecules one by one, and in any order; a molecule
    without atoms has energy 0; energies do not depend on translation, rotation or the order of
    atoms; an unknown element is refused; forces rotate, and are minus the gradient where the model
    is conservative; stress likewise, where it takes cells; every declared property, descriptor and
    uncertainty has its shape.

    Args:
        obj: the model, its registered name, or an ASE calculator.
        seed: of the molecules, which are small and of the elements of the model.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_energy_model("mace")
    """
    with rule("it is an EnergyModel, an ASE calculator or the name of one"):
        model = load_energy(obj)
    _check_declarations(model)
    rng = np.random.default_rng(seed)
    molecules = molecules_of(model.elements, rng)
    energy = _check_energies(model, molecules)
    _check_symmetry(model, molecules, energy, rng)
    _check_refusal(model)
    if "forces" in model.implemented_properties:
        _check_forces(model, molecules, rng)
    if model.takes_cells and "stress" in model.implemented_properties:
        _check_stress(model, molecules[:1], rng)
    _check_further(model, molecules)


def _check_declarations(model: EnergyModel) -> None:
    with rule("name and hash are strings that are not empty"):
        require(isinstance(model.name, str) and model.name, f"name is {model.name!r}")
        require(isinstance(model.hash, str) and model.hash, f"hash is {model.hash!r}")
    with rule("elements are ascending atomic numbers, at least one"):
        elements = list(model.elements)
        require(elements and elements == sorted(set(elements)) and elements[0] > 0, f"{elements}")
    with rule("implemented_properties has energy"):
        require("energy" in model.implemented_properties, f"{model.implemented_properties}")
    with rule("atom_energies has every element"):
        require(set(model.atom_energies()) >= set(elements), "some are missing")


def _check_energies(model: EnergyModel, molecules: MoleculeBatch) -> Tensor:
    n, before = len(molecules), copy_of(molecules)
    with rule("energies are (n_molecules,) float64 without a gradient"):
        output = model.evaluate(molecules)
        energy = output.energy
        require(energy.shape == (n,), f"shape {tuple(energy.shape)} for {n} molecules")
        require(energy.dtype == torch.float64, f"{energy.dtype}")
        require(not energy.requires_grad, "it requires a gradient")
    with rule("an energy that is NaN is among the failures, and no other"):
        missing = set(torch.nonzero(~energy.isfinite()).flatten().tolist())
        require(missing == set(output.failures), f"{missing} against {output.failures}")
    with rule("not every molecule fails"):
        require(len(output.failures) < n, next(iter(output.failures.values()), ""))
    with rule("the molecules of a batch are not changed"):
        require_unchanged(molecules, before)
    with rule("a batch gives the energies of its molecules one by one"):
        single = torch.cat([model.evaluate(molecules[i]).energy for i in range(n)])
        require_close(single, energy, _ENERGY, "eV")
    with rule("a molecule without atoms has energy 0"):
        batch = MoleculeBatch.cat([molecules[:1], MoleculeBatch.from_ase(Atoms())])
        require_close(
            model.evaluate(batch).energy, torch.cat([energy[:1].cpu(), _zeros(1)]), _ENERGY
        )
    with rule("a batch in another order gives the same energies"):
        order = torch.arange(n).flip(0)
        require_close(model.evaluate(molecules[order]).energy, energy.cpu()[order], _ENERGY, "eV")
    return energy


def _check_symmetry(
    model: EnergyModel, molecules: MoleculeBatch, energy: Tensor, rng: np.random.Generator
) -> None:
    positions = molecules.positions
    with rule("the energy does not change when a molecule is moved"):
        moved = replace(molecules, positions=positions + torch.tensor([3.0, -2.0, 1.0]))
        require_close(model.evaluate(moved).energy, energy, _ENERGY, "eV")
    with rule("the energy does not change when a molecule is rotated"):
        turned = replace(molecules, positions=positions @ random_rotation(rng).T)
        require_close(model.evaluate(turned).energy, energy, _ENERGY, "eV")
    with rule("the energy does not depend on the order of the atoms"):
        arrays = [(numbers[::-1], x[::-1]) for numbers, x in molecules.arrays()]
        require_close(
            model.evaluate(MoleculeBatch.from_arrays(arrays)).energy, energy, _ENERGY, "eV"
        )


def _check_refusal(model: EnergyModel) -> None:
    unknown = [z for z in range(1, 100) if z not in model.elements][:1]
    with rule("an element that it does not know is refused with an InputError"):
        for number in unknown:
            try:
                model.evaluate(Atoms([number], [[0, 0, 0]]))
            except InputError:
                continue
            raise AssertionError(f"element {number} was not refused")


def _check_forces(model: EnergyModel, molecules: MoleculeBatch, rng: np.random.Generator) -> None:
    with rule("forces are (n_atoms, 3) without a gradient"):
        forces = model.evaluate(molecules, forces=True).forces
        require(forces is not None, "there are none")
        assert forces is not None  # for the type checker
        require(forces.shape == molecules.positions.shape, f"shape {tuple(forces.shape)}")
        require(not forces.requires_grad, "they require a gradient")
    forces = forces.cpu()
    with rule("forces rotate with the molecule"):
        matrix = random_rotation(rng)
        turned = replace(molecules, positions=molecules.positions @ matrix.T)
        found = model.evaluate(turned, forces=True).forces
        assert found is not None  # as above
        require_close(found, forces.double() @ matrix.T, _FORCE, "eV/Å")
    if not model.conservative:
        return
    with rule("forces are minus the gradient of the energy, or conservative is False"):
        along = torch.from_numpy(rng.normal(size=forces.shape))
        along = along / molecules.sum_atoms((along**2).sum(-1)).sqrt()[molecules.molecule][:, None]
        slope = _zeros(len(molecules))
        for steps, weight in _STENCIL.items():
            positions = molecules.positions + steps * _STEP * along
            shifted = model.evaluate(replace(molecules, positions=positions)).energy.cpu()
            slope = slope + weight * shifted / _STEP
        work = molecules.sum_atoms((forces.double() * along).sum(-1))
        require_close(work, -slope, _FORCE, "eV/Å")


def _check_stress(model: EnergyModel, molecule: MoleculeBatch, rng: np.random.Generator) -> None:
    cell = _BOX * torch.eye(3, dtype=torch.float64)[None]
    crystal = replace(molecule, cell=cell, pbc=torch.ones(1, 3, dtype=torch.bool))
    with rule("stress is (n_molecules, 3, 3), and NaN without a cell"):
        both = model.evaluate(MoleculeBatch.cat([crystal, molecule]), stress=True).stress
        found = () if both is None else tuple(both.shape)
        require(found == (2, 3, 3), f"shape {found}")
        assert both is not None  # it has a shape
        require(both[1].isnan().all(), f"{both[1].tolist()} of a molecule")
    if not model.conservative:
        return
    with rule("stress is the derivative of the energy with the strain over the volume"):
        direction = torch.from_numpy(rng.normal(size=(3, 3)))
        direction = (direction + direction.T) / 2
        slope = _zeros(1)
        for steps, weight in _STENCIL.items():
            stretched = torch.eye(3, dtype=torch.float64) + steps * _STRAIN * direction
            strained = replace(
                crystal, positions=crystal.positions @ stretched, cell=cell @ stretched
            )
            slope = slope + weight * model.evaluate(strained).energy.cpu() / _STRAIN
        work = (both[0].cpu() * direction).sum() * _BOX**3
        require_close(work[None], slope, _WORK, "eV")


def _check_further(model: EnergyModel, molecules: MoleculeBatch) -> None:
    n, n_atoms = len(molecules), len(molecules.numbers)
    further = [p for p in model.implemented_properties if p not in ("energy", "forces", "stress")]
    output = None
    with rule("all that it declares can be asked for at once"):
        output = model.evaluate(
            molecules,
            properties=further,
            descriptors=model.offers_descriptors,
            uncertainty=model.offers_uncertainty,
        )
    for name in further:
        with rule(f"the property {name!r} has its shape"):
            found = tuple(output.properties[name].shape)
            first = n_atoms if is_of_atoms(name) else n
            require(found[:1] == (first,), f"{found}, but the first length must be {first}")
    if model.offers_descriptors:
        with rule("descriptors are (n_atoms, n_features)"):
            found = () if output.descriptors is None else tuple(output.descriptors.shape)
            require(len(found) == 2 and found[0] == n_atoms, f"shape {found}")
    if model.offers_uncertainty:
        with rule("uncertainty is (n_molecules,)"):
            found = () if output.uncertainty is None else tuple(output.uncertainty.shape)
            require(found == (n,), f"shape {found}")


def _zeros(n: int) -> Tensor:
    return torch.zeros(n, dtype=torch.float64)

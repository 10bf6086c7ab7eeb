"""Relaxation of many molecules at once under one energy model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import torch
from ase import Atoms
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.energy.registry import load_energy
from molrl.molecules import MIN_DISTANCE, MoleculeBatch

FORCE_TOLERANCE = 0.02  # eV/Å
MAX_STEPS = 250
_STIFFNESS = 70.0  # eV/Å², of the first Hessian
_RADIUS = 0.12  # Å, the first trust radius: the longest way of an atom in one step
_MAX_RADIUS = 0.3  # Å
_MIN_RADIUS = 1e-4  # Å; a molecule whose steps all fail down to here has stalled
_VIOLENT = 20.0  # eV/Å; the curvature of a clash this hard says nothing about the minimum
_NOISE = 1e-4  # eV; an energy may rise by so much, which is what SCF and float32 leave

Report = Callable[[int, int], None]  # told how many molecules are at rest, of how many


@dataclass(frozen=True)
class RelaxationResult:
    """Where :func:`relax` came to.

    Attributes:
        molecules: the relaxed geometries, float64; where nothing could be done, as they came.
        start_energy: ``(n_molecules,)`` float64, eV, before; NaN where it failed.
        energy: ``(n_molecules,)`` float64, eV, after; of a conservative model never above
            ``start_energy`` by more than numerical noise, 1e-4 eV.
        max_force: ``(n_molecules,)`` float64, eV/Å, the largest force on an atom at the end.
        converged: ``(n_molecules,)`` bool, whether that is within the tolerance.
        steps: ``(n_molecules,)`` int64, energy evaluations spent after the first.
        failures: index of each molecule that had no energy to begin with, with the reason.
    """

    molecules: MoleculeBatch
    start_energy: Tensor
    energy: Tensor
    max_force: Tensor
    converged: Tensor
    steps: Tensor
    failures: dict[int, str] = field(default_factory=dict)


def relax(
    molecules: MoleculeBatch | Atoms | Iterable[Atoms],
    model: EnergyModel | str,
    force_tolerance: float = FORCE_TOLERANCE,
    max_steps: int = MAX_STEPS,
    report: Report = lambda done, total: None,
) -> RelaxationResult:
    """Relax each molecule to a local minimum of its energy.

    BFGS with a trust radius, every molecule with its own Hessian and radius, all that are still
    moving in one energy call a step. Steps follow the Hessian with the absolute values of its
    eigenvalues, so they go downhill even where it has negative ones, and a step that raises the
    energy is not taken; under a model that is not conservative, one that raises the largest force.
    Turning a molecule turns its way down with it.

    Args:
        molecules: where to start, a batch or ASE atoms; molecules without atoms are at their
            minimum.
        model: the energy, or the name of one.
        force_tolerance: eV/Å; a molecule has converged when no atom feels more.
        max_steps: energy calls after the first.
        report: told after every energy call how many molecules are at rest (converged, stalled
            or without an energy), of how many.

    Raises:
        InputError: if the model cannot take the molecules.
    """
    if not isinstance(molecules, MoleculeBatch):
        molecules = MoleculeBatch.from_ase(molecules)
    model = load_energy(model)
    search = _Search(molecules.to(dtype=torch.float64), model)
    for _ in range(max_steps):
        moving = search.moving(force_tolerance)
        report(len(molecules) - len(moving), len(molecules))
        if not len(moving):
            break
        search.step(moving)
    else:
        report(len(molecules) - len(search.moving(force_tolerance)), len(molecules))
    max_force = search.max_force()
    return RelaxationResult(
        molecules=search.batch(torch.arange(len(molecules), device=molecules.device), search.x),
        start_energy=search.start_energy,
        energy=search.energy,
        max_force=max_force,
        converged=max_force <= force_tolerance,
        steps=search.steps,
        failures=search.failures,
    )


class _Search:
    """The state of all searches, padded to the largest molecule of ``A`` atoms.

    Attributes:
        x: ``(n_molecules, A, 3)`` positions, 0 where there is no atom; ``force`` likewise.
        hessian: ``(n_molecules, 3 A, 3 A)``, eV/Å².
        energy: ``(n_molecules,)`` eV.
        radius: ``(n_molecules,)`` Å.
    """

    def __init__(self, molecules: MoleculeBatch, model: EnergyModel) -> None:
        self._model, self._molecules = model, molecules
        device = molecules.device
        n, width = len(molecules), int(molecules.n_atoms.max()) if len(molecules) else 0
        self._filled = torch.arange(width, device=device) < molecules.n_atoms[:, None]
        self.x = torch.zeros(n, width, 3, dtype=torch.float64, device=device)
        self.x[self._filled] = molecules.positions
        self._soft = _STIFFNESS * torch.eye(3 * width, dtype=torch.float64, device=device)
        self.hessian = self._soft.repeat(n, 1, 1)
        self.radius = torch.full((n,), _RADIUS, dtype=torch.float64, device=device)
        self.steps = torch.zeros(n, dtype=torch.int64, device=device)
        output = model.evaluate(molecules, forces=True)
        assert output.forces is not None  # asked for
        self.energy = output.energy.to(device)
        self.start_energy = self.energy.clone()
        self._lowest = self.energy.clone()
        self.failures = output.failures
        self.force = torch.zeros_like(self.x)
        self.force[self._filled] = output.forces.to(device)

    def batch(self, chosen: Tensor, x: Tensor) -> MoleculeBatch:
        """Molecules ``chosen (m,)`` at positions ``x (m, A, 3)``."""
        return replace(self._molecules[chosen], positions=x[self._filled[chosen]])

    def max_force(self) -> Tensor:
        """``(n_molecules,)`` the largest force on an atom, NaN where there is none known."""
        if not self.x.shape[1]:
            return torch.zeros_like(self.energy)
        largest: Tensor = self.force.norm(dim=-1).amax(-1)
        return largest

    def moving(self, force_tolerance: float) -> Tensor:
        """``(m,)`` those that are neither at rest nor stalled nor without an energy."""
        moving = (self.max_force() > force_tolerance) & (self.radius > _MIN_RADIUS)
        return (moving & torch.isfinite(self.energy)).nonzero().flatten()

    def step(self, chosen: Tensor) -> None:
        """Try one step of each chosen molecule, and take those that go down."""
        force, radius = self.force[chosen], self.radius[chosen]
        move = _newton(self.hessian[chosen], force.flatten(1)).view_as(force)
        length = move.norm(dim=-1).amax(-1)
        move = move * (radius / length).clamp(max=1)[:, None, None]
        energy, new_force = self._evaluate(chosen, self.x[chosen] + move)
        self.steps[chosen] += 1
        known = torch.isfinite(energy) & torch.isfinite(new_force).all(-1).all(-1)
        change = (force - new_force).flatten(1).nan_to_num()
        update = _bfgs(self.hessian[chosen], move.flatten(1), change)
        self.hessian[chosen[known]] = update[known]
        if self._model.conservative:
            better = energy <= self._lowest[chosen] + _NOISE
        else:  # the energy need not fall on the way to where there is no force
            better = new_force.norm(dim=-1).amax(-1) <= force.norm(dim=-1).amax(-1)
        taken = known & better
        went = chosen[taken]
        self.x[went] += move[taken]
        self.energy[went], self.force[went] = energy[taken], new_force[taken]
        self._lowest = torch.fmin(self._lowest, self.energy)
        violent = self.max_force()[chosen] > _VIOLENT
        self.hessian[chosen[violent]] = self._soft
        self.radius[chosen] = torch.where(
            taken, (1.4 * radius).clamp(max=_MAX_RADIUS), 0.35 * torch.minimum(radius, length)
        )

    def _evaluate(self, chosen: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Energies and padded forces; NaN for molecules with two atoms in one place."""
        trial = self.batch(chosen, x)
        pairs = trial.neighbors(2 * MIN_DISTANCE).pairs
        clashing = torch.zeros(len(chosen), dtype=torch.bool, device=x.device)
        clashing[trial.molecule[pairs[0]]] = True
        sane = (~clashing).nonzero().flatten()
        energy = torch.full_like(self.energy[chosen], torch.nan)
        force = torch.full_like(x, torch.nan)
        output = self._model.evaluate(trial[sane], forces=True)
        assert output.forces is not None  # asked for
        energy[sane] = output.energy.to(x.device)
        padded = torch.zeros_like(x[sane])
        padded[self._filled[chosen[sane]]] = output.forces.to(x.device)
        force[sane] = padded
        return energy, force


def _newton(hessian: Tensor, force: Tensor) -> Tensor:
    """``|H|⁻¹ f`` of each molecule, ``(m, D)``."""
    values, vectors = torch.linalg.eigh(hessian)
    along = torch.einsum("mij,mi->mj", vectors, force) / values.abs().clamp(min=1e-3)
    return torch.einsum("mij,mj->mi", vectors, along)


def _bfgs(hessian: Tensor, move: Tensor, change: Tensor) -> Tensor:
    """The Hessians ``(m, D, D)`` after gradients changed by ``change`` over ``move (m, D)``."""
    through = torch.einsum("mij,mj->mi", hessian, move)
    gained, had = (move * change).sum(-1), (move * through).sum(-1)
    sound = (gained.abs() > 1e-10) & (had.abs() > 1e-10)
    gained, had = torch.where(sound, gained, 1.0), torch.where(sound, had, 1.0)
    new = torch.einsum("mi,mj->mij", change, change) / gained[:, None, None]
    old = torch.einsum("mi,mj->mij", through, through) / had[:, None, None]
    return torch.where(sound[:, None, None], hessian + new - old, hessian)

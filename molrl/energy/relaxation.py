"""Relaxation of many molecules at once to local minima of an energy model."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.molecules import MIN_DISTANCE, MoleculeBatch

FORCE_TOLERANCE = 0.02  # eV/Å
MAX_STEPS = 250
_STIFFNESS = 70.0  # eV/Å², the curvature of the initial Hessian
_RADIUS = 0.12  # Å, the initial trust radius: the longest displacement of an atom in one step
_MAX_RADIUS = 0.3  # Å
_MIN_RADIUS = 1e-4  # Å; a molecule whose steps are rejected down to this radius has stalled
_SOFTER = 10.0  # by which the curvature is less where a molecule starts again, for long steps
_CLASH_FORCE = 20.0  # eV/Å; curvature at such forces carries no information about the minimum
_MOST_ENTRIES = 10**8  # of the Hessians of a group, 0.8 GB
_MOST_PADDING = 8.0  # times the work on the Hessians that there would be without padding
_NOISE = 1e-4  # eV, tolerated rise of the energy: the noise of an SCF and of float32

Report = Callable[[int, int], None]  # called with the number of finished molecules and of all


@dataclass(frozen=True)
class RelaxationResult:
    """The result of :func:`relax`.

    Attributes:
        molecules: the relaxed geometries, float64; unchanged where the initial energy failed.
        start_energy: ``(n_molecules,)`` float64, eV, initial energy; NaN where it failed.
        energy: ``(n_molecules,)`` float64, eV, final energy; under a conservative model never more
            than 1e-4 eV, the numerical noise, above ``start_energy``.
        max_force: ``(n_molecules,)`` float64, eV/Å, the largest final force on an atom.
        converged: ``(n_molecules,)`` bool, whether ``max_force`` is within the tolerance.
        steps: ``(n_molecules,)`` int64, steps tried: one energy each after the first, but for those
            that put two atoms in one place.
        failures: index of each molecule whose initial energy failed, with the reason.

    Example:
        >>> from ase.build import molecule
        >>> result = relax(molecule("H2O"), "mace")
        >>> bool(result.energy <= result.start_energy), bool(result.max_force < 0.02)
        (True, True)
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
    fixed: Tensor | None = None,
) -> RelaxationResult:
    """Relax each molecule to a local minimum of its energy.

    The method is BFGS with a trust radius (Nocedal and Wright, Numerical Optimization, 2nd ed.,
    chapters 4 and 6). Every molecule has its own Hessian and radius, and all unfinished molecules
    share one energy call per step, those of very different sizes only with their like. Steps use
    the absolute values of the Hessian's eigenvalues, so they go downhill even where it has negative
    ones. A step that raises the energy is rejected; under a model that is not conservative, a step
    that ends against the force. The path of a rotated molecule is the rotated path.

    Args:
        molecules: initial geometries, a batch or ASE atoms; molecules without atoms have
            converged.
        model: the energy model, or its name.
        force_tolerance: eV/Å; a molecule has converged when no atom has a larger force.
        max_steps: energy calls after the first.
        report: called after every energy call with how many molecules have finished (converged,
            stalled or failed) and how many there are.
        fixed: ``(n_atoms_total,)`` bool, atoms that stay exactly where they are, whose forces do
            not count; None: those that ASE atoms have in ``FixAtoms``, otherwise no atom.

    Returns:
        Final geometries, energies and forces, in the order of the molecules.

    Raises:
        InputError: if the model cannot evaluate the molecules, ``fixed`` is no truth value of each
            atom, or ASE atoms have other constraints than ``FixAtoms``.

    Example:
        >>> from ase.build import molecule
        >>> result = relax([molecule("CH3OH"), molecule("H2O")], "mace", force_tolerance=0.05)
        >>> result.converged
        tensor([True, True])
    """
    if not isinstance(molecules, MoleculeBatch):
        images = [molecules] if isinstance(molecules, Atoms) else molecules
        images = list(images) if isinstance(images, Iterator) else images
        molecules = MoleculeBatch.from_ase(images)
        fixed = _constrained(images) if fixed is None else fixed
    if fixed is not None:
        fixed = torch.as_tensor(fixed)  # also a list or an array of NumPy
        if fixed.dtype != torch.bool or fixed.shape != molecules.numbers.shape:
            raise InputError(
                f"fixed must be one truth value of each of the {len(molecules.numbers)} atoms, not "
                f"{tuple(fixed.shape)} of {fixed.dtype}"
            )
    model, limits = load_energy(model), (force_tolerance, max_steps)
    groups = _groups(molecules.n_atoms)
    if len(groups) == 1:
        return _relax_group(molecules, model, limits, report, fixed)
    of_each = None if fixed is None else torch.split(fixed, molecules.n_atoms.tolist())
    parts: list[RelaxationResult] = []
    for group in groups:
        done = sum(len(part.steps) for part in parts)
        held = None if of_each is None else torch.cat([of_each[i] for i in group.tolist()])

        def report_all(n: int, _: int, done: int = done) -> None:
            report(done + n, len(molecules))

        parts.append(
            _relax_group(molecules[group.to(molecules.device)], model, limits, report_all, held)
        )
    return _joined(parts, groups)


def _groups(n_atoms: Tensor) -> list[Tensor]:
    """Return the indices of molecules that are relaxed together, the largest first.

    Their Hessians are padded to that of the largest. All are one group, unless a few large ones
    among small ones, or their number, would make that expensive.
    """
    if not len(n_atoms):
        return [torch.arange(0)]
    sizes, order = n_atoms.clamp(min=1).cpu().sort(descending=True, stable=True)
    work = sizes.double() ** 3
    spread = float(len(sizes) * work[0] / work.sum()) > _MOST_PADDING
    if not spread and len(sizes) * int(3 * sizes[0]) ** 2 <= _MOST_ENTRIES:
        return [torch.arange(len(sizes))]
    groups, start = [], 0
    while start < len(sizes):
        most = max(1, _MOST_ENTRIES // int(3 * sizes[start]) ** 2)
        alike = int((sizes[start:] * 2 > sizes[start]).sum()) if spread else len(sizes)
        end = start + min(most, alike)
        groups.append(order[start:end])
        start = end
    return groups


def _joined(parts: list[RelaxationResult], groups: list[Tensor]) -> RelaxationResult:
    """Return the results of groups, in the order of the molecules."""
    index = torch.cat(groups)
    back = index.argsort()

    def joined(name: str) -> Tensor:
        values = torch.cat([getattr(part, name) for part in parts])
        return values[back.to(values.device)]

    molecules = MoleculeBatch.cat([part.molecules for part in parts])
    return RelaxationResult(
        molecules=molecules[back.to(molecules.device)],
        start_energy=joined("start_energy"),
        energy=joined("energy"),
        max_force=joined("max_force"),
        converged=joined("converged"),
        steps=joined("steps"),
        failures={
            int(group[i]): why
            for part, group in zip(parts, groups, strict=True)
            for i, why in part.failures.items()
        },
    )


def _relax_group(
    molecules: MoleculeBatch,
    model: EnergyModel,
    limits: tuple[float, int],
    report: Report,
    fixed: Tensor | None,
) -> RelaxationResult:
    """Relax molecules whose Hessians are padded to the largest; see :func:`relax`."""
    force_tolerance, max_steps = limits
    state = _BatchedBFGS(molecules.to(dtype=torch.float64), model, fixed)
    for _ in range(max_steps):
        unfinished = state.unfinished(force_tolerance)
        report(len(molecules) - len(unfinished), len(molecules))
        if not len(unfinished):
            break
        state.step(unfinished)
    else:
        report(len(molecules) - len(state.unfinished(force_tolerance)), len(molecules))
    max_force = state.max_force()
    return RelaxationResult(
        molecules=state.batch(torch.arange(len(molecules), device=molecules.device), state.x),
        start_energy=state.start_energy,
        energy=state.energy,
        max_force=max_force,
        converged=max_force <= force_tolerance,
        steps=state.steps,
        failures=state.failures,
    )


def _constrained(images: Iterable[Atoms]) -> Tensor | None:
    """Return which atoms of ASE's constraints stay where they are, ``(n_atoms_total,)``."""
    fixed = []
    for i, image in enumerate(images):
        fixed.append(torch.zeros(len(image), dtype=torch.bool))
        for constraint in image.constraints:
            if not isinstance(constraint, FixAtoms):
                raise InputError(
                    f"molecule {i} has the constraint {type(constraint).__name__}; only FixAtoms "
                    "is taken"
                )
            fixed[i][torch.from_numpy(constraint.get_indices().astype(np.int64))] = True
    return torch.cat(fixed) if any(each.any() for each in fixed) else None


class _BatchedBFGS:
    """One BFGS minimisation per molecule, padded to the largest molecule of ``A`` atoms.

    Attributes:
        x: ``(n_molecules, A, 3)`` float64, positions in Å, 0 in padding.
        force: ``(n_molecules, A, 3)`` float64, eV/Å, 0 in padding.
        hessian: ``(n_molecules, 3 A, 3 A)`` float64, eV/Å².
        energy: ``(n_molecules,)`` float64, eV.
        radius: ``(n_molecules,)`` float64, Å, trust radius.
    """

    def __init__(
        self, molecules: MoleculeBatch, model: EnergyModel, fixed: Tensor | None = None
    ) -> None:
        self._model, self._molecules = model, molecules
        device = molecules.device
        n, width = len(molecules), int(molecules.n_atoms.max()) if len(molecules) else 0
        self._filled = torch.arange(width, device=device) < molecules.n_atoms[:, None]
        self.x = torch.zeros(n, width, 3, dtype=torch.float64, device=device)
        self.x[self._filled] = molecules.positions
        self._initial = _STIFFNESS * torch.eye(3 * width, dtype=torch.float64, device=device)
        self.hessian = self._initial.repeat(n, 1, 1)
        self.radius = torch.full((n,), _RADIUS, dtype=torch.float64, device=device)
        self.steps = torch.zeros(n, dtype=torch.int64, device=device)
        self._again = torch.zeros(n, dtype=torch.bool, device=device)
        output = model.evaluate(molecules, forces=True)
        assert output.forces is not None  # as requested
        self.energy = output.energy.to(device, torch.float64)
        self.start_energy = self.energy.clone()
        self._lowest = self.energy.clone()
        self.failures = output.failures
        self._free = self._filled[..., None].to(torch.float64)
        if fixed is not None:
            self._free[self._filled] = (~fixed.to(device))[:, None].to(torch.float64)
        self.force = torch.zeros_like(self.x)
        self.force[self._filled] = output.forces.to(self.x)
        self.force *= self._free

    def batch(self, chosen: Tensor, x: Tensor) -> MoleculeBatch:
        """Return the molecules ``chosen (m,)`` at positions ``x (m, A, 3)``."""
        return replace(self._molecules[chosen], positions=x[self._filled[chosen]])

    def max_force(self) -> Tensor:
        """Return ``(n_molecules,)`` eV/Å, the largest force on an atom; NaN where it failed."""
        if not self.x.shape[1]:
            return torch.zeros_like(self.energy)
        largest: Tensor = self.force.norm(dim=-1).amax(-1)
        return largest

    def unfinished(self, force_tolerance: float) -> Tensor:
        """Return ``(m,)`` int64, the molecules that have not converged, stalled or failed."""
        moving = (self.max_force() > force_tolerance) & (self.radius > _MIN_RADIUS)
        return (moving & torch.isfinite(self.energy)).nonzero().flatten()

    def step(self, chosen: Tensor) -> None:
        """Try one step of each molecule of ``chosen (m,)``, and accept those that go downhill."""
        force, radius = self.force[chosen], self.radius[chosen]
        # The rounding of the eigenvectors mixes fixed atoms and padding with the others.
        move = _newton(self.hessian[chosen], force.flatten(1)).view_as(force) * self._free[chosen]
        length = move.norm(dim=-1).amax(-1)
        move = move * (radius / length).clamp(max=1)[:, None, None]
        energy, new_force = self._evaluate(chosen, self.x[chosen] + move)
        self.steps[chosen] += 1
        known = torch.isfinite(energy) & torch.isfinite(new_force).all(-1).all(-1)
        change = (force - new_force).flatten(1).nan_to_num()
        update = _bfgs(self.hessian[chosen], move.flatten(1), change)
        self.hessian[chosen[known]] = update[known]
        if self._model.conservative:
            # Against the lowest energy so far, so that tolerated noise cannot add up over steps.
            better = energy <= self._lowest[chosen] + _NOISE
        else:
            # Following direct forces to zero force the energy need not fall: a step is good if the
            # largest force falls, or if the force still points along it at its end.
            smaller = new_force.norm(dim=-1).amax(-1) <= force.norm(dim=-1).amax(-1)
            better = smaller | ((move * new_force).flatten(1).sum(-1) > 0)
        accepted = known & better
        moved = chosen[accepted]
        self.x[moved] += move[accepted]
        self.energy[moved], self.force[moved] = energy[accepted], new_force[accepted]
        self._lowest = torch.fmin(self._lowest, self.energy)
        # Curvature learnt in a clash is orders of magnitude too stiff, and would make every later
        # step too short: forget it.
        clashing = self.max_force()[chosen] > _CLASH_FORCE
        self.hessian[chosen[clashing]] = self._initial
        # A rejected step shrinks to a fraction of what was tried, not of the radius: the step may
        # have been far inside, and a radius above its length would repeat it.
        self.radius[chosen] = torch.where(
            accepted, (1.4 * radius).clamp(max=_MAX_RADIUS), 0.35 * torch.minimum(radius, length)
        )
        self._start_again(chosen[~known])

    def _start_again(self, failed: Tensor) -> None:
        """Give molecules that stall where the energy fails one more start, with long steps.

        An SCF may fail for all short steps, and converge farther on.
        """
        stalled = failed[(self.radius[failed] <= _MIN_RADIUS) & ~self._again[failed]]
        self.radius[stalled], self.hessian[stalled] = _RADIUS, self._initial / _SOFTER
        self._again[stalled] = True

    def _evaluate(self, chosen: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return energies and padded forces; NaN for molecules with two atoms in one place."""
        trial = self.batch(chosen, x)
        # The model refuses a whole batch for one such molecule, so these are left out of it.
        pairs = trial.neighbors(2 * MIN_DISTANCE).pairs
        clashing = torch.zeros(len(chosen), dtype=torch.bool, device=x.device)
        clashing[trial.molecule[pairs[0]]] = True
        valid = (~clashing).nonzero().flatten()
        energy = torch.full_like(self.energy[chosen], torch.nan)
        force = torch.full_like(x, torch.nan)
        output = self._model.evaluate(trial[valid], forces=True)
        assert output.forces is not None  # as requested
        energy[valid] = output.energy.to(energy)
        padded = torch.zeros_like(x[valid])
        padded[self._filled[chosen[valid]]] = output.forces.to(x)
        force[valid] = padded * self._free[chosen[valid]]
        return energy, force


def _newton(hessian: Tensor, force: Tensor) -> Tensor:
    """Return the Newton steps ``|H|⁻¹ f``, ``(m, D)`` Å, of each molecule.

    A plain Newton step H⁻¹ f climbs along eigenvectors of negative curvature, towards a saddle
    point. With |H|, whose eigenvalues are the absolute values, it goes downhill along all of them.
    """
    values, vectors = torch.linalg.eigh(hessian)
    # Near 0 an eigenvalue would give a step without bound. Such are translations and rotations,
    # along which there is no force, and flat directions, where the trust radius cuts the step.
    along = torch.einsum("mij,mi->mj", vectors, force) / values.abs().clamp(min=1e-3)
    return torch.einsum("mij,mj->mi", vectors, along)


def _bfgs(hessian: Tensor, move: Tensor, change: Tensor) -> Tensor:
    """Return the Hessians ``(m, D, D)`` updated by BFGS (Nocedal and Wright, Eq. 6.19).

    B' = B + y yᵀ / (yᵀ s) - B s sᵀ B / (sᵀ B s).

    The usual condition of positive curvature, yᵀ s > 0, is not imposed: :func:`_newton` takes
    negative eigenvalues, and dropping the update would leave the model of the energy wrong where
    it is not convex. Rejected steps update the Hessian too, because they tell as much about it.

    Args:
        hessian: B, ``(m, D, D)`` eV/Å².
        move: s, ``(m, D)`` Å.
        change: y, ``(m, D)`` eV/Å, change of the gradient over the move.
    """
    product = torch.einsum("mij,mj->mi", hessian, move)
    observed, predicted = (move * change).sum(-1), (move * product).sum(-1)
    # A denominator of nearly 0 would blow up the update: skip it for those molecules.
    usable = (observed.abs() > 1e-10) & (predicted.abs() > 1e-10)
    observed = torch.where(usable, observed, 1.0)
    predicted = torch.where(usable, predicted, 1.0)
    added = torch.einsum("mi,mj->mij", change, change) / observed[:, None, None]
    removed = torch.einsum("mi,mj->mij", product, product) / predicted[:, None, None]
    return torch.where(usable[:, None, None], hessian + added - removed, hessian)

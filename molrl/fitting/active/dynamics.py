"""Hyperactive learning: dynamics biased towards what the model does not know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import units
from ase.data import atomic_masses
from torch import Tensor

from molrl.energy.networks.energy import NetworkEnergy
from molrl.fitting.active.config import DynamicsConfig
from molrl.molecules import MoleculeBatch

NEAREST = 0.3  # Å; a trajectory ends before two atoms come nearer
_MEMORY = 0.99  # of the running means that set the strength of the bias; 100 steps
_BLOCK = 64  # steps that noise is drawn for at once


class Langevin:
    """Many molecules in Langevin dynamics: the BAOAB splitting of Leimkuhler and Matthews, 2013.

    A step is :meth:`move`, then the forces at the new positions, then :meth:`kick` with them.
    Without friction it is velocity Verlet. Each molecule has its own stream of random numbers.

    Args:
        molecules: where they start; velocities are drawn at the temperature.
        config: temperature, time step and friction.
        seeds: one for each molecule.

    Attributes:
        molecules: where they are, float64.
        velocities: ``(n_atoms_total, 3)`` float64, Å per ASE unit of time.
    """

    def __init__(
        self, molecules: MoleculeBatch, config: DynamicsConfig, seeds: Sequence[Sequence[int]]
    ) -> None:
        self.molecules = molecules.to(dtype=torch.float64)
        self._step = config.time_step * units.fs
        self._kept = float(np.exp(-config.friction * config.time_step))  # of a velocity in a step
        masses = torch.from_numpy(atomic_masses)[molecules.numbers.cpu()]
        self._masses = masses.to(molecules.device)[:, None]
        self._width = (units.kB * config.temperature / self._masses).sqrt()
        self._streams = [np.random.default_rng(seed) for seed in seeds]
        self._noise: list[Tensor] = []
        self.velocities = self._width * self._draw(1)[0]

    def kinetic_energy(self) -> Tensor:
        """``(n_molecules,)`` eV."""
        return self.molecules.sum_atoms(0.5 * self._masses * self.velocities.square()).sum(-1)

    def kick(self, forces: Tensor) -> None:
        """Half a step of the forces ``(n_atoms_total, 3)``, eV/Å, on the velocities."""
        self.velocities = self.velocities + 0.5 * self._step * forces / self._masses

    def move(self, forces: Tensor) -> None:
        """Half a step of the forces, then the positions, the thermostat in their middle."""
        self.kick(forces)
        if not self._noise:
            self._noise = list(self._draw(_BLOCK))
        positions = self.molecules.positions + 0.5 * self._step * self.velocities
        spread = float(np.sqrt(1 - self._kept**2))
        self.velocities = self._kept * self.velocities + spread * self._width * self._noise.pop()
        positions = positions + 0.5 * self._step * self.velocities
        self.molecules = self._at(positions)

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the molecules, ``(n_molecules,)`` bool."""
        atoms = kept[self.molecules.molecule]
        self.molecules = self.molecules[kept]
        self.velocities = self.velocities[atoms]
        self._masses, self._width = self._masses[atoms], self._width[atoms]
        self._noise = [noise[atoms] for noise in self._noise]
        self._streams = [s for s, k in zip(self._streams, kept.tolist(), strict=True) if k]

    def _draw(self, n: int) -> Tensor:
        """``(n, n_atoms_total, 3)`` standard normal."""
        sizes = self.molecules.n_atoms.tolist()
        drawn = [s.normal(size=(n, size, 3)) for s, size in zip(self._streams, sizes, strict=True)]
        return torch.from_numpy(np.concatenate(drawn, axis=1)).to(self.molecules.device)

    def _at(self, positions: Tensor) -> MoleculeBatch:
        return replace(self.molecules, positions=positions)


@dataclass(frozen=True)
class Trajectories:
    """The frame of each trajectory to label.

    Attributes:
        molecules: where the uncertainty passed the tolerance; where it never did, the most
            uncertain frame after the start. Float64.
        uncertainty: ``(n_molecules,)`` float64, there; -inf where there is no frame but the start.
        passed: ``(n_molecules,)`` bool: whether it passed.
        steps: ``(n_molecules,)`` int64: when.
    """

    molecules: MoleculeBatch
    uncertainty: Tensor
    passed: Tensor
    steps: Tensor


def hyperactive(
    model: NetworkEnergy,
    molecules: MoleculeBatch,
    config: DynamicsConfig,
    seed: int,
) -> Trajectories:
    """Run molecules towards what the model does not know, all in one batch.

    The force is F + τ G (van der Oord et al., 2023, arXiv 2210.04225), G the gradient of
    the uncertainty, and τ = bias <|F|> / <|G|> with running means over each trajectory's last 100
    steps or so. A trajectory ends where its uncertainty passes the tolerance, where two atoms
    would come nearer than 0.3 Å, or where the energy fails.

    Args:
        model: whose energy and uncertainty are followed.
        molecules: where to start.
        config: of the dynamics.
        seed: of velocities and thermostat.
    """
    search = _Search(model, molecules.to(model.device, torch.float64), config, seed)
    for step in range(config.steps + 1):
        search.look(step)
        if not len(search.active) or step == config.steps:
            break
        search.step()
    return search.found()


class _Search:
    """The trajectories that still run, and the best frame of each so far."""

    def __init__(
        self, model: NetworkEnergy, molecules: MoleculeBatch, config: DynamicsConfig, seed: int
    ) -> None:
        self._model, self._config, self._start = model, config, molecules
        n = len(molecules)
        self._langevin = Langevin(molecules, config, [[seed, i] for i in range(n)])
        self.active = torch.arange(n, device=molecules.device)
        self._forces: Tensor | None = None
        self._sizes = molecules.positions.new_zeros(n, 2)  # running means of |F| and |G|
        self._frames = molecules.positions.clone()
        self._uncertainty = molecules.positions.new_full((n,), -torch.inf)
        self._steps = torch.zeros(n, dtype=torch.int64, device=molecules.device)
        self._passed = torch.zeros(n, dtype=torch.bool, device=molecules.device)

    def look(self, step: int) -> None:
        """Evaluate where they are, finish the step, and end those that are done."""
        self._keep(self._apart())
        if not len(self.active):
            return
        output = self._model.evaluate_biased(self._langevin.molecules)
        sizes = self._mean_sizes(output.forces, output.bias_forces)
        means = sizes if step == 0 else _MEMORY * self._sizes + (1 - _MEMORY) * sizes
        tau = self._config.bias * means[:, 0] / means[:, 1].clamp(min=1e-9)
        forces = output.forces + tau[self._langevin.molecules.molecule, None] * output.bias_forces
        self._forces, self._sizes = forces, means
        known = output.energy.isfinite()
        if step:
            self._langevin.kick(forces)
            self._note(output.uncertainty.masked_fill(~known, -torch.inf), step)
            self._passed[self.active] = known & (output.uncertainty > self._config.tolerance)
        self._keep(known & ~self._passed[self.active])

    def step(self) -> None:
        """Move to where the next forces are wanted."""
        assert self._forces is not None  # look came before
        self._langevin.move(self._forces)

    def found(self) -> Trajectories:
        return Trajectories(
            replace(self._start, positions=self._frames),
            self._uncertainty,
            self._passed,
            self._steps,
        )

    def _apart(self) -> Tensor:
        """Return ``(n_active,)`` bool: whether the model can be evaluated on the molecule."""
        molecules = self._langevin.molecules
        near = molecules.neighbors(NEAREST).pairs
        valid = torch.ones(len(molecules), dtype=torch.bool, device=molecules.device)
        valid[molecules.molecule[near[0]]] = False
        valid[molecules.molecule[~molecules.positions.isfinite().all(-1)]] = False
        return valid

    def _mean_sizes(self, forces: Tensor, bias_forces: Tensor) -> Tensor:
        """``(n_active, 2)``: mean length of the forces, and of the bias's, on an atom."""
        lengths = torch.stack([forces.norm(dim=-1), bias_forces.norm(dim=-1)], -1).double()
        molecules = self._langevin.molecules
        return molecules.sum_atoms(lengths) / molecules.n_atoms[:, None]

    def _note(self, uncertainty: Tensor, step: int) -> None:
        """Keep the frames that are more uncertain than those before."""
        better = uncertainty > self._uncertainty[self.active]
        chosen = self.active[better]
        self._uncertainty[chosen], self._steps[chosen] = uncertainty[better], step
        taken = torch.zeros(len(self._start), dtype=torch.bool, device=chosen.device)
        taken[chosen] = True
        here = better[self._langevin.molecules.molecule]
        self._frames[taken[self._start.molecule]] = self._langevin.molecules.positions[here]

    def _keep(self, kept: Tensor) -> None:
        if bool(kept.all()):
            return
        atoms = kept[self._langevin.molecules.molecule]
        self._langevin.keep(kept)
        self.active, self._sizes = self.active[kept], self._sizes[kept]
        self._forces = None if self._forces is None else self._forces[atoms]

"""Fitting a network to labelled structures: flat batches, energies and forces, resumable."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from ase.data import chemical_symbols
from torch import Tensor

from molrl.energy.networks.config import NetworkConfig, parse_network
from molrl.energy.networks.interface import build_network
from molrl.energy.networks.potential import Potential, load_potential, save_potential
from molrl.energy.networks.repulsion import repulsion_parameters
from molrl.energy.networks.terms import (
    bond_limits,
    bonded,
    covalent_radii,
    dispersion_parameters,
)
from molrl.errors import InputError
from molrl.fitting.config import FitConfig
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.inputs import KEY, Inputs, start_file
from molrl.fitting.muon import Muon
from molrl.fitting.objective import Objective
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.optimizers import restore_weights, weight_tensors
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import OnUpdate, Trainable

MAX_VALID = 2000  # structures of the validation split that errors are logged on
_MAX_BONDED = 0.05  # at the network's cutoff, where bonds stop to count
_POOL = 32  # batches whose structures are sorted by size, so that those of a batch are alike


class Fit(Trainable):
    """A fit of a network: its weights, their running average, the optimisers and the step.

    Args:
        config: what to do.
        data: the structures.
        atomic_energies: energy of the isolated atom of each element of the data, eV; the network
            has its start's for others.
        device: where to compute.
        ranks: those that fit together, each to its own part of every batch.

    Attributes:
        config: what to do, with the network that is fitted.
        potential: what is fitted, on the device.

    Raises:
        InputError: if the data hold an element that the network does not know or no structure of
            a split, or the weights to start from are missing or of another network.
    """

    def __init__(
        self,
        config: FitConfig,
        data: Dataset,
        atomic_energies: dict[int, float],
        device: str,
        ranks: Ranks | None = None,
    ) -> None:
        self.data = data
        self.ranks = ranks or Ranks()
        self.device = torch.device(device)
        self._step = 0
        self.potential = make_potential(config, data, atomic_energies)
        self.config: FitConfig = config.model_copy(update={"network": self.potential.config})
        self.total_steps, self.checkpoint_every = config.steps, config.checkpoint_every
        self.network = self.potential.network.to(self.device)
        isolated = data.molecules.sum_atoms(self.potential.energy_table()[data.molecules.numbers])
        self.interaction_energy = (data.energy - isolated).float()
        self.train_set, self.valid_set = self._split()
        self.objective = Objective(self.potential, config, config.compiled)
        self.parameters = dict(self.network.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizers = self._make_optimizers()
        symbols = [chemical_symbols[z] for z in self.potential.config.elements]
        isolated_atoms = dict(zip(symbols, self.potential.atomic_energies, strict=True))
        self._inputs = Inputs.of(config.data, _start_of(config), isolated_atoms)

    def _split(self) -> tuple[Tensor, Tensor]:
        """Indices of the structures that are fitted to, and of those that errors are logged on."""
        data, limit = self.data, self.config.max_force
        kept = data.largest_force() <= limit
        in_train, in_valid = (data.split == data.splits.index(name) for name in ("train", "valid"))
        train = torch.nonzero(kept & in_train).flatten()
        valid = torch.nonzero(kept & in_valid & ~data.bound).flatten()
        for name, found, needed in (("train", train, self.ranks.size), ("valid", valid, 1)):
            if len(found) < needed:
                raise InputError(
                    f"the data hold {len(found)} structures of the {name} split with no force "
                    f"above {limit:g} eV/Å; {needed} are needed"
                )
        shuffled = torch.randperm(len(valid), generator=torch.Generator().manual_seed(0))
        return train, valid[shuffled[:MAX_VALID]]

    def _make_optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Muon for the matrices between features, Adam for the rest, where there are any."""
        rate, matrices = self.config.learning_rate, self.network.matrices()
        others = [p for name, p in self.parameters.items() if name not in matrices]
        made: list[torch.optim.Optimizer] = []
        if matrices:
            made.append(Muon([self.parameters[name] for name in matrices], lr=rate))
        if others:
            made.append(torch.optim.Adam(others, lr=rate, amsgrad=True))
        return tuple(made)

    @property
    def weights(self) -> Path:
        """The JSON file of the weights in the run folder of the config."""
        return self._weights(Path(self.config.run_dir))

    @property
    def steps(self) -> int:
        """Number of optimiser steps done."""
        return self._step

    def run(self, on_update: OnUpdate) -> None:
        """Fit to the end; nothing is saved.

        Args:
            on_update: called at every step with the loss and the mean errors of the step's
                structures (energy eV/atom, norm of the force on an atom eV/Å), and where a
                checkpoint is due, on the main rank, also those of :meth:`errors`.

        Raises:
            InputError: if the loss or its gradient is no longer a finite number.
        """
        for chosen in self._batches():
            metrics = self._update(chosen)
            due = self._step % self.checkpoint_every == 0 or self._step == self.total_steps
            if due and self.ranks.is_main:
                metrics |= self.errors(self.valid_set)
            on_update(self._step, metrics)

    def _batches(self) -> Iterator[Tensor]:
        """This rank's structures of each step to come; a function of seed and step alone."""
        size = self.config.batch_size * self.ranks.size
        per_epoch = max(1, len(self.train_set) // size)
        order, epoch = torch.empty(0), -1
        while self._step < self.config.steps:
            if self._step // per_epoch != epoch:
                epoch = self._step // per_epoch
                generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
                order = pooled_order(self.data.molecules.n_atoms[self.train_set], size, generator)
            at = self._step % per_epoch * size
            yield self.train_set[order[at : at + size][self.ranks.rank :: self.ranks.size]]

    def _update(self, chosen: Tensor) -> dict[str, float]:
        rate = self._learning_rate()
        self.network.zero_grad()
        loss, errors = self.objective(
            self.data[chosen].to(self.device), self.interaction_energy[chosen].to(self.device)
        )
        torch.autograd.backward(loss)
        self.ranks.average_gradients(list(self.parameters.values()))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), 10.0)
        if not torch.isfinite(norm):  # on all ranks at once
            raise InputError(
                f"the fit has diverged at step {self._step}: its gradient is not a finite number; "
                f"fit again with a lower learning_rate than {self.config.learning_rate:g}"
            )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self._step += 1
        decay = min(self.config.ema, self._step / (self._step + 10))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - decay)
        return {
            "loss": float(loss.detach()),
            **{name: float(error) for name, error in errors.items()},
            "learning_rate": rate,
        }

    def _learning_rate(self) -> float:
        if self._step < self.config.warmup:
            return self.config.learning_rate * (self._step + 1) / self.config.warmup
        falling = self.config.decay * max(1, self.config.steps - self.config.warmup)
        done = 1 - (self.config.steps - self._step) / falling if falling else 0.0
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * max(0.0, done)))

    @torch.no_grad()
    def errors(self, chosen: Tensor) -> dict[str, float]:
        """Mean absolute errors of the running average, in all and by kind.

        Energies in eV/atom; forces, by component, in eV/Å.
        """
        live = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.network.eval().load_state_dict(self.average, strict=False)
        energy_errors, force_errors = [], []
        for part in torch.split(chosen, 128):
            molecules, _, forces = self.data.take(part)
            molecules = molecules.to(self.device)
            found = self.potential.predict(self.potential.graph(molecules, torch.float32))
            assert found.forces is not None  # of predict
            error = found.energy.cpu() - self.interaction_energy[part]
            energy_errors.append(error.abs() / molecules.n_atoms.cpu())
            force_errors.append((found.forces.cpu() - forces).abs().mean(-1))
        self.network.train().load_state_dict(live, strict=False)
        per_structure = torch.cat(energy_errors)
        out = {
            "valid_energy_mae": float(per_structure.mean()),
            "valid_force_mae": float(torch.cat(force_errors).mean()),
        }
        for code, kind in enumerate(self.data.kinds):
            of_kind = self.data.kind[chosen] == code
            if of_kind.any():
                out[f"valid_energy_mae/{kind}"] = float(per_structure[of_kind].mean())
        return out

    def write_weights(self, folder: Path) -> None:
        """Write the running average of the weights as ``ARCHITECTURE.json``."""
        save_potential(self._weights(folder), self.potential, self.average)

    def _weights(self, folder: Path) -> Path:
        return folder / f"{self.potential.config.architecture}.json"

    def snapshot(self) -> Checkpoint:
        """Return weights, their average and what the optimisers remember; as on every rank."""
        tensors = weight_tensors(self.parameters, self.average, self.optimizers)
        tensors |= {f"buffer/{name}": value for name, value in self._buffers().items()}
        return Checkpoint(self._step, tensors, {KEY: self._inputs.to_dict()})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a snapshot.

        Args:
            checkpoint: of a fit with the same config and data.

        Raises:
            InputError: if the data, the start or the energies of isolated atoms have changed.
        """
        self._inputs.check(checkpoint.state.get(KEY))
        self._step = checkpoint.step
        restore_weights(checkpoint.tensors, self.parameters, self.average, self.optimizers)
        with torch.no_grad():
            for name, value in self._buffers().items():
                if (saved := checkpoint.tensors.get(f"buffer/{name}")) is not None:
                    value.copy_(saved)

    def _buffers(self) -> dict[str, Tensor]:
        """The network's buffers that belong to its weights, as those of a batch norm do."""
        parameters = dict(self.network.named_parameters(remove_duplicate=False))
        state = self.network.state_dict()
        return {name: value for name, value in state.items() if name not in parameters}


def pooled_order(n_atoms: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A random order in which the structures of each ``size`` in a row have about as many atoms.

    Structures are shuffled, sorted by size within pools, and the batches of a pool shuffled.
    """
    order = torch.randperm(len(n_atoms), generator=generator)
    pools = []
    whole = order[: len(order) // size * size or None]
    for pool in torch.split(whole, _POOL * size):
        batches = torch.split(pool[torch.argsort(n_atoms[pool], stable=True)], size)
        pools += [batches[i] for i in torch.randperm(len(batches), generator=generator)]
    return torch.cat(pools)


def make_potential(
    config: FitConfig, data: Dataset, atomic_energies: dict[int, float]
) -> Potential:
    """Build what is fitted, with the weights that it starts with, on the CPU.

    Args:
        config: of the fit.
        data: whose elements the network must know.
        atomic_energies: by atomic number, eV, of each element of the data.

    Raises:
        InputError: if the data hold an element that the network does not know, or the weights to
            start from are missing or of another network.
    """
    weights = _start_of(config)
    start = None if weights is None else load_potential(weights)[0]
    shape = _shape_of(config, data, start)
    _check_elements(data, shape, config)
    network = build_network(shape, config.seed)
    if start is not None:
        network.start_from(start.network)
        known = dict(zip(shape.elements, start.atomic_energies, strict=True)) | atomic_energies
        atoms = tuple(known[z] for z in shape.elements)
        cells = start.takes_cells or data.molecules.is_periodic
        started = replace(
            start,
            network=network,
            atomic_energies=atoms,
            takes_cells=cells,
            bond_limits=start.bond_limits or _bond_limits(config, shape),
            dispersion=start.dispersion or _dispersion(config, shape),
            lowest_site=start.lowest_site or _lowest_site(config, shape),
        )
        return _with_terms_that_fit(started)
    lacking = [chemical_symbols[z] for z in shape.elements if z not in atomic_energies]
    if lacking:
        raise InputError(
            f"network.elements: there are no energies of isolated {', '.join(lacking)}; leave out "
            "what the data do not hold"
        )
    potential = Potential(
        network=network,
        atomic_energies=tuple(atomic_energies[z] for z in shape.elements),
        repulsion=repulsion_parameters(shape.elements) if config.repulsion else (),
        bond_limits=_bond_limits(config, shape),
        dispersion=_dispersion(config, shape),
        lowest_site=_lowest_site(config, shape),
        takes_cells=data.molecules.is_periodic,
    )
    return _with_terms_that_fit(potential)


def _start_of(config: FitConfig) -> Path | None:
    """The JSON file of the weights to start from."""
    return None if config.start is None else start_file(config.start)


def _with_terms_that_fit(potential: Potential) -> Potential:
    """Return a potential whose physical terms have forces, and do not end at the cutoff."""
    config = potential.config
    terms = {
        "crowding": potential.bond_limits,
        "dispersion": potential.dispersion,
        "lowest_site": potential.lowest_site,
    }
    for name in (name for name, given in terms.items() if given):
        if not potential.network.conservative:
            raise InputError(
                f"{name}: forces of networks of architecture {config.architecture} are not those "
                "of their energy, and would lack it; leave it out"
            )
    radius, largest = max(zip(covalent_radii(config.elements), config.elements, strict=True))
    share = float(bonded(torch.tensor([config.cutoff]), torch.tensor([2 * radius])))
    if potential.bond_limits and share > _MAX_BONDED:
        raise InputError(
            f"crowding: two atoms of {chemical_symbols[largest]} still count as bonded by "
            f"{share:.2g} at the cutoff, where the energy would jump; give a larger "
            "network.cutoff, or leave it out"
        )
    return potential


def _bond_limits(config: FitConfig, shape: NetworkConfig) -> tuple[float, ...]:
    return bond_limits(shape.elements) if config.crowding else ()


def _dispersion(config: FitConfig, shape: NetworkConfig) -> tuple[tuple[float, float], ...]:
    return dispersion_parameters(shape.elements) if config.dispersion else ()


def _lowest_site(config: FitConfig, shape: NetworkConfig) -> tuple[float, ...]:
    given = config.lowest_site
    if given is None:
        return ()
    symbols = [chemical_symbols[z] for z in shape.elements]
    lacking = [symbol for symbol in symbols if symbol not in given]
    if lacking:
        raise InputError(f"lowest_site: there is no energy of {', '.join(lacking)}; give one")
    return tuple(given[symbol] for symbol in symbols)


def _shape_of(config: FitConfig, data: Dataset, start: Potential | None) -> NetworkConfig:
    """The network's config, of the elements of the start or the data if it names none."""
    shape = config.network or (start.config if start else parse_network({}))
    if "elements" in shape.model_fields_set:
        return shape
    present = tuple(sorted(set(data.molecules.numbers.tolist())))
    return shape.model_copy(update={"elements": start.config.elements if start else present})


def _check_elements(data: Dataset, shape: NetworkConfig, config: FitConfig) -> None:
    try:
        data.check(shape.elements)
    except InputError as error:
        hint = (
            "name another start, or start without" if config.start else "add it to network.elements"
        )
        raise InputError(f"{error}; {hint}") from None

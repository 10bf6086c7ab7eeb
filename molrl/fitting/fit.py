"""Fitting a MACE to labelled structures: flat batches, energies and forces, resumable."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from ase.data import chemical_symbols
from pydantic import Field
from torch import Tensor

from molrl.energy.networks import WEIGHTS
from molrl.energy.networks.mace.network import Mace, MaceConfig, load_parameters
from molrl.energy.networks.mace.widening import load_widened
from molrl.energy.networks.repulsion import GFN2_REPULSION
from molrl.errors import InputError
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.muon import Muon
from molrl.fitting.objective import Objective, predict
from molrl.runs.checkpoints import Checkpoint, Checkpoints
from molrl.runs.config import Config, parse_config
from molrl.runs.ranks import Ranks
from molrl.runs.weights import load_weights, save_weights

MAX_VALID = 2000  # structures of the validation split that errors are logged on
_REMEMBERED = ("momentum", "step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # by optimisers
_POOL = 32  # batches whose structures are sorted by size, so that those of a batch are alike

Report = Callable[[int, dict[str, float]], None]


class FitConfig(Config):
    """How a MACE is fitted.

    Attributes:
        data: datasets made with ``molrl energy data``, joined.
        reference: the energy model that labelled them, for the energies of isolated atoms.
        run_dir: folder of the fit: log, checkpoints, and the weights as ``mace.json``.
        network: the shape and the elements; atomic energies are those of ``reference``, and the
            repulsion is that of GFN2-xTB.
        start: weights to start from, of as many channels or fewer, or None to start at random.
        steps: optimiser steps.
        batch_size: structures a step, on each rank.
        learning_rate: peak, reached after ``warmup`` steps; of Muon for the weights between
            features, and of Adam for the others.
        warmup: steps.
        decay: share of the steps after the warmup, the last of them, over which the rate falls
            to 0 as a cosine.
        ema: decay of the running average of the weights, which is what is written.
        energy_weight: weight of the energy's part of the loss.
        force_weight: weight of the forces' part of the loss.
        max_force: eV/Å; structures with a larger force are left out.
        checkpoint_every: steps between checkpoints, each with errors on the validation split.
        seed: of the initial weights and the order of the structures.
        device: ``auto``, ``cpu`` or ``cuda``.
        compiled: whether the loss is compiled first, which takes minutes and then halves the time
            of a step on a CPU (:class:`~molrl.fitting.objective.Objective`); taken up again, such
            a fit goes on the same but for rounding, not bit for bit.
    """

    data: tuple[str, ...]
    reference: str = "gfn2"
    run_dir: str
    network: MaceConfig = MaceConfig()
    start: str | None = None
    steps: int = Field(20_000, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-2, gt=0)
    warmup: int = Field(500, ge=0)
    decay: float = Field(1.0, ge=0, le=1)
    ema: float = Field(0.999, ge=0, lt=1)
    energy_weight: float = Field(4.0, ge=0)
    force_weight: float = Field(1.0, ge=0)
    max_force: float = Field(400.0, gt=0)
    checkpoint_every: int = Field(1000, ge=1)
    seed: int = Field(0, ge=0)
    device: str = "auto"
    compiled: bool = False


class Fit:
    """The state of a fit: network, running average, optimiser and step.

    Args:
        config: what to do.
        data: the structures.
        atomic_energies: energy of the isolated atom of each element, eV.
        device: where to compute.
        ranks: those that fit together, each to its own part of every batch.

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
        self.config = config
        self.ranks = ranks or Ranks()
        self.device = torch.device(device)
        self.checkpoints = Checkpoints(Path(config.run_dir) / "checkpoints")
        self.step = 0
        self.data = data
        shape = config.network
        data.molecules.check(shape.elements)
        self.shape = shape.model_copy(
            update={
                "atomic_energies": tuple(atomic_energies[z] for z in shape.elements),
                "repulsion": tuple(_repulsion_of(z) for z in shape.elements),
            }
        )
        self.network = _drawn(self.shape, config.seed).to(self.device)
        isolated = data.molecules.sum_atoms(self.shape.energy_table()[data.molecules.numbers])
        self.interaction_energy = (data.energy - isolated).float()
        self.largest_force = data.largest_force()
        kept = self.largest_force <= config.max_force
        self.train_set = torch.nonzero(kept & (data.split == data.splits.index("train"))).flatten()
        valid = torch.nonzero(kept & (data.split == data.splits.index("valid"))).flatten()
        shuffled = torch.randperm(len(valid), generator=torch.Generator().manual_seed(0))
        self.valid_set = valid[shuffled[:MAX_VALID]]
        for split, found, needed in (
            ("train", self.train_set, self.ranks.size),
            ("valid", self.valid_set, 1),
        ):
            if len(found) < needed:
                raise InputError(
                    f"the data hold {len(found)} structures of the {split} split with no force "
                    f"above {config.max_force:g} eV/Å; {needed} are needed"
                )
        if config.start:
            self._start_from(config.start)
        self.objective = Objective(
            self.network, config.energy_weight, config.force_weight, config.compiled
        )
        self.parameters = dict(self.network.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        hidden = self.network.hidden_matrices()
        others = [p for name, p in self.parameters.items() if name not in hidden]
        self.optimizers = (
            Muon([self.parameters[name] for name in hidden], lr=config.learning_rate),
            torch.optim.Adam(others, lr=config.learning_rate, amsgrad=True),
        )

    @property
    def weights(self) -> Path:
        """The JSON file of the weights."""
        return Path(self.config.run_dir) / "mace.json"

    def _start_from(self, weights: str) -> None:
        tensors, header = load_weights(weights, kind=WEIGHTS)
        theirs = parse_config(header.get("config", {}), MaceConfig, where=weights)
        may_differ = ["atomic_energies"]
        if theirs.channels < self.shape.channels:
            may_differ.append("channels")
        for name in MaceConfig.model_fields:
            ours, given = getattr(self.shape, name), getattr(theirs, name)
            if given != ours and name not in may_differ:
                raise InputError(
                    f"start: {weights} is of another network: its {name} is {given}, "
                    f"that of this fit {ours}"
                )
        start = _drawn(theirs, self.config.seed)
        load_parameters(start, tensors, weights)
        load_widened(self.network, dict(start.named_parameters()), theirs)

    def run(self, report: Report) -> None:
        """Fit to the end; ``report(step, metrics)`` is called at every step, before it is saved.

        The metrics are the loss and the mean errors of the step's structures (energy eV/atom, norm
        of the force on an atom eV/Å), and with every checkpoint those of :meth:`errors`.

        Raises:
            InputError: if the loss or its gradient is no longer a finite number.
        """
        for chosen in self._batches():
            metrics = self._update(chosen)
            due = self.step % self.config.checkpoint_every == 0 or self.step == self.config.steps
            if due and self.ranks.is_main:
                metrics |= self.errors(self.valid_set)
            report(self.step, metrics)
            if due:
                self.save()

    def _batches(self) -> Iterator[Tensor]:
        """This rank's structures of each step to come; a function of seed and step alone."""
        size = self.config.batch_size * self.ranks.size
        per_epoch = max(1, len(self.train_set) // size)
        order, epoch = torch.empty(0), -1
        while self.step < self.config.steps:
            if self.step // per_epoch != epoch:
                epoch = self.step // per_epoch
                generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
                order = pooled_order(self.data.molecules.n_atoms[self.train_set], size, generator)
            at = self.step % per_epoch * size
            yield self.train_set[order[at : at + size][self.ranks.rank :: self.ranks.size]]

    def _update(self, chosen: Tensor) -> dict[str, float]:
        rate = self._learning_rate()
        self.network.zero_grad()
        loss, energy_error, force_error = self._loss(chosen)
        torch.autograd.backward(loss)
        self.ranks.average_gradients(list(self.parameters.values()))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), 10.0)
        if not torch.isfinite(norm):  # on all ranks at once
            raise InputError(
                f"the fit has diverged at step {self.step}: its gradient is not a finite number; "
                f"fit again with a lower learning_rate than {self.config.learning_rate:g}"
            )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self.step += 1
        decay = min(self.config.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - decay)
        return {
            "loss": float(loss.detach()),
            "energy_error": float(energy_error),
            "force_error": float(force_error),
            "learning_rate": rate,
        }

    def _learning_rate(self) -> float:
        if self.step < self.config.warmup:
            return self.config.learning_rate * (self.step + 1) / self.config.warmup
        falling = self.config.decay * max(1, self.config.steps - self.config.warmup)
        done = 1 - (self.config.steps - self.step) / falling if falling else 0.0
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * max(0.0, done)))

    def _loss(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        molecules, _, forces = self.data.take(chosen)
        return self.objective(
            molecules.to(self.device),
            self.interaction_energy[chosen].to(self.device),
            forces.to(self.device, torch.float32),
            self.largest_force[chosen].to(self.device),
        )

    @torch.no_grad()
    def errors(self, chosen: Tensor) -> dict[str, float]:
        """Mean absolute errors of the running average, in all and by kind.

        Energies in eV/atom; forces, by component, in eV/Å.
        """
        live = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.network.load_state_dict(self.average, strict=False)
        energy_errors, force_errors = [], []
        for part in torch.split(chosen, 128):
            molecules, _, forces = self.data.take(part)
            molecules = molecules.to(self.device)
            graph = self.objective.batcher(molecules, torch.float32)
            energy, force = predict(self.network, graph)
            error = energy.cpu() - self.interaction_energy[part]
            energy_errors.append(error.abs() / molecules.n_atoms.cpu())
            force_errors.append((force.cpu() - forces).abs().mean(-1))
        self.network.load_state_dict(live, strict=False)
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

    def save(self) -> None:
        """Write the weights and a checkpoint; of several ranks, the first does."""
        if not self.ranks.is_main:
            return
        config = self.shape.model_dump(mode="json")
        save_weights(self.weights, self.average, {"kind": WEIGHTS, "config": config})
        tensors = {f"average/{name}": value for name, value in self.average.items()}
        for name, parameter in self.parameters.items():
            tensors[f"network/{name}"] = parameter.detach()
        for name, state in self._optimizer_states():
            tensors |= {f"{key}/{name}": value for key, value in state.items()}
        self.checkpoints.save(Checkpoint(self.step, tensors, {}))

    def resume(self, report: Callable[[str], object]) -> None:
        """Take up the fit at its latest sound checkpoint, if there is one.

        Args:
            report: is told of checkpoints that are damaged and left out.

        Raises:
            InputError: if there are checkpoints and none is sound.
        """
        checkpoint = self.checkpoints.load_latest(report)
        if checkpoint is None:
            return
        self.step = checkpoint.step
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(checkpoint.tensors[f"network/{name}"])
                self.average[name].copy_(checkpoint.tensors[f"average/{name}"])
        for name, state in self._optimizer_states():
            for key in _REMEMBERED:
                if (tensor := checkpoint.tensors.get(f"{key}/{name}")) is not None:
                    # (Adam counts its steps on the CPU)
                    state[key] = tensor if key == "step" else tensor.to(self.device)

    def _optimizer_states(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """What the optimisers remember of each parameter, by its name."""
        names = {parameter: name for name, parameter in self.parameters.items()}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield names[parameter], optimizer.state[parameter]


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


def _drawn(shape: MaceConfig, seed: int) -> Mace:
    """A network of random weights, on the CPU, which leaves the global generator as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        return Mace(shape)


def _repulsion_of(number: int) -> tuple[float, float]:
    if number not in GFN2_REPULSION:
        raise InputError(
            f"no pair repulsion is known for {chemical_symbols[number]}; "
            f"known are {', '.join(chemical_symbols[z] for z in GFN2_REPULSION)}"
        )
    return GFN2_REPULSION[number]

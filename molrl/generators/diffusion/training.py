"""The training of a denoiser, as the loop of training drives it."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from molrl.chemistry.training_set import TrainingSet
from molrl.errors import InputError
from molrl.fitting.fit import pooled_order
from molrl.fitting.muon import Muon
from molrl.generators.diffusion.cloud import Cloud
from molrl.generators.diffusion.config import DenoiserConfig
from molrl.generators.diffusion.noise import add_noise, draw_known, draw_levels, loss
from molrl.generators.diffusion.weights import DenoiserHeader, build_model, save_denoiser
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.metrics import STEPS, Figure
from molrl.runs.optimizers import restore_weights, weight_tensors
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import OnUpdate, Trainable

MAX_VALID = 400  # molecules of the valid split that the loss is computed on


class DenoiserTraining(Trainable):
    """A training of a denoiser: weights, their running average, the optimisers and the step.

    The noise of a step is a function of seed and step, so that a resumed training goes on bit for
    bit.

    Args:
        config: what to do.
        data: the molecules.
        device: where to compute.
        ranks: those that train together, each on its own part of every batch.

    Attributes:
        config: what to do.
        data: the molecules.
        model: what is trained.
        average: the running average of its weights, by name.

    Example:
        >>> training = DenoiserTraining(config, load_training_set(), "cpu")  # doctest: +SKIP
        >>> molrl.runs.trainer.train(training, RunFolder(config.run_dir))  # doctest: +SKIP
    """

    verb = "train"

    def __init__(
        self, config: DenoiserConfig, data: TrainingSet, device: str, ranks: Ranks | None = None
    ) -> None:
        self.config: DenoiserConfig = config
        self.data, self.ranks = data, ranks or Ranks()
        self.device = torch.device(device)
        self.total_steps, self.checkpoint_every = config.total_steps, config.checkpoint_every
        self.row_every = config.checkpoint_every
        self.evaluate_every = config.evaluate_every
        self._step = 0
        self._train, valid = data.of_split("train"), data.of_split("valid")
        chosen = torch.randperm(len(valid), generator=torch.Generator().manual_seed(0))
        self.valid = valid[chosen[:MAX_VALID]]
        self._header = self._describe()
        self.model = build_model(config.generator, self._header, config.seed).to(self.device)
        self.parameters = dict(self.model.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._optimizers = self._make_optimizers()

    def _describe(self) -> DenoiserHeader:
        elements = self.data.elements
        clean = Cloud.of_molecules(self._train.molecules, elements)
        spread = tuple(
            float(values[clean.mask].square().mean().sqrt())
            for values in (clean.positions, clean.features)
        )
        return DenoiserHeader(
            network=self.config.network,
            elements=elements,
            spread=(spread[0], spread[1]),
            sampling=self.config.sampling,
            sizes=tuple(torch.bincount(self._train.molecules.n_atoms).tolist()),
            steps=0,
        )

    def _make_optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Muon for the matrices between features, Adam for the rest."""
        rate = self.config.learning_rate
        matrices = [p for name, p in self.parameters.items() if _is_hidden(name, p)]
        others = [p for name, p in self.parameters.items() if not _is_hidden(name, p)]
        return Muon(matrices, lr=rate), torch.optim.Adam(others, lr=rate)

    @property
    def steps(self) -> int:
        """Number of optimiser steps done."""
        return self._step

    def run(self, on_update: OnUpdate) -> None:
        """Train to the end.

        Args:
            on_update: called at every step with the losses of the batch, and where a checkpoint
                is due, on the main rank, also those on the valid split.

        Raises:
            InputError: if the gradient is no longer a finite number.
        """
        for chosen in self._batches():
            figures = self._update(chosen)
            due = self._step % self.checkpoint_every == 0 or self._step == self.total_steps
            if due and self.ranks.is_main:
                figures |= self.valid_losses()
            on_update(self._step, figures)

    def _batches(self) -> Iterator[Tensor]:
        """This rank's molecules of each step to come; a function of seed and step alone."""
        size = self.config.batch_size * self.ranks.size
        per_epoch = max(1, len(self._train) // size)
        order, epoch = torch.empty(0), -1
        while self._step < self.total_steps:
            if self._step // per_epoch != epoch:
                epoch = self._step // per_epoch
                random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
                order = pooled_order(self._train.molecules.n_atoms, size, random)
            at = self._step % per_epoch * size
            yield order[at : at + size][self.ranks.rank :: self.ranks.size]

    def _noise(self) -> torch.Generator:
        """Return what draws the noise of this rank's next step."""
        number = (self.config.seed * 1_000_003 + self._step) * self.ranks.size + self.ranks.rank
        return torch.Generator().manual_seed(number)

    def _update(self, chosen: Tensor) -> dict[str, float]:
        random, noise = self._noise(), self.config.noise
        clean = Cloud.of_molecules(self._train.molecules[chosen], self.data.elements)
        clean = draw_known(clean, noise, random)
        sigma = draw_levels(len(clean), noise, random)
        noisy = add_noise(clean, sigma, random)
        self.model.zero_grad()
        of_x, of_h = loss(
            self.model, clean.to(self.device), noisy.to(self.device), sigma.to(self.device)
        )
        torch.autograd.backward(of_x + noise.feature_weight * of_h)
        self.ranks.average_gradients(list(self.parameters.values()))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip)
        if not torch.isfinite(norm):  # on all ranks at once
            raise InputError(
                f"the training has diverged at step {self._step}: its gradient is not a finite "
                f"number; train again with a lower learning_rate than {self.config.learning_rate:g}"
            )
        rate = self._learning_rate()
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self._step += 1
        decay = min(self.config.ema, self._step / (self._step + 10))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - decay)
        return {"loss": float(of_x.detach()), "loss_elements": float(of_h.detach())}

    def _learning_rate(self) -> float:
        peak, warmup = self.config.learning_rate, self.config.warmup
        if self._step < warmup:
            return peak * (self._step + 1) / warmup
        done = (self._step - warmup) / max(1, self.total_steps - warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * done))

    @torch.no_grad()
    def valid_losses(self) -> dict[str, float]:
        """Return the losses of the running average on the valid split, with fixed noise."""
        random = torch.Generator().manual_seed(0)
        live = self._exchange(self.average)
        losses = []
        for part in torch.split(torch.arange(len(self.valid)), 100):
            clean = Cloud.of_molecules(self.valid.molecules[part], self.data.elements)
            clean = draw_known(clean, self.config.noise, random)
            sigma = draw_levels(len(clean), self.config.noise, random)
            noisy = add_noise(clean, sigma, random)
            found = loss(
                self.model, clean.to(self.device), noisy.to(self.device), sigma.to(self.device)
            )
            losses.append(torch.stack(found) * len(part))
        self._exchange(live)
        mean = torch.stack(losses).sum(0) / len(self.valid)
        return {"valid_loss": float(mean[0]), "valid_loss_elements": float(mean[1])}

    def _exchange(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the model other weights, and return those it had."""
        before = {name: p.detach().clone() for name, p in self.parameters.items()}
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])
        return before

    def row(self, step: int, figures: Mapping[str, float]) -> Mapping[str, Figure] | None:
        """Return the row of a step with losses on the valid split; None for another."""
        return {STEPS: step, **figures} if "valid_loss" in figures else None

    def shown(self, figures: Mapping[str, float]) -> Mapping[str, Figure]:
        """Return the loss of positions."""
        return {"loss": figures["loss"]}

    def write_weights(self, folder: Path) -> None:
        """Write the running average of the weights as ``GENERATOR.json``."""
        header = self._header.model_copy(update={"steps": self._step})
        save_denoiser(folder, self.config.generator, header, self.average)

    def snapshot(self) -> Checkpoint:
        """Return weights, their average and what the optimisers remember; as on every rank."""
        tensors = weight_tensors(self.parameters, self.average, self._optimizers)
        return Checkpoint(self._step, tensors, {})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a snapshot.

        Args:
            checkpoint: of a training with the same config and data.
        """
        self._step = checkpoint.step
        restore_weights(checkpoint.tensors, self.parameters, self.average, self._optimizers)


def _is_hidden(name: str, parameter: Tensor) -> bool:
    """Return whether a parameter maps features of a layer to features."""
    return ".layers." in name and parameter.ndim > 1

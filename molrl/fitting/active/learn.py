"""The loop of active learning: search, label, fit again, measure."""

from collections.abc import Sequence
from pathlib import Path

from ase.data import chemical_symbols

from molrl.bags import Bag
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.networks.potential import load_potential, save_potential
from molrl.energy.registry import load_energy, resolve_device
from molrl.errors import InputError
from molrl.fitting.active.config import LearnConfig
from molrl.fitting.active.measure import Attacks, validation_errors
from molrl.fitting.active.sources import Sources
from molrl.fitting.data.dataset import SAME_ATOM, Dataset
from molrl.fitting.data.held_out import read_identities
from molrl.fitting.data.labels import Progress, label
from molrl.fitting.data.loading import load_data
from molrl.fitting.fit import Fit
from molrl.fitting.inputs import KEY, Inputs, start_file
from molrl.fitting.mixture_fit import with_uncertainty
from molrl.generation import Generator
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message
from molrl.runs.ranks import Ranks
from molrl.runs.signals import stopping_at_once
from molrl.runs.trainer import OnUpdate, Trainable, restore_latest, train_saving


class Learning(Trainable):
    """Active learning in a run folder, from the last round that is finished.

    Round 0 is the start. Each round stands in the folder as ``round-K.npz``, what was labelled,
    and ``round-K/``, the fit. What is there is taken as it is. Steps are those of the fits.

    Args:
        config: what to do.
        generators: external generators, in the order of the config's.
        report: called with what is being done, how much of it is done, and how much there is.

    Raises:
        InputError: if the weights or the data are missing or broken, or do not belong together.
    """

    def __init__(
        self, config: LearnConfig, generators: Sequence[Generator], report: Progress
    ) -> None:
        self.config: LearnConfig = config
        self.ranks = Ranks()
        self.total_steps = config.rounds * config.fit.steps
        self.checkpoint_every = config.fit.steps  # one for each round
        self._generators, self._report = generators, report
        self._done = 0  # rounds, with round 0
        self._device = resolve_device(config.device)
        self._start = start_file(config.start)
        self._folder = RunFolder(config.run_dir)
        model = NetworkEnergy(self._start, self._device)
        self._shape = model.potential.config
        shares = config.shares
        self._check_bags(
            "bags", config.bags if max(shares.episodes, shares.hops, shares.hacked) else ()
        )
        self._check_bags("generator_bags", config.generator_bags if config.shares.generated else ())
        for path in config.data:
            if not path.endswith(".npz"):
                raise InputError(f"data: {path} is not a dataset (.npz), which learning takes")
        self._data = load_data(config.data, config.reference)
        self._data.check(model.elements)
        for split in ("train", "valid"):
            if not (self._data.split == self._data.splits.index(split)).any():
                raise InputError(f"data hold no structures of the {split} split")
        self._reference = load_energy(config.reference)
        self._check_atoms(model.potential.atomic_energies)
        self._held_out = read_identities(config.held_out, report)
        held_out = () if config.held_out is None else (config.held_out,)
        self._inputs = Inputs.of((*config.data, *held_out), self._start)

    def _check_atoms(self, energies: Sequence[float]) -> None:
        """Refuse a start that was fitted to another reference, and so to other isolated atoms."""
        of_reference = self._reference.atom_energies()
        for number, energy in zip(self._shape.elements, energies, strict=True):
            wanted = of_reference.get(number, energy)
            if abs(energy - wanted) > SAME_ATOM:
                raise InputError(
                    f"start: isolated {chemical_symbols[number]} has {energy:.6g} eV in "
                    f"{self._start}, and {wanted:.6g} eV by the reference {self.config.reference}; "
                    "name weights that were fitted to it, or the reference that they were fitted to"
                )

    def _check_bags(self, where: str, formulas: Sequence[str]) -> None:
        for formula in formulas:
            if not set(Bag(formula)) <= set(self._shape.elements):
                raise InputError(
                    f"{where}: {formula} has an element that {self._start} does not know"
                )

    @property
    def plot_file(self) -> Path:
        """The picture of errors against the round, PNG."""
        return self._folder.path / "rounds.png"

    def weights(self, number: int) -> Path:
        """The JSON file of the weights of a round; the last is -1."""
        return (
            self._round(range(self.config.rounds + 1)[number]) / f"{self._shape.architecture}.json"
        )

    @property
    def steps(self) -> int:
        """Number of steps of the fits that are done; below 0 before round 0 is."""
        return (self._done - 1) * self.config.fit.steps

    def run(self, on_update: OnUpdate) -> None:
        """Learn to the end.

        Args:
            on_update: called after each round, with its number, the number of labels so far, and
                the errors of its model.

        Raises:
            Stopped: by a signal; a fit is saved first, and what else is unfinished is lost.
        """
        attacks = Attacks(self.config.attacks, self._reference, self._shape.elements)
        data = [self._data]
        for number in range(self.config.rounds + 1):
            with stopping_at_once():
                if number:
                    data.append(self._labelled(number, Dataset.join(data)))
                if number < self._done:
                    continue
                model = self._fitted(number, Dataset.join(data))
                self._report("measuring", number, self.config.rounds)
                figures = {
                    "round": number,
                    "labels": sum(len(part) for part in data[1:]),
                    **attacks.figures(model),
                    **validation_errors(model, self._data),
                }
            self._done = number + 1
            on_update(self.steps, figures)

    def snapshot(self) -> Checkpoint:
        """Return the number of rounds that are done; all else is in their files."""
        return Checkpoint(self.steps, {}, {"rounds": self._done, KEY: self._inputs.to_dict()})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the number of rounds that are done.

        Raises:
            InputError: if the data, the held-out molecules or the start have changed.
        """
        self._inputs.check(checkpoint.state.get(KEY))
        self._done = checkpoint.state["rounds"]

    def _round(self, number: int) -> Path:
        return self._folder.path / f"round-{number}"

    def _labelled(self, number: int, data: Dataset) -> Dataset:
        """Search, label and write the structures of a round; read them if they are there."""
        path = self._round(number).with_suffix(".npz")
        if not path.exists():
            # The states of ions are those of the data, which the network was fitted to.
            model = NetworkEnergy(self.weights(number - 1), self._device).ignoring_charge()
            sources = Sources(self.config, model, data, self._generators, self._held_out, number)
            found = sources.collect(self._report)
            if not found:
                raise InputError(
                    f"shares: in round {number} no source found anything; name other sources, "
                    "or guards that leave more room"
                )
            new, dropped = label(found, self._reference, self.config.max_force, self._report)
            new.save(path)
            log_message(
                f"round {number}: {len(new)} labelled, {dropped.failed.total()} without an energy, "
                f"{dropped.large_force.total()} with too large forces"
            )
        return Dataset.load(path)

    def _fitted(self, number: int, data: Dataset) -> NetworkEnergy:
        """Fit the model of a round, with its uncertainty; round 0 is a copy of the start."""
        weights = self.weights(number)
        if number:
            self._fit(number, data)
        else:
            save_potential(weights, load_potential(self._start)[0])
        return with_uncertainty(weights, data, self.config.seed, self._device, self._report)

    def _fit(self, number: int, data: Dataset) -> None:
        config = self.config
        files = [str(self._round(k).with_suffix(".npz")) for k in range(1, number + 1)]
        fit_config = config.refit(
            str(self._round(number)),
            (*config.data, *files),
            str(self.weights(number - 1)),
            self._shape,
        )
        fit = Fit(fit_config, data, dict(self._reference.atom_energies()), self._device)
        folder, steps = self._round(number), config.fit.steps
        restore_latest(fit, folder, log_message)
        train_saving(fit, folder, lambda step, _: self._report(f"fit, round {number}", step, steps))

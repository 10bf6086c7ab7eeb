"""An agent as something that the loop of training trains, evaluates and saves."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

from ase.data import chemical_symbols

from molrl.agents.evaluation import PolicyEvaluator
from molrl.agents.files import start_file
from molrl.agents.generator import read_policy, save_agent
from molrl.agents.kept import KeptPolicies
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.metrics import STEPS, Figure
from molrl.runs.progress import log_message
from molrl.runs.trainer import OnUpdate, Trainable

_OWN = "kept/"  # prefix of the tensors of the kept policies in a checkpoint


class TrainableAgent(Trainable):
    """An agent, the best of its policies so far, and the average of its weights.

    Args:
        training: the agent, its environments and its optimiser.
        evaluator: of policies during the training.
        decay: of the average; see :class:`KeptPolicies`.
        start: run or file whose weights the training starts from, as in ``run:PATH``; None to
            start at random.

    Attributes:
        training: as given.
        kept: the policies that are kept.
        began: when this process began with the run, as of :func:`time.perf_counter`.
        seconds: wall time of the run before this process.
        endings: number of episodes of the finished training by the reason they ended.
        faults: number of faults of the energy model by kind, as last gathered from the ranks.
        energy_calls: number of its evaluations, likewise, those of the evaluated policies included;
            None after a checkpoint of an earlier version, which has no number.
    """

    def __init__(
        self, training: AgentTraining, evaluator: PolicyEvaluator, decay: float, start: str | None
    ) -> None:
        self.training, self.ranks = training, training.ranks
        self.kept = KeptPolicies(training.network, decay)
        self.seconds = 0.0
        self.endings: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._evaluator, self._start = evaluator, start
        self.energy_calls: int | None = 0
        self._counted: Counter[str] = Counter()
        self._counted_calls = 0
        self.began = perf_counter()

    @property
    def steps(self) -> int:
        """Number of environment steps done, over all ranks."""
        return self.training.steps

    @property
    def elapsed(self) -> float:
        """Wall time of the run so far, s."""
        return self.seconds + perf_counter() - self.began

    def begin(self) -> None:
        """Load the weights to start from.

        Raises:
            InputError: if there are none, or they are of another network or of other elements.
        """
        if self._start is not None:
            load_start(self.training, self._start)
            self.kept.restart()

    def run(self, on_update: OnUpdate) -> None:
        """Train to the end on every rank, and gather :attr:`endings` and costs of all ranks."""

        def after_update(step: int, figures: Mapping[str, float]) -> None:
            self.kept.update(step)
            on_update(step, figures)

        if self.steps < self.total_steps:
            self.training.run(after_update)
        if self.steps < self.total_steps:
            log_message(
                f"a callback has ended the training after {self.steps} of {self.total_steps} steps"
            )
        for endings in self.ranks.gather(self.training.env.endings):
            self.endings += endings
        self._gather_costs()

    def row(self, step: int, figures: Mapping[str, float]) -> Mapping[str, Figure]:
        """Return the row of an update, with the return fraction; None if there is none."""
        fraction = self._evaluator.fraction(figures["return"])
        return {STEPS: step, "return_fraction": fraction, **figures}

    def shown(self, figures: Mapping[str, float]) -> Mapping[str, Figure | str]:
        """Return the return fraction, or the return where there is none."""
        fraction = self._evaluator.fraction(figures["return"])
        if fraction is None:
            return {"return": f"{figures['return']:.2f} eV"}
        return {"return_fraction": fraction}

    def evaluate(self) -> Mapping[str, Figure]:
        """Evaluate the last policy and the average, and keep the best one.

        Returns:
            The figures of :meth:`PolicyEvaluator.evaluate` of the last policy, and those of the
            average with ``average_`` before their names.
        """
        out: dict[str, Figure] = {}
        for which, prefix in (("last", ""), ("average", "average_")):
            with self.kept.using(which):
                figures = self._evaluator.evaluate(self.training.network)
            self.kept.offer(which, self.steps, float(figures["return"] or 0.0))
            out |= {prefix + name: value for name, value in figures.items()}
        return out

    def snapshot(self) -> Checkpoint:
        """Return the snapshot of the agent, with the kept policies."""
        self._gather_costs()
        made = snapshot(self.training)
        tensors, state = self.kept.snapshot()
        made.tensors.update({_OWN + name: tensor for name, tensor in tensors.items()})
        made.state.update(kept=state, seconds=self.elapsed, faults=dict(self.faults))
        made.state["energy_calls"] = self.energy_calls
        return made

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore a snapshot; one of an earlier version has no kept policies.

        Raises:
            InputError: if it does not fit the training.
        """
        restore(self.training, checkpoint)
        self.seconds = checkpoint.state["seconds"]
        self.faults = Counter(checkpoint.state["faults"])
        self.energy_calls = checkpoint.state.get("energy_calls")
        self._counted_calls = self.training.env.energy_model.evaluations
        own = {
            name.removeprefix(_OWN): tensor
            for name, tensor in checkpoint.tensors.items()
            if name.startswith(_OWN)
        }
        if own:
            self.kept.restore(own, checkpoint.state["kept"])
        else:
            self.kept.restart()

    def write_weights(self, folder: Path) -> None:
        """Write the policies that there are: ``policy.json`` is the last one."""
        for which in self.kept.names():
            about = {"steps": self.kept.steps(which), "temperature": self._evaluator.temperature}
            header = self.training.header.model_copy(update=about)
            with self.kept.using(which):
                save_agent(folder, self.training.network, header, which)

    def _gather_costs(self) -> None:
        """Add the faults and the evaluations of all ranks since the last call."""
        model = self.training.env.energy_model
        own = model.faults - self._counted, model.evaluations - self._counted_calls
        for faults, calls in self.ranks.gather(own):
            self.faults += faults
            if self.energy_calls is not None:
                self.energy_calls += calls
        self._counted, self._counted_calls = model.faults.copy(), model.evaluations


def load_start(training: AgentTraining, start: str) -> None:
    """Give a training the weights of another policy.

    What the policy did not observe, such as points to fill, does not change its densities at first.

    Args:
        training: in its first state.
        start: as for :func:`molrl.agents.files.start_file`.

    Raises:
        InputError: if there is none, or it is of another network, of other elements, or observes
            what the task has not.
    """
    path = start_file(start)
    tensors, header = read_policy(path)
    own = training.header
    for key, value in own.policy.model_dump(exclude={"start"}).items():  # the name is the first
        if (theirs := getattr(header.policy, key)) != value:
            raise InputError(
                f"policy.start: the policy of {start} has {key} {theirs}, not {value}; give "
                f"policy.{key}={theirs}, or start from another run"
            )
    if header.elements != own.elements:
        raise InputError(
            f"policy.start: the policy of {start} chooses from the elements "
            f"{_symbols(header.elements)}, the task from {_symbols(own.elements)}; start from "
            "another run"
        )
    known, names = header.inputs.names(), own.inputs.names()
    if lost := sorted(known - names):
        raise InputError(
            f"policy.start: the policy of {start} was trained on {header.task} and observes "
            f"{', '.join(lost)}, which {own.task} has not; start from another run"
        )
    network, new = training.network, sorted(names - known)
    # Only of new inputs may the start have no weights.
    try:
        network.load_state_dict(network.state_dict() | tensors if new else tensors)
    except RuntimeError:
        raise InputError(
            f"policy.start: the weights of {start} do not fit the {own.policy.name} network of "
            "this version of molrl; start from another run"
        ) from None
    if new:
        network.ignore_inputs(new)


def _symbols(numbers: tuple[int, ...]) -> str:
    return ", ".join(chemical_symbols[z] for z in numbers)

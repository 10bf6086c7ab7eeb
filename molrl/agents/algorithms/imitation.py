"""PPO that also imitates the relaxed molecules of its own episodes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import Tensor

from molrl.agents.algorithms.archive import Admission, Archive
from molrl.agents.algorithms.arrangements import Arrangements
from molrl.agents.algorithms.examples import buildable, check_bags_only, load_examples
from molrl.agents.algorithms.interface import Infos, Position
from molrl.agents.algorithms.on_policy import OnPolicy, PPOAlgorithm
from molrl.agents.algorithms.optimizer import MuonAdam
from molrl.agents.algorithms.parallel import Losses, ParallelPPO
from molrl.agents.algorithms.replay import ImitationLoss, Replay
from molrl.agents.imitation_config import ImitationConfig
from molrl.agents.policy import NetworkPolicy
from molrl.agents.vec_env import builder_of
from molrl.envs.rules import REASON_TEXTS, Reason
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.tasks import Instance

_DONE = REASON_TEXTS[Reason.COMPLETE]
_OWN = "archive/"  # prefix of the tensors of the archive in a snapshot


class ImitatingPPO(ParallelPPO):
    """PPO with a second loss: minus the log-likelihood of placements of relaxed molecules.

    Complete molecules of a rollout are relaxed, those of new isomers first, and kept in an archive.
    Every step of the optimiser adds placements of molecules from it, in random orders. The policy
    thus learns relaxed geometries of all isomers it has found, in proportion to their Boltzmann
    weights, where the reward alone would lead it to one. In a shape or around a solute it learns
    arrangements by their returns; see
    :class:`molrl.agents.algorithms.arrangements.Arrangements`. Advantages are in units of their
    spread, but at least of the temperature, so that differences below it fade. The optimiser is
    :class:`molrl.agents.algorithms.optimizer.MuonAdam`.

    Args:
        builder: the environment of molrl.
        config: of the algorithm.
        options: those of :class:`ParallelPPO`.

    Attributes:
        archive: of relaxed molecules.
        complete: the complete molecules of the rollout.
    """

    def __init__(
        self,
        builder: MolDesignVectorEnv,
        config: ImitationConfig,
        **options: Any,  # noqa: ANN401 - SB3's
    ) -> None:
        super().__init__(**options)
        self._config = config
        n_fixed = len(builder.task.examples[0].fixed)
        self.least_deviation = config.temperature / config.reward_scale
        self.complete: list[MoleculeBatch] = []
        self._losses_seen: list[float] = []
        self._imitated: ImitationLoss | None = None  # of the placements beside the minibatch
        policy, limit = self.policy, builder.problem.context.rules.max_uncertainty
        assert isinstance(policy, NetworkPolicy)
        self._network = policy.network
        policy.optimizer = MuonAdam(policy, config.learning_rate)
        admission = Admission(
            lengths=self._network.lengths,
            max_uncertainty=None if limit is None else float(limit),
            per_update=config.relaxations,
            temperature=config.temperature,
            n_fixed=n_fixed,
        )
        shortest, reach = admission.lengths
        self._replay = Replay(builder.problem, config.jitter, config.skeleton_first, n_fixed, reach)
        self.archive = _archive(builder, admission, self._replay)
        if config.molecules:
            data = load_examples(config.molecules, builder.task, builder.elements)
            given = self.archive.rated(buildable(data, admission.lengths))
            if not given:
                raise InputError(
                    f"imitation: none of the molecules is of {builder.task}, with all bonds "
                    f"between {shortest} and {reach} Å, and has an energy; give others, or none"
                )
            self.archive.add(given)

    def train(self) -> None:
        """Relax the molecules of the rollout, and update the policy."""
        found = self.archive.relaxed(MoleculeBatch.cat(self.complete)) if self.complete else []
        self.archive.add([isomer for of_rank in self.ranks.gather(found) for isomer in of_rank])
        self.complete, self._losses_seen = [], []
        super().train()
        self.logger.record("train/isomers", self.archive.n_identities())
        losses = self._losses_seen
        self.logger.record("train/imitation_loss", np.mean(losses) if losses else np.nan)

    def _losses(self, samples: DictRolloutBufferSamples, clip_range: float) -> Losses:
        """Return the losses of PPO; zeros, beside that of imitation, where it has ended."""
        done = min(1.0, 1 - self._current_progress_remaining)  # the last update goes beyond
        if not self.archive.isomers or done <= self._config.reinforce_until:
            return super()._losses(samples, clip_range)
        observation, actions = self._placements(samples)
        made = self._network.evaluate_actions(observation, actions)
        self._imitated = ImitationLoss.of(made)
        none = torch.zeros_like(self._imitated.total)
        return Losses(policy=none, value=none, entropy=none, kl=0.0)

    def _evaluated(self, samples: DictRolloutBufferSamples) -> tuple[Tensor, Tensor, Tensor]:
        """Return those of the minibatch, evaluated in one batch with placements of the archive."""
        if not self.archive.isomers:
            self._imitated = None
            return super()._evaluated(samples)
        observation, actions = self._placements(samples)
        both = {
            key: torch.cat([values, observation[key]])
            for key, values in samples.observations.items()
        }
        made = self._network.evaluate_actions(both, torch.cat([samples.actions, actions]))
        n = len(samples.actions)
        self._imitated = ImitationLoss.of(made[n:])
        return made.value[:n, None], made.log_prob[:n], made.entropy[:n]

    def _placements(self, like: DictRolloutBufferSamples) -> tuple[dict[str, Tensor], Tensor]:
        """Return observations and actions of the archive, of the types of a minibatch."""
        rng = np.random.default_rng(int(torch.randint(2**62, (1,))))
        isomers = self.archive.draw(self._config.imitation_batch, rng)
        observation, actions = self._replay.draw(isomers, rng)
        observed = {
            key: torch.as_tensor(observation[key]).to(values)
            for key, values in like.observations.items()
        }
        return observed, torch.as_tensor(actions).to(like.actions)

    def _further_loss(self) -> Tensor | float:
        """Return the loss of the imitation; 0 while there are no molecules."""
        if self._imitated is None:
            return 0.0
        total, by_lobes = self._imitated.total, self._imitated.by_lobes
        self._losses_seen.append(float(total.detach()))
        return self._config.imitation_coef * (total + self._config.lobes_coef * by_lobes)


class Imitation(OnPolicy[ImitationConfig]):
    """Relax and imitate: PPO with :class:`ImitatingPPO`, on one rank or on several.

    Args:
        config: of the algorithm.
        setup: what is trained.

    Attributes:
        model: the algorithm of SB3.
    """

    logged = {  # noqa: RUF012 - a ClassVar, as in the base class
        **PPOAlgorithm.logged,
        "imitation_loss": "imitation_loss",
        "isomers": "isomers",
    }

    model: ImitatingPPO

    def make_model(self, **options: Any) -> PPO:  # noqa: ANN401 - SB3's
        """Return the algorithm of SB3, with an empty archive.

        Raises:
            InputError: if the task has different numbers of fixed atoms, a shape or refills with
                several bags, or a shape with fixed atoms.
        """
        self._builder = builder_of(self.setup.env)
        _check_task(self._builder)
        if self.config.molecules:
            check_bags_only(self._builder.task, "imitation of given molecules")
        return ImitatingPPO(self._builder, self.config, ranks=self.setup.ranks, **options)

    def run(self, on_step: Callable[[Infos], None], on_update: Callable[[], None]) -> None:
        """Train until the end; see :meth:`Algorithm.run`."""

        def collect(infos: Infos) -> None:
            complete = [
                i for i, info in enumerate(infos) if info.get("episode", {}).get("reason") == _DONE
            ]
            if complete:
                assert self._builder.last_state is not None
                states = self._builder.last_state[np.array(complete)]
                self.model.complete.append(states.to_molecules())
            on_step(infos)

        super().run(collect, on_update)

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights, the optimiser, the number of updates and the archive."""
        tensors, state = super().snapshot()
        own, of_archive = self.model.archive.snapshot()
        tensors |= {_OWN + name: tensor for name, tensor in own.items()}
        return tensors, {**state, "archive": of_archive}

    def restore(
        self, position: Position, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Restore a snapshot; see :meth:`Algorithm.restore`."""
        super().restore(position, tensors, state)
        own = {k.removeprefix(_OWN): x for k, x in tensors.items() if k.startswith(_OWN)}
        self.model.archive.restore(own, state["archive"])


def _archive(env: MolDesignVectorEnv, admission: Admission, replay: Replay) -> Archive:
    """Return the empty archive of a task: of isomers, or of arrangements."""
    if _is_arranged(env.task.examples[0]):
        return Arrangements(env.energy_model, admission, replay)
    return Archive(env.energy_model, admission)


def _is_arranged(instance: Instance) -> bool:
    return bool(len(instance.shape) or instance.refills)


def _check_task(env: MolDesignVectorEnv) -> None:
    examples = env.task.examples
    if len({len(example.fixed) for example in examples}) > 1:
        raise InputError(
            f"imitation needs as many fixed atoms in all molecules, which {env.task} has not; "
            "train with ppo"
        )
    arranged = [example for example in examples if _is_arranged(example)]
    if arranged and (len(examples) > 1 or (len(arranged[0].shape) and len(arranged[0].fixed))):
        raise InputError(
            f"imitation of a shape or of refills is for one bag, and a shape without fixed atoms, "
            f"not for {env.task}; train with ppo"
        )

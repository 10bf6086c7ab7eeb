"""Generators that are called by the kind of their policy."""

from molrl.agents.files import SHIPPED
from molrl.agents.generator import AgentGenerator


class InternalAgent(AgentGenerator):
    """Generator that samples an agent with internal coordinates, the published baseline.

    It is that of a run of ``molrl train`` with ``policy: {name: internal}``; none ships.

    Args:
        run: run folder, or JSON file of a policy.
        energy: energy model of the returns; None: that of the training.
        device: device of the network: ``auto``, ``cpu`` or ``cuda``.
        reward: reward terms of the returns; None: there are no returns, and no energy is evaluated.
        policy: ``"best"``, ``"average"`` or ``"last"`` of a run folder; None: the best if there is
            one.
        temperature: of the sampling, 0.001 to 100; None: that of the evaluations of the training.

    Raises:
        InputError: as :class:`AgentGenerator`, and if the run has another policy.

    Example:
        >>> molrl.load_generator("internal:runs/internal")  # doctest: +SKIP
    """

    kind = "internal"


class CovariantAgent(AgentGenerator):
    """Generator that samples the policy that ships, or that of a run.

    It builds molecules of any formula of H, C, N, O, F and S with up to nine heavy atoms. It has
    learned from molecules, but none of :data:`molrl.chemistry.training_set.HELD_OUT`;
    its card stands beside the weights. ``policy: {start: covariant}`` trains it further.

    Args:
        run: run folder of ``molrl train``, or JSON file of a policy; None: the policy that ships.
        energy: energy model of the returns; None: ``mace``, or that of the training of the run.
        device: device of the network: ``auto``, ``cpu`` or ``cuda``.
        reward: reward terms of the returns; None: there are no returns, and no energy is evaluated.
        policy: ``"best"``, ``"average"`` or ``"last"`` of a run folder; None: the best if there is
            one.
        temperature: of the sampling, 0.001 to 100; below 1 more molecules are valid and less
            strained, and fewer are different; None: 0.85 of the policy that ships, and that of the
            evaluations of the training of a run.

    Raises:
        InputError: as :class:`AgentGenerator`, and if the run has another policy.

    Example:
        >>> generator = molrl.load_generator("covariant")  # doctest: +SKIP
        >>> generator.generate("C4H7N", n=100, seed=0).molecules  # doctest: +SKIP
    """

    kind, shipped = "covariant", SHIPPED["covariant"]

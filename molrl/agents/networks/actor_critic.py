"""Actor-critic networks that choose focus, element, distance and direction, one after another.

After Simm, Pinsler, Csányi and Hernández-Lobato, ICLR 2021.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from molrl.agents.config import ActorCriticConfig
from molrl.agents.interface import (
    ActionEvaluation,
    Decision,
    Inputs,
    Observations,
    PolicyNetwork,
)
from molrl.agents.networks.canvas import Canvas
from molrl.agents.networks.distance import DistanceDensity
from molrl.agents.networks.encoded import Chosen, Encoded
from molrl.agents.networks.encoder import MAX_NUMBER, Encoder, mlp
from molrl.agents.networks.points import PointEncoder
from molrl.agents.networks.sphere import inverse_cdf

_COUNTS = 3  # input features of each count in the bag


class Directions(Protocol):
    """Densities of n directions; see :class:`molrl.agents.networks.lobes.DirectionDensity`."""

    def log_prob(self, directions: Tensor) -> Tensor:
        """Return log-densities ``(n,)`` with respect to the uniform measure of mass 1."""

    def log_probs(self, directions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return :meth:`log_prob`, and that of the sharp terms alone, or None if there are none."""

    def entropy(self) -> Tensor:
        """Return entropies ``(n,)`` in nats, 0 for a uniform density."""

    def sample(self, noise: Tensor) -> Tensor:
        """Draw unit vectors ``(n, 3)``, by noise ``(n, 5)`` uniform in [0, 1)."""

    def mode(self) -> Tensor:
        """Return the most probable unit vectors ``(n, 3)``."""

    def tempered(self, temperature: float) -> Self:
        """Return the densities to the power 1 / T, normed."""


class ActorCriticNetwork(PolicyNetwork):
    """Policy and invariant critic that share one covariant encoder.

    Subclasses choose the direction. Atoms see points to fill and whether they are fixed, and the
    bag its refills, where the observation has them.

    Args:
        config: sizes and limits.
        inputs: what is observed.
    """

    n_noise = 9
    covariant = True

    def __init__(self, config: ActorCriticConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        n_elements = inputs.n_elements
        width, channels, degree = config.width, config.channels, config.degree
        self.encoder = Encoder(width, channels, degree, config.layers, config.cutoff)
        self.bag = mlp(_COUNTS * n_elements, width, width)
        self.empty = nn.Parameter(torch.zeros(width))
        self.element = nn.Embedding(n_elements, width)
        self.focus_head = mlp(2 * width, width, 1)
        self.element_head = mlp(3 * width, width, n_elements)
        self.pool = mlp(width, width, width)
        self.critic = mlp(2 * width, 2 * width, 1)
        self.distance_head = mlp(3 * width, width, 3 * config.distance_terms)
        self.pair_means = nn.Embedding((MAX_NUMBER + 1) * n_elements, config.distance_terms)
        nn.init.zeros_(self.pair_means.weight)
        shrink(self.focus_head, self.element_head, self.critic, self.distance_head)
        self.build_directions()
        # drawn last: the weights of a seed are the same without them
        self.refills = mlp(_COUNTS, width, width) if inputs.refills else None
        self.points = (
            PointEncoder(width, channels, degree, config.cutoff) if inputs.points else None
        )
        self.fixed = nn.Embedding(2, width) if inputs.fixed else None

    @abstractmethod
    def build_directions(self) -> None:
        """Make the layers of :meth:`directions`; called once, when the other ones are made."""

    @abstractmethod
    def directions(self, encoded: Encoded, chosen: Chosen, distance: Tensor) -> Directions:
        """Return the densities of the direction, given focus, element and distance.

        Args:
            encoded: n encoded canvases.
            chosen: focus and element of each.
            distance: ``(n,)`` Å.
        """

    def ignore_inputs(self, names: Collection[str]) -> None:
        """Set the last weights of inputs to zero; see :meth:`PolicyNetwork.ignore_inputs`."""
        for name in names:
            part = getattr(self, name)
            last = {"points": ("scalars.2", "features"), "refills": ("2",), "fixed": ("",)}[name]
            for path in last:
                for weight in part.get_submodule(path).parameters():
                    nn.init.zeros_(weight)

    @property
    def min_displacement(self) -> float:
        """Smallest distance of a new atom from its focus, Å."""
        return self.config.distances[0]

    @property
    def max_displacement(self) -> float:
        """Largest distance of a new atom from its focus, Å."""
        return self.config.distances[1]

    def act(self, observation: Observations, noise: Tensor) -> Decision:
        """Draw actions; see :meth:`PolicyNetwork.act`."""
        return Actor(self, observation).sample(noise)

    def act_tempered(
        self, observation: Observations, noise: Tensor, temperature: float
    ) -> Decision:
        """Draw actions; see :meth:`PolicyNetwork.act_tempered`."""
        return Actor(self, observation).sample(noise, temperature)

    def act_greedily(self, observation: Observations) -> Decision:
        """Choose the most probable sub-actions, one after another.

        On a symmetric canvas the most probable direction is not unique, so this says little about
        the quality of the policy; use :meth:`act` for that.
        """
        return Actor(self, observation).mode()

    def evaluate_actions(self, observation: Observations, actions: Tensor) -> ActionEvaluation:
        """Evaluate actions; see :meth:`PolicyNetwork.evaluate_actions`."""
        return Actor(self, observation).evaluate_actions(actions)

    def predict_values(self, observation: Observations) -> Tensor:
        """Return expected returns; see :meth:`PolicyNetwork.predict_values`."""
        return Actor(self, observation).value()

    def encode(self, canvas: Canvas) -> Encoded:
        """Encode canvases; all other methods take the result."""
        bag = self.bag(_count_features(canvas.bag))
        if self.refills is not None and canvas.refills is not None:
            bag = bag + self.refills(_count_features(canvas.refills[:, None]))
        scalars, functions = self.encoder(canvas.molecules, bag, *self._seen(canvas))
        pooled = canvas.molecules.sum_atoms(self.pool(scalars))
        empty = (canvas.molecules.n_atoms == 0)[:, None]
        return Encoded(canvas, bag, scalars, functions, torch.where(empty, self.empty, pooled))

    def _seen(self, canvas: Canvas) -> tuple[Tensor | None, Tensor | None]:
        """Return scalars and features of what the atoms are told besides each other."""
        scalars, features = None, None
        if self.points is not None and canvas.points is not None:
            scalars, features = self.points(canvas.molecules, canvas.points)
        if self.fixed is not None and canvas.n_fixed is not None:
            owner = canvas.molecules.molecule
            rank = torch.arange(len(owner), device=owner.device) - canvas.molecules.starts[owner]
            marks = self.fixed((rank < canvas.n_fixed[owner]).long())
            scalars = marks if scalars is None else scalars + marks
        return scalars, features

    def value(self, encoded: Encoded) -> Tensor:
        """Return expected returns ``(n,)``, in units of the reward scale."""
        value: Tensor = self.critic(torch.cat([encoded.pooled, encoded.bag], -1))
        return value[:, 0]

    def focus(self, encoded: Encoded) -> Tensor:
        """Return log-probabilities ``(n, n_slots)`` of the focus; unused on an empty canvas."""
        molecules = encoded.canvas.molecules
        logits = self.focus_head(torch.cat([encoded.scalars, encoded.bag[molecules.molecule]], -1))[
            :, 0
        ]
        mask = encoded.canvas.focus_mask
        present = torch.arange(mask.shape[1], device=mask.device) < molecules.n_atoms[:, None]
        padded = logits.new_zeros(mask.shape).masked_scatter(present, logits)
        return torch.log_softmax(padded.masked_fill(~(mask & present), -1e9), dim=-1)

    def at_focus(self, encoded: Encoded, focus: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scalars and features of the focal atoms.

        Args:
            encoded: n encoded canvases.
            focus: ``(n,)`` int64, slots.

        Returns:
            ``(n, 2 * width)``, with the pooled scalars where a canvas is empty, and
            ``(n, (degree + 1)^2, channels)``.
        """
        molecules = encoded.canvas.molecules
        occupied = molecules.n_atoms > 0
        atoms = (molecules.starts + focus)[occupied]
        scalars, of_atoms = encoded.pooled.clone(), encoded.scalars.index_select(0, atoms)
        scalars[occupied] = of_atoms
        made = self.encoder.features(of_atoms, encoded.functions.select(atoms))
        features = made.new_zeros(len(focus), *made.shape[1:])
        features[occupied] = made
        return torch.cat([scalars, encoded.bag], -1), features

    def elements(self, encoded: Encoded, scalars: Tensor) -> Tensor:
        """Return log-probabilities ``(n, n_elements)`` of the element, given the focus.

        Args:
            encoded: n encoded canvases.
            scalars: ``(n, 2 * width)``, from :meth:`at_focus`.
        """
        logits = self.element_head(torch.cat([scalars, encoded.pooled], -1))
        return torch.log_softmax(logits.masked_fill(~encoded.canvas.element_mask, -1e9), dim=-1)

    def distances(self, encoded: Encoded, chosen: Chosen) -> DistanceDensity:
        """Return the densities of the distance, given focus and element.

        Args:
            encoded: n encoded canvases.
            chosen: focus and element of each.
        """
        molecules, n_elements = encoded.canvas.molecules, self.element.num_embeddings
        occupied = molecules.n_atoms > 0
        pair = chosen.element.clone()
        atoms = (molecules.starts + chosen.focus)[occupied]
        pair[occupied] += n_elements * molecules.numbers[atoms]
        weights, means, widths = self.distance_head(chosen.context).chunk(3, dim=-1)
        low, high = self.config.distances
        spread = torch.linspace(-1, 1, self.config.distance_terms, device=means.device)
        return DistanceDensity(
            torch.log_softmax(weights, dim=-1),
            low + (high - low) * torch.sigmoid(2 * (means + self.pair_means(pair)) + spread),
            self.config.min_width + 0.5 * torch.sigmoid(2 * widths - 1),
            self.config.distances,
        )


class Actor:
    """Policy and critic for one batch of observations, which is encoded once.

    Args:
        network: the network.
        observation: batched observation of the environment.

    Attributes:
        encoded: the encoded canvases.
        occupied: ``(n,)`` bool, canvases with an atom.
    """

    def __init__(self, network: ActorCriticNetwork, observation: dict[str, Tensor]) -> None:
        self.network = network
        self.encoded = network.encode(Canvas.from_observation(observation))
        self.occupied = self.encoded.canvas.molecules.n_atoms > 0

    def value(self) -> Tensor:
        """Return expected returns ``(n,)``, in units of the reward scale."""
        return self.network.value(self.encoded)

    def sample(self, noise: Tensor, temperature: float = 1.0) -> Decision:
        """Draw actions.

        Args:
            noise: ``(n, 9)`` uniform in [0, 1).
            temperature: T; each sub-action is drawn from its density to the power 1 / T.
        """
        return self._decide(
            lambda log_p: inverse_cdf(log_p.exp(), noise[:, 0]),
            lambda log_p: inverse_cdf(log_p.exp(), noise[:, 1]),
            lambda density: density.sample(noise[:, 2:4]),
            lambda density: density.sample(noise[:, 4:9]),
            temperature,
        )

    def mode(self) -> Decision:
        """Choose the most probable sub-actions, one after another."""
        return self._decide(
            lambda log_p: log_p.argmax(-1),
            lambda log_p: log_p.argmax(-1),
            lambda density: density.mode(),
            lambda density: density.mode(),
        )

    def _decide(
        self,
        of_focus: Callable[[Tensor], Tensor],
        of_element: Callable[[Tensor], Tensor],
        of_distance: Callable[[DistanceDensity], Tensor],
        of_direction: Callable[[Directions], Tensor],
        temperature: float = 1.0,
    ) -> Decision:
        """Select sub-actions one after another, each from its density given the earlier ones."""
        net, encoded, occupied = self.network, self.encoded, self.occupied
        log_focus = _tempered(net.focus(encoded), temperature)
        focus = of_focus(log_focus) * occupied
        scalars, features = net.at_focus(encoded, focus)
        log_element = _tempered(net.elements(encoded, scalars), temperature)
        element = of_element(log_element)
        context = torch.cat([scalars, net.element(element)], -1)
        chosen = Chosen(focus, element, context, features)
        distances = net.distances(encoded, chosen)
        if temperature != 1:
            distances = distances.tempered(temperature)
        distance = of_distance(distances).detach()
        directions = net.directions(encoded, chosen, distance)
        if temperature != 1:
            directions = directions.tempered(temperature)
        direction = of_direction(directions).detach()
        shift = torch.where(occupied[:, None], distance[:, None] * direction, 0.0)
        placed = distances.log_prob(distance) + directions.log_prob(direction)
        rest = log_focus.gather(1, focus[:, None])[:, 0] + placed
        return Decision(
            actions=torch.cat([focus[:, None], element[:, None], shift], -1).float(),
            log_prob=log_element.gather(1, element[:, None])[:, 0]
            + torch.where(occupied, rest, 0.0),
            value=self.value(),
        )

    def evaluate_actions(self, actions: Tensor) -> ActionEvaluation:
        """Return values, log-probabilities and entropies of actions.

        Args:
            actions: ``(n, 5)``, as from :meth:`sample`.
        """
        net, encoded, occupied = self.network, self.encoded, self.occupied
        focus, element = actions[:, 0].round().long(), actions[:, 1].round().long()
        log_focus = net.focus(encoded)
        focus = focus * occupied
        scalars, features = net.at_focus(encoded, focus)
        log_element = net.elements(encoded, scalars)
        context = torch.cat([scalars, net.element(element)], -1)
        chosen = Chosen(focus, element, context, features)
        low, high = net.config.distances
        # an empty canvas has no displacement; any in the window keeps the numbers finite
        shift = torch.where(occupied[:, None], actions[:, 2:], actions.new_tensor([0, 0, low]))
        distance = shift.norm(dim=-1)
        inside = distance.clamp(low, high)
        distances = net.distances(encoded, chosen)
        directions = net.directions(encoded, chosen, inside)
        of_direction, by_lobes = directions.log_probs(shift / distance[:, None])
        placed = distances.log_prob(inside) + of_direction
        log_prob = log_element.gather(1, element[:, None])[:, 0]
        rest = log_focus.gather(1, focus[:, None])[:, 0] + placed
        spread = entropy(log_focus) + distances.entropy() + directions.entropy()
        return ActionEvaluation(
            value=self.value(),
            log_prob=log_prob + torch.where(occupied, rest, 0.0),
            entropy=entropy(log_element) + torch.where(occupied, spread, 0.0),
            by_lobes=None if by_lobes is None else torch.where(occupied, by_lobes, 0.0),
        )


def entropy(log_p: Tensor) -> Tensor:
    """Return entropies ``(n,)`` of log-probabilities ``(n, m)``; masked ones (-1e9) add 0."""
    return -(log_p.exp() * log_p).sum(-1)


def _tempered(log_p: Tensor, temperature: float) -> Tensor:
    """Return the log-probabilities ``(n, m)`` of probabilities to the power 1 / T."""
    return log_p if temperature == 1 else torch.log_softmax(log_p / temperature, dim=-1)


def _count_features(counts: Tensor) -> Tensor:
    """Return features ``(n, 3 * m)`` of counts ``(n, m)``, of which small ones differ most."""
    return torch.cat([counts / 10, counts.clamp(max=2) / 2, counts.clamp(max=1)], -1)


def shrink(*heads: nn.Sequential) -> None:
    """Initialise the last layers of heads so that the densities are almost uniform."""
    for head in heads:
        last = head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)

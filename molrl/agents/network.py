"""The covariant actor-critic: focus, element, distance, direction, one after the other.

After Simm, Pinsler, Csányi and Hernández-Lobato, ICLR 2021.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molrl.agents.config import PolicyConfig
from molrl.agents.distance import DistanceDensity
from molrl.agents.encoder import DegreeLinear, Encoder, Gaunt, degree_index, mlp
from molrl.agents.sphere import SphericalDensity, cap_sharpness, inverse_cdf
from molrl.molecules import MoleculeBatch

_COUNTS = 3  # features of each count in the bag


@dataclass
class Canvas:
    """What the network works on, flat.

    Attributes:
        molecules: the atoms present, float32.
        bag: ``(n, n_elements)`` counts left, float32.
        focus_mask: ``(n, n_slots)`` bool, slots that may be the focus; slots hold the molecule's
            atoms in order.
        element_mask: ``(n, n_elements)`` bool.
    """

    molecules: MoleculeBatch
    bag: Tensor
    focus_mask: Tensor
    element_mask: Tensor

    @classmethod
    def of(cls, observation: dict[str, Tensor]) -> "Canvas":
        """From the environment's observation, batched; any numeric dtypes."""
        numbers = observation["numbers"]
        slots = max(1, int((numbers > 0).sum(-1).max()))
        return cls(
            MoleculeBatch.from_padded(numbers, observation["positions"].float()),
            observation["bag"].float(),
            observation["focus_mask"][:, :slots] > 0,
            observation["element_mask"] > 0,
        )


@dataclass
class ActionEvaluation:
    """What the network says of actions.

    Attributes:
        value: ``(n,)`` expected return, in units of the reward scale.
        log_prob: ``(n,)`` nats; directions count by the uniform measure of mass 1, distances
            per Å. On an empty canvas only the element counts.
        entropy: ``(n,)`` nats, relative to uniform for distance and direction: that of the focus,
            and of each later choice given the earlier ones taken.
    """

    value: Tensor
    log_prob: Tensor
    entropy: Tensor


class CovariantNetwork(nn.Module):
    """Covariant policy and invariant critic on one encoder.

    Turning or mirroring the canvas turns or mirrors the densities with it, moving it changes
    nothing, and the order of the atoms does not matter.

    Args:
        config: sizes and limits.
        n_elements: length of the environment's ``elements``.
    """

    def __init__(self, config: PolicyConfig, n_elements: int) -> None:
        super().__init__()
        self.config = config
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
        self.direction_head = DirectionHead(3 * width, width, channels, degree)
        _shrink(self.focus_head, self.element_head, self.critic, self.distance_head)

    def encode(self, canvas: Canvas) -> "Encoded":
        """Run the encoder; everything else hangs on it."""
        counts = canvas.bag
        bag = self.bag(torch.cat([counts / 10, counts.clamp(max=2) / 2, counts.clamp(max=1)], -1))
        scalars, features = self.encoder(canvas.molecules, bag)
        pooled = canvas.molecules.sum_atoms(self.pool(scalars))
        empty = (canvas.molecules.n_atoms == 0)[:, None]
        return Encoded(canvas, bag, scalars, features, torch.where(empty, self.empty, pooled))

    def value(self, encoded: "Encoded") -> Tensor:
        """Expected return ``(n,)``, in units of the reward scale."""
        value: Tensor = self.critic(torch.cat([encoded.pooled, encoded.bag], -1))
        return value[:, 0]

    def focus(self, encoded: "Encoded") -> Tensor:
        """Log-probabilities ``(n, n_slots)`` of the focus; on an empty canvas they mean nothing."""
        molecules = encoded.canvas.molecules
        logits = self.focus_head(torch.cat([encoded.scalars, encoded.bag[molecules.molecule]], -1))[
            :, 0
        ]
        mask = encoded.canvas.focus_mask
        present = torch.arange(mask.shape[1], device=mask.device) < molecules.n_atoms[:, None]
        padded = logits.new_zeros(mask.shape).masked_scatter(present, logits)
        return torch.log_softmax(padded.masked_fill(~(mask & present), -1e9), dim=-1)

    def at_focus(self, encoded: "Encoded", focus: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars ``(n, 2 * width)``, features of the focal atoms; the pool on empty canvases."""
        molecules = encoded.canvas.molecules
        occupied = molecules.n_atoms > 0
        atoms = (molecules.starts + focus)[occupied]
        scalars = encoded.pooled.clone()
        scalars[occupied] = encoded.scalars[atoms]
        features = encoded.features.new_zeros(len(focus), *encoded.features.shape[1:])
        features[occupied] = encoded.features[atoms]
        return torch.cat([scalars, encoded.bag], -1), features

    def elements(self, encoded: "Encoded", scalars: Tensor) -> Tensor:
        """Log-probabilities ``(n, n_elements)`` of the element, given the focus."""
        logits = self.element_head(torch.cat([scalars, encoded.pooled], -1))
        return torch.log_softmax(logits.masked_fill(~encoded.canvas.element_mask, -1e9), dim=-1)

    def distances(self, context: Tensor) -> DistanceDensity:
        """Density of the distance, given focus and element."""
        weights, means, widths = self.distance_head(context).chunk(3, dim=-1)
        low, high = self.config.distances
        spread = torch.linspace(-1, 1, self.config.distance_terms, device=means.device)
        return DistanceDensity(
            torch.log_softmax(weights, dim=-1),
            low + (high - low) * torch.sigmoid(2 * means + spread),
            self.config.min_width + 0.5 * torch.sigmoid(2 * widths - 1),
            self.config.distances,
        )

    def directions(self, context: Tensor, distance: Tensor, features: Tensor) -> SphericalDensity:
        """Density of the direction, given focus, element and distance."""
        coefficients = self.direction_head(context, distance, features)
        return SphericalDensity(cap_sharpness(coefficients, self.config.sharpness))


@dataclass
class Encoded:
    """A canvas that went through the encoder.

    Attributes:
        canvas: what was encoded.
        bag: ``(n, width)`` embedding of the bag.
        scalars: ``(n_atoms_total, width)``.
        features: ``(n_atoms_total, (degree + 1)^2, channels)``.
        pooled: ``(n, width)``, of the whole canvas.
    """

    canvas: Canvas
    bag: Tensor
    scalars: Tensor
    features: Tensor
    pooled: Tensor


class DirectionHead(nn.Module):
    """From the focal atom's features to the coefficients of the direction's log-density.

    Args:
        n_context: scalars that describe focus and element.
        width: hidden size.
        channels: spherical features per degree.
        degree: highest degree.
    """

    def __init__(self, n_context: int, width: int, channels: int, degree: int) -> None:
        super().__init__()
        self.degree, self.channels = degree, channels
        self.mix = mlp(n_context + 4, width, 2 * channels * (degree + 1))
        self.gaunt = Gaunt(channels, degree)
        self.out = DegreeLinear(2 * channels, 1, degree)
        self.degree_of: Tensor
        self.register_buffer("degree_of", degree_index(degree), persistent=False)

    def forward(self, context: Tensor, distance: Tensor, features: Tensor) -> Tensor:
        """Coefficients ``(n, (degree + 1)^2)`` before the cap."""
        powers = torch.stack([(distance - 1.2) ** p for p in range(1, 5)], dim=-1)
        weights = self.mix(torch.cat([context, powers], -1))
        weights = weights.view(len(context), 2, self.degree + 1, self.channels)[
            :, :, self.degree_of
        ]
        product, _ = self.gaunt(features * weights[:, 0])
        out: Tensor = self.out(torch.cat([features * weights[:, 1], product], -1))
        return out[..., 0]


class Actor:
    """Chooses and judges actions on one encoded canvas.

    Args:
        network: the network.
        observation: the environment's, batched.
    """

    def __init__(self, network: CovariantNetwork, observation: dict[str, Tensor]) -> None:
        self.network = network
        self.encoded = network.encode(Canvas.of(observation))
        self.occupied = self.encoded.canvas.molecules.n_atoms > 0

    def value(self) -> Tensor:
        """Expected return ``(n,)``, in units of the reward scale."""
        return self.network.value(self.encoded)

    @torch.no_grad()
    def sample(self, noise: Tensor) -> Tensor:
        """Actions ``(n, 5)`` drawn with uniform ``noise (n, N_NOISE)``."""
        return self._choose(
            lambda log_p: inverse_cdf(log_p.exp(), noise[:, 0]),
            lambda log_p: inverse_cdf(log_p.exp(), noise[:, 1]),
            lambda density: density.sample(noise[:, 2:4]),
            lambda density: density.sample(noise[:, 4:8]),
        )

    @torch.no_grad()
    def mode(self) -> Tensor:
        """The likeliest choice at each turn, ``(n, 5)``.

        Where the canvas is symmetric the likeliest direction is not unique and one is taken, so
        this is no good guide to how well the policy does; sample instead.
        """
        return self._choose(
            lambda log_p: log_p.argmax(-1),
            lambda log_p: log_p.argmax(-1),
            lambda density: density.mode(),
            lambda density: density.mode(),
        )

    def _choose(
        self,
        of_focus: Callable[[Tensor], Tensor],
        of_element: Callable[[Tensor], Tensor],
        of_distance: Callable[[DistanceDensity], Tensor],
        of_direction: Callable[[SphericalDensity], Tensor],
    ) -> Tensor:
        """Choose one thing after another, each from its density given the choices before."""
        net, encoded = self.network, self.encoded
        focus = of_focus(net.focus(encoded)) * self.occupied
        scalars, features = net.at_focus(encoded, focus)
        element = of_element(net.elements(encoded, scalars))
        context = torch.cat([scalars, net.element(element)], -1)
        distance = of_distance(net.distances(context))
        direction = of_direction(net.directions(context, distance, features))
        shift = torch.where(self.occupied[:, None], distance[:, None] * direction, 0.0)
        return torch.cat([focus[:, None], element[:, None], shift], -1).float()

    def evaluate_actions(self, actions: Tensor) -> ActionEvaluation:
        """Value, log-probability and entropy of ``actions (n, 5)``."""
        net, encoded, occupied = self.network, self.encoded, self.occupied
        focus, element = actions[:, 0].round().long(), actions[:, 1].round().long()
        log_focus = net.focus(encoded)
        scalars, features = net.at_focus(encoded, focus * occupied)
        log_element = net.elements(encoded, scalars)
        context = torch.cat([scalars, net.element(element)], -1)
        low, high = net.config.distances
        # an empty canvas has no displacement; any proper one keeps the numbers finite
        shift = torch.where(occupied[:, None], actions[:, 2:], actions.new_tensor([0, 0, low]))
        distance = shift.norm(dim=-1)
        inside = distance.clamp(low, high)
        distances = net.distances(context)
        directions = net.directions(context, inside, features)
        placed = distances.log_prob(inside) + directions.log_prob(shift / distance[:, None])
        log_prob = log_element.gather(1, element[:, None])[:, 0]
        rest = log_focus.gather(1, (focus * occupied)[:, None])[:, 0] + placed
        spread = entropy(log_focus) + distances.entropy() + directions.entropy()
        return ActionEvaluation(
            value=self.value(),
            log_prob=log_prob + torch.where(occupied, rest, 0.0),
            entropy=entropy(log_element) + torch.where(occupied, spread, 0.0),
        )


def entropy(log_p: Tensor) -> Tensor:
    """Entropy ``(n,)`` of log-probabilities ``(n, m)``, masked ones at -1e9 counting 0."""
    return -(log_p.exp() * log_p).sum(-1)


def _shrink(*heads: nn.Sequential) -> None:
    """Begin with heads that prefer nothing much."""
    for head in heads:
        last = head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)

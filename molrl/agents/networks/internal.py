"""Policy that places atoms by internal coordinates: distance, angle, dihedral and its sign.

After Simm, Pinsler and Hernández-Lobato, ICML 2020, the published baseline of the covariant policy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize

from molrl.agents.config import InternalConfig
from molrl.agents.networks.actor_critic import ActorCriticNetwork, shrink
from molrl.agents.networks.bonds import padded_vectors
from molrl.agents.networks.distance import DistanceDensity
from molrl.agents.networks.encoded import Chosen, Encoded
from molrl.agents.networks.encoder import N_RADIAL, mlp, radial_basis
from molrl.molecules import MoleculeBatch

_WINDOW = 0.0, math.pi  # rad
_STRAIGHT = 0.1  # sine of an angle below which there is no dihedral
_TIE = 1e-3  # Å; atoms as far as this from the focal atom are taken in the order of the canvas
_NEAR_AXIS = 1e-3  # rad; the density is that at this angle nearer to the axis

Sign = Callable[[Tensor], Tensor]  # directions (n, 3) to logits (n,) of their side


class InternalNetwork(ActorCriticNetwork):
    """Policy whose direction is an angle and a dihedral with respect to two other atoms.

    These are the atom nearest to the focal atom, and the next one that is not collinear with both.
    Where there is none, the dihedral is uniform, so that collinear atoms give finite numbers. A
    network of the distances to all atoms chooses the side of their plane.

    Args:
        config: sizes and limits.
        inputs: what is observed.

    Example:
        >>> from molrl.agents.interface import Inputs
        >>> network = InternalNetwork(InternalConfig(width=32), Inputs(n_elements=4))
        >>> network.act(observation, noise).actions  # doctest: +SKIP
    """

    config: InternalConfig

    def build_directions(self) -> None:
        """Make the layers; see :meth:`ActorCriticNetwork.build_directions`."""
        config, width = self.config, self.config.width
        self.angle_head = mlp(3 * width + 1, width, 6 * config.angle_terms)
        self.seen = nn.Linear(width, width)
        self.filter = nn.Linear(N_RADIAL, width)
        self.side_head = mlp(width, width, 1)
        shrink(self.angle_head, self.side_head)

    def directions(self, encoded: Encoded, chosen: Chosen, distance: Tensor) -> "InternalDensity":
        """Return densities of angles; see :meth:`ActorCriticNetwork.directions`."""
        values = self.angle_head(torch.cat([chosen.context, distance[:, None]], -1))
        angle, dihedral = (self._angles(part) for part in values.chunk(2, dim=-1))
        molecules = encoded.canvas.molecules
        frames = find_frames(molecules, chosen.focus)

        def sign(directions: Tensor) -> Tensor:
            return self._scores(encoded, chosen, distance[:, None] * directions)

        return InternalDensity(frames, angle, dihedral, sign)

    def _angles(self, values: Tensor) -> DistanceDensity:
        weights, means, widths = values.chunk(3, dim=-1)
        spread = torch.linspace(-1, 1, self.config.angle_terms, device=values.device)
        return DistanceDensity(
            torch.log_softmax(weights, dim=-1),
            math.pi * torch.sigmoid(2 * means + spread),
            self.config.min_angle_width + 0.5 * torch.sigmoid(2 * widths),
            _WINDOW,
        )

    def _scores(self, encoded: Encoded, chosen: Chosen, shift: Tensor) -> Tensor:
        """Return scores ``(n,)`` of places of the new atom, by its distances to all atoms.

        Args:
            encoded: n encoded canvases.
            chosen: focus and element of each.
            shift: ``(n, 3)`` Å, from the focal atom.
        """
        molecules, occupied = encoded.canvas.molecules, encoded.canvas.molecules.n_atoms > 0
        focal = molecules.positions.new_zeros(len(shift), 3)
        focal[occupied] = molecules.positions[(molecules.starts + chosen.focus)[occupied]]
        there = (focal + shift)[molecules.molecule] - molecules.positions
        lengths = there.norm(dim=-1).clamp(min=0.01)
        basis = radial_basis(lengths, self.config.cutoff, N_RADIAL)
        basis = torch.where((lengths < self.config.cutoff)[:, None], basis, 0.0)
        summed = molecules.sum_atoms(self.filter(basis) * self.seen(encoded.scalars))
        scores: Tensor = self.side_head(summed)
        return scores[:, 0]


@dataclass(frozen=True)
class Frames:
    """Axes of the internal coordinates of n canvases.

    Attributes:
        axes: ``(n, 3, 3)``, rows: towards the nearest atom, in the plane, and perpendicular to it.
        has_axis: ``(n,)`` bool, whether there is a nearest atom.
        has_plane: ``(n,)`` bool, whether there is a plane.
    """

    axes: Tensor
    has_axis: Tensor
    has_plane: Tensor


def find_frames(molecules: MoleculeBatch, focus: Tensor) -> Frames:
    """Return the axes of the internal coordinates.

    Args:
        molecules: n canvases.
        focus: ``(n,)`` int64, slots of the focal atoms; any where a canvas is empty.
    """
    present, vectors = padded_vectors(molecules)
    rows, slots = torch.arange(len(focus), device=focus.device), present.shape[1]
    own = rows, focus.clamp(max=slots - 1)
    to, other = vectors[own], present.clone()
    other[own] = False
    order = torch.arange(slots, device=focus.device)
    rank = (to.norm(dim=-1) / _TIE).round() * slots + order
    nearest = rank.masked_fill(~other, torch.inf).argmin(1)
    along = normalize(to, dim=-1)
    first = along[rows, nearest]
    cosine = (along * first[:, None]).sum(-1)
    bent = other & (1 - cosine.square() > _STRAIGHT**2)
    second = rank.masked_fill(~bent, torch.inf).argmin(1)
    has_axis, has_plane = other.any(1), bent.any(1)
    first = torch.where(has_axis[:, None], first, first.new_tensor([0.0, 0.0, 1.0]))
    least = nn.functional.one_hot(first.abs().argmin(-1), 3).to(first)
    towards = torch.where(has_plane[:, None], along[rows, second], least)
    towards = normalize(towards - (towards * first).sum(-1, keepdim=True) * first, dim=-1)
    axes = torch.stack([first, towards, torch.linalg.cross(first, towards)], 1)
    return Frames(axes, has_axis, has_plane)


class InternalDensity:
    """Densities of directions by angle, dihedral and side of the plane.

    Args:
        frames: axes of the coordinates.
        angle: densities of the angle to the first axis.
        dihedral: densities of the dihedral, without its sign.
        sign: scores of directions; the side is chosen by those of both mirror images.
    """

    def __init__(
        self, frames: Frames, angle: DistanceDensity, dihedral: DistanceDensity, sign: Sign
    ) -> None:
        self.frames, self.angle, self.dihedral, self.sign = frames, angle, dihedral, sign

    def log_prob(self, directions: Tensor) -> Tensor:
        """Return log-densities ``(n,)`` with respect to the uniform measure of total mass 1.

        Args:
            directions: ``(n, 3)``, unit vectors.
        """
        x, y, z = torch.einsum("nij,nj->ni", self.frames.axes, directions).unbind(-1)
        across = torch.hypot(y, z)
        angle = torch.atan2(across, x).clamp(_NEAR_AXIS, math.pi - _NEAR_AXIS)
        dihedral = torch.atan2(z.abs(), y).clamp(*_WINDOW)
        of_angle = self.angle.log_prob(angle) - angle.sin().log() + math.log(2)
        of_dihedral = self.dihedral.log_prob(dihedral) + math.log(2 * math.pi)
        of_side = logsigmoid(self._side(directions))
        of_dihedral = torch.where(self.frames.has_plane, of_dihedral + of_side, 0.0)
        return torch.where(self.frames.has_axis, of_angle + of_dihedral, 0.0)

    def log_probs(self, directions: Tensor) -> tuple[Tensor, None]:
        """Return :meth:`log_prob`, and None: there are no lobes."""
        return self.log_prob(directions), None

    def _side(self, directions: Tensor) -> Tensor:
        """Return the logits ``(n,)`` of directions against their mirror images in the plane."""
        normal = self.frames.axes[:, 2]
        mirror = directions - 2 * (directions * normal).sum(-1, keepdim=True) * normal
        return self.sign(directions) - self.sign(mirror)

    def entropy(self) -> Tensor:
        """Return ``(n,)`` nats, those of the choice of the side left out, which is at most 0."""
        weights = self.angle.log_weights.exp()
        sine = (weights * self.angle.means.sin().clamp(min=_NEAR_AXIS).log()).sum(-1)
        of_angle = (self.angle.entropy() + math.log(math.pi / 2) + sine).clamp(max=0)
        of_dihedral = torch.where(self.frames.has_plane, self.dihedral.entropy(), 0.0)
        return torch.where(self.frames.has_axis, of_angle + of_dihedral, 0.0)

    def tempered(self, temperature: float) -> "InternalDensity":
        """Return the densities of which angle, dihedral and side have theirs to the power 1 / T.

        Args:
            temperature: T, above 0; 1 changes nothing.
        """
        return InternalDensity(
            self.frames,
            self.angle.tempered(temperature),
            self.dihedral.tempered(temperature),
            lambda directions: self.sign(directions) / temperature,
        )

    @torch.no_grad()
    def sample(self, noise: Tensor) -> Tensor:
        """Draw one direction ``(n, 3)``, a unit vector, from each density.

        Args:
            noise: ``(n, 5)`` uniform in [0, 1): two for the angle, two for the dihedral, one for
                the side.
        """
        even = torch.arccos((1 - 2 * noise[:, 1]).clamp(-1, 1))
        angle = torch.where(self.frames.has_axis, self.angle.sample(noise[:, :2]), even)
        drawn = self.dihedral.sample(noise[:, 2:4])
        dihedral = torch.where(self.frames.has_plane, drawn, math.pi * noise[:, 2])
        up = self._placed(angle, dihedral)
        chance = torch.where(self.frames.has_plane, torch.sigmoid(self._side(up)), 0.5)
        side = torch.where(noise[:, 4] < chance, 1.0, -1.0)
        return self._placed(angle, dihedral * side)

    def mode(self) -> Tensor:
        """Return the direction ``(n, 3)`` of the most probable angle, dihedral and side."""
        angle, dihedral = self.angle.mode(), self.dihedral.mode()
        up = self._placed(angle, dihedral)
        return self._placed(angle, torch.where(self._side(up) >= 0, dihedral, -dihedral)).detach()

    def _placed(self, angle: Tensor, dihedral: Tensor) -> Tensor:
        sine = angle.sin()
        local = torch.stack([angle.cos(), sine * dihedral.cos(), sine * dihedral.sin()], -1)
        return torch.einsum("nij,ni->nj", self.frames.axes, local)

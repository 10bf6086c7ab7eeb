"""Head of the covariant network for sharp lobes about the bonds of the focal atom."""

import math
from dataclasses import dataclass, replace

import torch
from ase.data import covalent_radii
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

from molrl.agents.networks.lobes import Lobes
from molrl.molecules import MoleculeBatch

_BONDED, _APART = 1.25, 1.5  # of the sum of the covalent radii: a bond, and none any more
_STRAIGHT, _BENT = 0.05, 0.2  # sine of an angle: too straight for a dihedral, and bent enough
_ANGLE = 1.95  # rad, of the lobes at first, between the trigonal and the tetrahedral angle
_DIHEDRALS = math.pi / 3, math.pi  # rad, of the lobes at first
_NEAR, _ALONG = math.cos(math.radians(35)), math.cos(math.radians(20))  # of a bond: no place
_CONCENTRATION = 20.0  # of the lobes at first, 13 degrees wide


@dataclass(frozen=True)
class _References:
    """References of lobes: a bond of the focal atom, and a further atom b bonded to either end.

    Attributes:
        canvas: ``(p,)`` int64, index of the canvas.
        first: ``(p,)`` int64, index of the atom bonded to the focal atom.
        second: ``(p,)`` int64, index of b.
        inputs: ``(p, 3)``: whether b is bonded to the focal atom, cosine of its angle, its distance
            from the focal atom in units of 2 Å.
        log_fade: ``(p,)``, 0 for clear references, and lower where one is about to vanish.
        frame: ``(p, 3, 3)``, rows: along the bond, towards b, and perpendicular to both.
    """

    canvas: Tensor
    first: Tensor
    second: Tensor
    inputs: Tensor
    log_fade: Tensor
    frame: Tensor


class BondHead(nn.Module):
    """Head that maps the surroundings of the focal atom to lobes.

    Each bond of the focal atom to an atom a gives a cone about it; and with each further atom b
    bonded to either end of it, pairs of lobes at an angle to the bond and at dihedrals of either
    sign to b. A lobe of them along a bond of the focal atom has no weight. References fade out as
    bonds lengthen or a, b and the focal atom become collinear, so that the density is continuous,
    and no reference depends on the order of the atoms.

    Args:
        n_context: number of scalars of focus and element.
        width: number of scalars per atom, and hidden size.
        n_lobes: number of pairs of lobes for each pair of references.
        concentration: largest κ.
    """

    def __init__(self, n_context: int, width: int, n_lobes: int, concentration: float) -> None:
        super().__init__()
        self.n_lobes, self.concentration = n_lobes, concentration
        self.context = nn.Linear(n_context, 2 * width)
        self.first = nn.Linear(width, 2 * width)
        self.second = nn.Linear(width, width)
        self.inputs = nn.Linear(3, width, bias=False)
        self.cones = nn.Linear(width, 3)
        self.lobes = nn.Linear(width, 4 * n_lobes)
        self.smooth = nn.Linear(n_context, 1)
        for last in (self.cones, self.lobes, self.smooth):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
        self.radii: Tensor
        radii = torch.as_tensor(covalent_radii, dtype=torch.float32)
        self.register_buffer("radii", radii, persistent=False)

    def forward(
        self, context: Tensor, molecules: MoleculeBatch, scalars: Tensor, focus: Tensor
    ) -> tuple[Tensor, Lobes]:
        """Return logits ``(n,)`` of the smooth density, and the lobes.

        Args:
            context: ``(n, n_context)``.
            molecules: n canvases.
            scalars: ``(n_atoms_total, width)``, of their atoms.
            focus: ``(n,)`` int64, slots of the focal atoms; any where a canvas is empty.
        """
        with torch.no_grad():
            strength, vectors = self._bonds(molecules)
            canvas = torch.arange(len(focus), device=focus.device)
            own = canvas, focus.clamp(max=strength.shape[1] - 1)
            cones = strength[own].nonzero(as_tuple=True)
            starts = molecules.starts
            first = starts[cones[0]] + cones[1]
            pairs = _references(strength, vectors, own, starts)
        of_context = self.context(context).chunk(2, dim=-1)
        of_atoms = self.first(scalars).chunk(2, dim=-1)
        of_cones = self.cones(
            silu(of_context[0].index_select(0, cones[0]) + of_atoms[0].index_select(0, first))
        )
        of_pairs = self.lobes(
            silu(
                of_context[1].index_select(0, pairs.canvas)
                + of_atoms[1].index_select(0, pairs.first)
                + self.second(scalars).index_select(0, pairs.second)
                + self.inputs(pairs.inputs)
            )
        )
        bonded, along = strength[own], normalize(vectors[own], dim=-1)
        rings = self._rings(of_cones, along[cones], bonded[cones].log())
        lobes = _padded([(cones[0], rings), self._directed(of_pairs, pairs)], len(focus))
        # known from geometry, and slow to learn: on a bond of the focal atom there is no place
        log_free = free_log_weights(lobes.centers.detach(), bonded, along)
        directed = torch.where(lobes.angles == 0, log_free, 0.0)
        return self.smooth(context)[:, 0], replace(lobes, logits=lobes.logits + directed)

    def _bonds(self, molecules: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Return strengths ``(n, S, S)`` of bonds, 0 to 1, and vectors ``(n, S, S, 3)`` in Å."""
        present, vectors = padded_vectors(molecules)
        radii = vectors.new_zeros(present.shape)
        radii[present] = self.radii[molecules.numbers]
        ratio = vectors.norm(dim=-1) / (radii[:, None] + radii[:, :, None]).clamp(min=0.1)
        strength = _smooth_step((_APART - ratio) / (_APART - _BONDED))
        apart = ~torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
        return strength * (present[:, None] & present[:, :, None] & apart), vectors

    def _concentrations(self, values: Tensor) -> Tensor:
        return 1 + self.concentration * torch.sigmoid(
            2 * values + math.log(_CONCENTRATION / self.concentration)
        )

    def _rings(self, of_cones: Tensor, axes: Tensor, log_fade: Tensor) -> Lobes:
        logit, angle, sharpness = of_cones.unbind(-1)
        return Lobes(logit + log_fade, axes, _ANGLE + angle, self._concentrations(sharpness))

    def _directed(self, of_pairs: Tensor, pairs: _References) -> tuple[Tensor, Lobes]:
        """Return canvases ``(2 p n_lobes,)`` and lobes."""
        values = of_pairs.view(len(of_pairs), self.n_lobes, 4)
        logit, angle, dihedral, sharpness = values.unbind(-1)
        start = torch.linspace(*_DIHEDRALS, self.n_lobes, device=values.device)
        theta, phi = _ANGLE + angle, start + dihedral
        local = torch.stack([theta.cos(), theta.sin() * phi.cos(), theta.sin() * phi.sin()], -1)
        mirror = local.new_tensor([[1, 1, 1], [1, 1, -1]])
        both = local[:, :, None] * mirror
        centers = torch.einsum("pmsi,pij->pmsj", both, pairs.frame)
        n = 2 * self.n_lobes
        twice = (logit + pairs.log_fade[:, None])[:, :, None].expand(-1, -1, 2)
        kappa = self._concentrations(sharpness)[:, :, None].expand(-1, -1, 2)
        lobes = Lobes(
            twice.reshape(-1),
            centers.reshape(-1, 3),
            torch.zeros_like(kappa).reshape(-1),
            kappa.reshape(-1),
        )
        return pairs.canvas.repeat_interleave(n), lobes


def padded_vectors(molecules: MoleculeBatch) -> tuple[Tensor, Tensor]:
    """Return the vectors between all atoms of each molecule, padded to the largest one.

    Args:
        molecules: n molecules, positions in float32.

    Returns:
        ``(n, S)`` bool, slots with an atom; ``(n, S, S, 3)`` Å, from the first to the second atom.
    """
    slots = max(1, int(molecules.n_atoms.max()))
    present = torch.arange(slots, device=molecules.device) < molecules.n_atoms[:, None]
    positions = molecules.positions.new_zeros(*present.shape, 3)
    positions[present] = molecules.positions
    return present, positions[:, None] - positions[:, :, None]


def _references(
    strength: Tensor, vectors: Tensor, own: tuple[Tensor, Tensor], starts: Tensor
) -> _References:
    """Return all pairs of references of the focal atoms ``own``, canvas and slot."""
    to_focus = strength[own]
    further = torch.maximum(to_focus[:, None], strength)
    fade = to_focus[:, :, None] * further
    slots = torch.arange(fade.shape[1], device=fade.device)
    fade[:, slots, slots] = 0
    fade[own[0], :, own[1]] = 0
    along = normalize(vectors[own], dim=-1)
    cosine = torch.einsum("nai,nbi->nab", along, along)
    # the dihedral of b bonded to a is as ill defined where a, b and the focal atom are collinear
    sine = (1 - cosine.square()).clamp(min=0).sqrt()
    fade = fade * _smooth_step((sine - _STRAIGHT) / (_BENT - _STRAIGHT))
    canvas, a, b = fade.nonzero(as_tuple=True)
    first, second = along[canvas, a], along[canvas, b]
    cos = cosine[canvas, a, b]
    towards = normalize(second - cos[:, None] * first, dim=-1)
    frame = torch.stack([first, towards, torch.linalg.cross(first, towards)], 1)
    far = vectors[own][canvas, b].norm(dim=-1) / 2
    return _References(
        canvas,
        starts[canvas] + a,
        starts[canvas] + b,
        torch.stack([to_focus[canvas, b], cos, far], -1),
        fade[canvas, a, b].log(),
        frame,
    )


def free_log_weights(centers: Tensor, strength: Tensor, along: Tensor) -> Tensor:
    """Return ``(n, K)`` 0 for centres away from all bonds, and down to log 1e-4 along one.

    Args:
        centers: ``(n, K, 3)``, unit vectors.
        strength: ``(n, S)``, of the bonds of the focal atom.
        along: ``(n, S, 3)``, unit vectors along them.
    """
    cosine = torch.einsum("nkc,nsc->nks", centers, along)
    blocked = strength[:, None] * _smooth_step((cosine - _NEAR) / (_ALONG - _NEAR))
    return torch.log1p(-blocked.clamp(max=1 - 1e-4)).sum(-1)


def _smooth_step(x: Tensor) -> Tensor:
    """Return 0 up to x = 0, 1 from x = 1 on, and a smooth rise between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _padded(parts: list[tuple[Tensor, Lobes]], n: int) -> Lobes:
    """Return lobes ``(n, K)``, of flat ones with their canvases, ascending in each part.

    The last of each canvas is no lobe, so that there is something to index.
    """
    width, places = 0, []
    for canvas, _ in parts:
        counts = torch.bincount(canvas, minlength=n)
        rank = torch.arange(len(canvas), device=canvas.device) - (counts.cumsum(0) - counts)[canvas]
        places.append((canvas, width + rank))
        width += int(counts.max())
    canvas, slot = (torch.cat(each) for each in zip(*places, strict=True))
    rows = torch.cat([_row(lobes) for _, lobes in parts])
    none = rows.new_tensor([-torch.inf, 0, 0, 1, 0, 1]).expand(n * (width + 1), -1)
    table = none.index_copy(0, canvas * (width + 1) + slot, rows).view(n, width + 1, -1)
    return Lobes(table[..., 0], table[..., 1:4], table[..., 4], table[..., 5])


def _row(lobes: Lobes) -> Tensor:
    """Return ``(p, 6)``, what there is of each of p lobes."""
    angles, concentrations = lobes.angles[:, None], lobes.concentrations[:, None]
    return torch.cat([lobes.logits[:, None], lobes.centers, angles, concentrations], 1)

"""The layers of a frozen MACE, with constants multiplied out.

The nine components of messages, l = 0, 1 and 2, come first: ``(9, n_atoms, channels)``. Those with
l = 2 are scaled to what the invariants need of the symmetric traceless matrix T they stand for:
2 T_xz, 2 T_xy, T_yy, 2 T_yz and (T_zz - T_xx) / 2.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from molrl.energy.networks.mace.layer import UNIT, Layer, TurnedMessages
from molrl.energy.networks.mace.linear import mlp, scaled, silu
from molrl.energy.networks.mace.products import bessel
from molrl.energy.networks.mace.radial_table import Knots
from molrl.energy.networks.mace.slot_sums import carried_sums, element_sums

_DEGREE = (0, 1, 1, 1, 2, 2, 2, 2, 2)  # l of each component
_SCALE = (1.0, 1.0, 1.0, 1.0, 3**0.5, 3**0.5, 1.0, 3**0.5, 3**0.5 / 2)

# Sums of squares of the components that invariants need, in rows: s², |v|², |T|²; the factors of
# T_yy in vᵀTv and 4 det T; those of (T_zz - T_xx) / 2.
_SUMS = (
    (1, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, 1, 1, 1, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 1 / 3, 1 / 3, 1, 1 / 3, 4 / 3),
    (0, -0.5, 1, -0.5, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, -1, 0.5, 1, 0.5, -4),
    (0, -1, 0, 1, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, -1, 0, 1, 0),
)
# Divisors of the invariants, as in molrl.energy.networks.mace.products.invariants.
_NORMS = tuple(x**0.5 for x in (1, 3, 15, 35, 15, 15, 35, 15, 2.2))


class Slots(NamedTuple):
    """What every layer needs of the neighbours, one slot for each, in the rows of the graph.

    Attributes:
        sender: ``(n_slots,)`` int64, row of the neighbour.
        element: ``(n_atoms,)`` int64, of the row.
        counts: number of atoms of each element.
        rows: ``(n_slots, 4)`` int64, of a radial table.
        place: ``(n_slots,)`` floating, within the interval of these rows.
        harmonics: ``(n_atoms, 9, width)`` floating, spherical harmonics.

    Example:
        >>> Slots._fields[0]
        'sender'
    """

    sender: Tensor
    element: Tensor
    counts: tuple[int, ...]
    rows: Tensor
    place: Tensor
    harmonics: Tensor


class FoldedLayer(nn.Module, ABC):
    """A frozen layer: what neighbours send, its mixing, and weighted sums of its products.

    Args:
        layer: the layer; its parameters in float64.

    Example:
        >>> FoldedLayer(Layer(MaceConfig(), first=True))  # doctest: +SKIP
    """

    mixing: Tensor
    product: Tensor
    sums: Tensor
    table: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        norms = self._constant(_NORMS)
        norms[-1] *= 4  # (4 det T is what is computed)
        self.register_buffer("product", (layer.product / norms[:, None]).flatten(1))
        self.register_buffer("sums", self._constant(_SUMS))

    def forward(self, carried: Tensor | None, slots: Slots) -> tuple[Tensor, Tensor]:
        """Return the messages to atoms, and the weighted sum of their invariants.

        Args:
            carried: ``(n_atoms, n)``, what atoms send, from :meth:`LaterLayer.carried`; None for
                the first layer.
            slots: the neighbours.

        Returns:
            ``(9, n_atoms, channels)`` and ``(n_atoms, channels)``.
        """
        messages = self._messages(carried, slots)
        return messages, self._products(messages, slots)

    @abstractmethod
    def _messages(self, carried: Tensor | None, slots: Slots) -> Tensor:
        """Return the messages to atoms, ``(9, n_atoms, channels)``."""

    def _products(self, messages: Tensor, slots: Slots) -> Tensor:
        """Add up the invariants of messages, with the weights of each atom's element."""
        n, channels = messages.shape[1:]
        w = self.product.index_select(0, slots.element).view(n, 9, channels).unbind(1)
        s, x, y, z, xz, xy, yy, yz, across = messages.unbind(0)
        squares = (self.sums @ messages.square().flatten(1)).view(7, n, channels)
        s2, v2, t2, yy_v, yy_t, across_v, across_t = squares.unbind(0)
        vtv = torch.addcmul(x * torch.addcmul(xy * y, xz, z), yz * y, z)
        vtv = torch.addcmul(torch.addcmul(vtv, yy, yy_v), across, across_v)
        det = torch.addcmul(torch.addcmul(xy * xz * yz, yy, yy_t), across, across_t)
        of_s = torch.addcmul(torch.addcmul(w[0], s, w[1]), s2, w[4])
        of_s = torch.addcmul(torch.addcmul(of_s, v2, w[5]), t2, w[6])
        out = torch.addcmul(torch.addcmul(s * of_s, v2, w[2]), t2, w[3])
        return torch.addcmul(torch.addcmul(out, vtv, w[7]), det, w[8])

    @staticmethod
    def _constant(values: tuple[float, ...] | tuple[tuple[float, ...], ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)


class FirstLayer(FoldedLayer):
    """The frozen first layer, where an atom sends what its element determines.

    Args:
        layer: the layer; its parameters in float64.
        embedding: ``(n_elements, channels)`` float64, features of the elements.
        knots: of the radial table, which has a block of rows for each element that sends.

    Example:
        >>> from molrl.energy.networks.mace.config import MaceConfig
        >>> layer = Layer(MaceConfig(elements=(1, 8), channels=8), first=True).double()
        >>> FirstLayer(layer, torch.ones(2, 8, dtype=torch.float64), Knots(5.0)).mixing.shape
        torch.Size([2, 9, 8, 8])
    """

    def __init__(self, layer: Layer, embedding: Tensor, knots: Knots) -> None:
        super().__init__(layer)
        n_elements, channels = embedding.shape
        sent = embedding @ scaled(layer.up)
        table = knots.tabulate(lambda at: _radial(layer, at)).view(-1, 3, channels)
        self.register_buffer("table", (table * sent[:, None, None]).flatten(2).flatten(0, 1))
        self.n_rows = knots.n_rows
        skip = layer.skip * (channels * n_elements) ** -0.5
        mixing = scaled(layer.linear) / layer.config.avg_neighbors @ skip
        degrees, scale = list(_DEGREE), self._constant(_SCALE)
        self.register_buffer("mixing", mixing[:, degrees] * scale[:, None, None])

    def _messages(self, carried: Tensor | None, slots: Slots) -> Tensor:
        element = slots.element.index_select(0, slots.sender)
        rows = slots.rows + (self.n_rows * element).unsqueeze(-1)
        gathered = element_sums(slots.place, slots.harmonics, self.table, rows)
        return multiply_by_element(gathered.transpose(0, 1), self.mixing, slots.counts)


class LaterLayer(FoldedLayer):
    """A frozen layer after the first.

    Args:
        layer: the layer; its parameters in float64.
        knots: of the radial table.

    Example:
        >>> from molrl.energy.networks.mace.config import MaceConfig
        >>> layer = Layer(MaceConfig(elements=(1, 8), channels=8), first=False).double()
        >>> LaterLayer(layer, Knots(5.0)).mixing.shape
        torch.Size([9, 8, 8])
    """

    def __init__(self, layer: Layer, knots: Knots) -> None:
        super().__init__(layer)
        mixing = scaled(layer.linear) / layer.config.avg_neighbors
        self.register_buffer(
            "mixing", mixing[list(_DEGREE)] * self._constant(_SCALE)[:, None, None]
        )
        self.channels = layer.config.channels
        self.turned = None if layer.turned is None else FoldedTurned(layer.turned)
        self.register_buffer("table", knots.tabulate(lambda at: _radial(layer, at)))

    def carried(self, sent: Tensor, messages: Tensor) -> Tensor:
        """Return what atoms send: scalars, then vectors and tensors, where it has any.

        Args:
            sent: ``(n_atoms, channels)``, features after the map that precedes sending.
            messages: ``(9, n_atoms, channels)`` of the layer before.
        """
        if self.turned is None:
            return sent
        return torch.cat([sent, self.turned.carried(messages)], dim=-1)

    def _messages(self, carried: Tensor | None, slots: Slots) -> Tensor:
        assert carried is not None
        gathered, *of_others = carried_sums(
            slots.place, carried, slots.harmonics, self.table, slots.rows, slots.sender
        )
        if self.turned is None:
            return torch.bmm(gathered.transpose(0, 1), self.mixing)
        added = self.turned(carried[:, self.channels :], *of_others)
        return torch.baddbmm(added, gathered.transpose(0, 1), self.mixing)


class FoldedTurned(nn.Module):
    """Frozen :class:`~molrl.energy.networks.mace.layer.TurnedMessages`.

    Args:
        turned: the module; its parameters in float64.

    Example:
        >>> from molrl.energy.networks.mace.config import MaceConfig
        >>> turned = TurnedMessages(MaceConfig(channels=8, vector_channels=4)).double()
        >>> FoldedTurned(turned).down.shape
        torch.Size([8, 8, 4])
    """

    down: Tensor
    to_scalar: Tensor
    to_others: Tensor

    def __init__(self, turned: TurnedMessages) -> None:
        super().__init__()
        scale = torch.tensor(_SCALE[1:], dtype=torch.float64)[:, None, None]
        degrees = [degree - 1 for degree in _DEGREE[1:]]
        self.register_buffer("down", UNIT * scaled(turned.down)[degrees] / scale)
        to_scalar = scaled(turned.to_scalar)
        to_scalar = to_scalar.view(4, -1, to_scalar.shape[-1])
        # In the order of forward: the products with own vectors, then those with the harmonics.
        of_own, of_harmonics = to_scalar[[2 + i for i in degrees]], to_scalar[degrees]
        parts = [of_own.flatten(0, 1), of_harmonics.flatten(0, 1)]
        self.register_buffer("to_scalar", torch.cat(parts))
        to_others = torch.stack([scaled(turned.to_vector), scaled(turned.to_tensor)])
        self.register_buffer("to_others", to_others[degrees] * scale)

    def carried(self, messages: Tensor) -> Tensor:
        """Return what atoms send, ``(n_atoms, 8 vector_channels)``, of their messages."""
        return torch.bmm(messages[1:], self.down).transpose(0, 1).flatten(1)

    def forward(self, own: Tensor, summed: Tensor, products: Tensor) -> Tensor:
        """Return what is added to messages, ``(9, n_atoms, channels)``.

        Args:
            own: ``(n_atoms, 8 vector_channels)``, what the atoms send.
            summed: the same shape, the sum of what neighbours sent.
            products: the same shape, the sum of its products with the harmonics.
        """
        scalars = torch.cat([own * summed, products], dim=-1) @ self.to_scalar
        of_components = summed.view(len(own), 8, own.shape[1] // 8).transpose(0, 1)
        return torch.cat([scalars.unsqueeze(0), torch.bmm(of_components, self.to_others)])


def multiply_by_element(x: Tensor, matrices: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Multiply the features of each atom by the matrices of its element; atoms sorted by element.

    Args:
        x: ``(..., n_atoms, n)``.
        matrices: ``(n_elements, ..., n, m)``.
        counts: number of atoms of each element.

    Returns:
        ``(..., n_atoms, m)``.
    """
    pairs = list(zip(counts, matrices, strict=True))
    held = [(part, of_element) for part, of_element in pairs if part] or pairs[:1]
    parts = torch.split(x, [n for n, _ in held], dim=-2)
    found = [part @ matrix for part, (_, matrix) in zip(parts, held, strict=True)]
    return torch.cat(found, dim=-2) if len(found) != 1 else found[0]


def _radial(layer: Layer, lengths: Tensor) -> Tensor:
    """Return the radial functions of a layer: for l = 0, 1 and 2, then of turned messages.

    Args:
        layer: the layer.
        lengths: ``(n, 1)`` Å.
    """
    config = layer.config
    basis = bessel(lengths, config.cutoff, config.n_bessel, config.envelope)
    hidden = silu(mlp(basis, list(layer.radial)[:-1]))
    found = [hidden @ scaled(layer.radial[-1])]
    if layer.turned is not None:
        of_turned = hidden @ scaled(layer.turned.radial) / config.avg_neighbors**0.5
        u, w, x, z = of_turned.chunk(4, dim=-1)
        found += [u] * 3 + [w] * 5 + [x] * 3 + [z] * 5
    return torch.cat(found, dim=-1)

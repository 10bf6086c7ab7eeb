"""Sums over slots have the gradients of what they compute, in one block of atoms or in several."""

import pytest
import torch
from torch import Tensor

from molrl.energy.networks.mace import slot_sums
from molrl.energy.networks.mace.radial_table import Knots, look_up
from molrl.energy.networks.mace.slot_sums import carried_sums, element_sums

N, WIDTH, CHANNELS, K = 5, 3, 4, 2


@pytest.fixture(params=[WIDTH, 2 * WIDTH, 1000], ids=["1 atom", "2 atoms", "all"], autouse=True)
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_sums, "_SLOTS_PER_BLOCK", request.param)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def places(n_functions: int) -> tuple[Tensor, Tensor, Tensor]:
    """A table, rows of it, and places within its intervals."""
    knots = Knots(0.2)
    rows, place = knots(0.1 + 0.1 * random(N * WIDTH).sigmoid())
    return random(knots.n_rows, n_functions, seed=1), rows, place.requires_grad_()


def test_sums_of_elements_are_those_of_their_definition_and_have_its_gradient() -> None:
    table, rows, place = places(3 * CHANNELS)
    harmonics = random(N, 9, WIDTH, seed=2).requires_grad_()
    found = element_sums(place, harmonics, table, rows)
    sent = look_up(table, rows, place.detach()).view(N, WIDTH, 3, CHANNELS)
    degree = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2])
    wanted = torch.einsum("nmw,nwmc->nmc", harmonics, sent[:, :, degree])
    torch.testing.assert_close(found, wanted)
    assert torch.autograd.gradcheck(
        lambda p, h: element_sums(p, h, table, rows), (place, harmonics)
    )


@pytest.mark.parametrize("k", [0, K])
def test_sums_of_what_is_carried_have_their_gradient(k: int) -> None:
    table, rows, place = places(3 * CHANNELS + 16 * k)
    harmonics = random(N, 9, WIDTH, seed=2).requires_grad_()
    carried = random(N, CHANNELS + 8 * k, seed=3).requires_grad_()
    sender = torch.randint(N, (N * WIDTH,), generator=torch.Generator().manual_seed(4))
    assert torch.autograd.gradcheck(
        lambda p, c, h: [s for s in carried_sums(p, c, h, table, rows, sender) if s.numel()],
        (place, carried, harmonics),
    )


def test_products_of_components_are_with_their_own_harmonics() -> None:
    table, rows, place = places(3 * CHANNELS + 16 * K)
    harmonics, carried = random(N, 9, WIDTH, seed=2), random(N, CHANNELS + 8 * K, seed=3)
    sender = torch.randint(N, (N * WIDTH,), generator=torch.Generator().manual_seed(4))
    _, summed, products = carried_sums(place, carried, harmonics, table, rows, sender)
    radial = look_up(table, rows, place.detach())[:, 3 * CHANNELS :].view(N, WIDTH, 2, 8, K)
    received = carried[sender, CHANNELS:].view(N, WIDTH, 8, K)
    torch.testing.assert_close(summed, (radial[:, :, 0] * received).sum(1).flatten(1))
    wanted = torch.einsum("nmw,nwmk->nmk", harmonics[:, 1:], radial[:, :, 1] * received)
    torch.testing.assert_close(products, wanted.flatten(1))

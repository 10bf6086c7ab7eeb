import pytest
import torch

from molrl.agents.networks import grid_product
from molrl.agents.networks.grid_product import GridProduct


@pytest.mark.parametrize("n", [0, 5])
def test_grid_product_is_that_of_the_values_with_its_gradients(n, monkeypatch):
    monkeypatch.setattr(grid_product, "_WIDTH", 2)  # of which 5 is no multiple
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(4, n, generator=generator, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    to_grid = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    from_grid = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    expected = from_grid @ ((to_grid @ left) * (to_grid @ right))
    made = GridProduct.apply(left, right, to_grid, from_grid)
    assert torch.allclose(made, expected, atol=1e-12)
    weights = torch.randn(4, n, generator=generator, dtype=torch.float64)
    of_expected = torch.autograd.grad(expected, (left, right), weights)
    of_made = torch.autograd.grad(made, (left, right), weights)
    for one, other in zip(of_made, of_expected, strict=True):
        assert torch.allclose(one, other, atol=1e-12)

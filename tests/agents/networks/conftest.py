import numpy as np
import pytest
import torch


def _product_grid(n=128):
    """Return a Gauss-Legendre grid much finer than the Lebedev grid: 32,768 points."""
    z, weights = np.polynomial.legendre.leggauss(n)
    angle = 2 * np.pi * np.arange(2 * n) / (2 * n)
    ring = np.sqrt(1 - z**2)[:, None]
    points = np.stack([ring * np.cos(angle), ring * np.sin(angle), z[:, None] + 0 * angle], -1)
    weights = np.repeat(weights / 2 / (2 * n), 2 * n)
    return torch.from_numpy(points.reshape(-1, 3)), torch.from_numpy(weights)


@pytest.fixture(scope="session")
def product_grid():
    return _product_grid

import numpy as np
import pytest
from PIL import Image

from molrl.plotting.energy_errors import plot_attack_errors, plot_error_curve, plot_parity


def energies(n, n_kinds):
    """Reference and prediction of n structures, in turn of each kind."""
    reference = np.linspace(-8, 1, n)
    predicted = reference + np.random.default_rng(0).normal(0, 0.05, n)
    return {f"kind {i}": (reference[i::n_kinds], predicted[i::n_kinds]) for i in range(n_kinds)}


def rows(n):
    return [
        {"steps": 500 * (i + 1), "valid_energy_mae": 1 / (i + 1), "valid_force_mae": 2 / (i + 1),
         "valid_energy_mae/walk": None if i else 0.5}
        for i in range(n)
    ]  # fmt: skip


def colours(path, size):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == size
        return {tuple(pixel) for pixel in np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()}


@pytest.mark.parametrize(("n", "n_kinds"), [(0, 2), (1, 1), (300, 13)])
def test_plot_parity_takes_any_number_of_structures_and_kinds(tmp_path, n, n_kinds):
    drawn = energies(n, n_kinds)
    plot_parity(drawn, list(drawn), tmp_path / "parity.png", "mace")
    assert len(colours(tmp_path / "parity.png", (1650, 750))) > 10


@pytest.mark.parametrize("n", [0, 1, 40])
def test_plot_error_curve_takes_any_number_of_rows(tmp_path, n):
    plot_error_curve(rows(n), ["relaxed", "walk"], tmp_path / "curve.png")
    assert len(colours(tmp_path / "curve.png", (1500, 660))) > 10


def test_plot_attack_errors_takes_errors_of_any_size(tmp_path):
    found = {"free": np.array([-500.0, 0.0, 1.0]), "guarded": np.array([0.01])}
    plot_attack_errors(found, {"free": 2.0, "guarded": 1.0}, tmp_path / "attack.png", "mace")
    assert len(colours(tmp_path / "attack.png", (1200, 690))) > 10


def test_plot_parity_is_deterministic(tmp_path):
    for name in ("a.png", "b.png"):
        drawn = energies(20, 3)
        plot_parity(drawn, list(drawn), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from molrl.errors import InputError
from molrl.plotting.energy_errors import _COLORS, plot_attack_errors, plot_error_curve, plot_parity


def energies(n, n_kinds):
    """Reference and prediction of n structures, in turn of each kind."""
    reference = np.linspace(-8, 1, n)
    predicted = reference + np.random.default_rng(0).normal(0, 0.05, n)
    return {f"kind {i}": (reference[i::n_kinds], predicted[i::n_kinds]) for i in range(n_kinds)}


NO_WALK = {"valid_energy_mae/walk": None}


def rows(n):
    return [
        {"steps": 500 * (i + 1), "valid_energy_mae": 1 / (i + 1), "valid_force_mae": 2 / (i + 1),
         "valid_energy_mae/walk": None if i else 0.5}
        for i in range(n)
    ]  # fmt: skip


def picture(path, size):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == size
        return np.asarray(image.convert("RGB")).astype(int)


def count(pixels, color):
    """Return how many pixels have a colour, but for what other lines shine through."""
    rgb = 255 * np.array(to_rgb(color))
    return int((np.abs(pixels - rgb) < 40).all(-1).sum())


@pytest.mark.parametrize(("n", "n_kinds"), [(0, 2), (1, 1), (300, 13)])
def test_plot_parity_draws_the_structures_of_each_kind(tmp_path, n, n_kinds):
    drawn = energies(n, n_kinds)
    plot_parity(drawn, list(drawn), tmp_path / "parity.png", "mace")
    pixels = picture(tmp_path / "parity.png", (1650, 750))
    energies_of_all = pixels[:, : pixels.shape[1] // 2]
    for kind in range(min(n_kinds, 10)):
        seen = 1 - 0.7 * (1 - np.array(_COLORS[kind][:3]))  # the points are transparent
        assert (count(energies_of_all, seen) > 0) == (n > 0)


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_plot_error_curve_draws_each_kind(tmp_path, n):
    """A kind without any error leaves its name in the legend only."""
    seen = []
    for name, given in (("all", rows(n)), ("none", [row | NO_WALK for row in rows(n)])):
        plot_error_curve(given, ["relaxed", "walk"], tmp_path / f"{name}.png")
        seen.append(count(picture(tmp_path / f"{name}.png", (1500, 660)), _COLORS[1]))
    assert (seen[0] > seen[1]) == (n > 0)  # the first row has an error of it


def test_plot_attack_errors_draws_a_histogram_of_each_attack(tmp_path):
    found = {"free": np.array([-500.0, 0.0, 1.0]), "guarded": np.array([0.01])}
    plot_attack_errors(found, {"free": 2.0, "guarded": 1.0}, tmp_path / "attack.png", "mace")
    pixels = picture(tmp_path / "attack.png", (1200, 690))
    bars = [count(half, "#1f6f8b") for half in np.array_split(pixels, 2)]
    assert bars[0] > 2.5 * bars[1] > 0


def test_plot_attack_errors_refuses_no_attacks(tmp_path):
    with pytest.raises(InputError, match="there are no errors of attacks to draw"):
        plot_attack_errors({}, {}, tmp_path / "attack.png", "mace")


def test_plot_parity_is_deterministic(tmp_path):
    for name in ("a.png", "b.png"):
        drawn = energies(20, 3)
        plot_parity(drawn, list(drawn), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

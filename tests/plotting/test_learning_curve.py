import math

import numpy as np
import pytest
from PIL import Image

from molrl.plotting.learning_curve import draw_learning_curve, plot_learning_curve, smoothed


def rows(n):
    return [
        {
            "steps": 100 * i,
            "return_fraction": 1 - math.exp(-i / 20),
            "valid_fraction": None if i < 3 else i / n,
            "entropy": math.nan,
        }
        for i in range(n)
    ]


def curves(figure):
    """Return the smoothed curves by their labels."""
    (ax,) = figure.axes
    return {line.get_label(): line for line in ax.get_lines() if line.get_label()[0] != "_"}


@pytest.mark.parametrize("n", [0, 1, 2, 150])
def test_plot_learning_curve_draws_all_rows(tmp_path, n):
    plot_learning_curve(rows(n), tmp_path / "curve.png", "CH4O, mace")
    with Image.open(tmp_path / "curve.png") as image:
        assert image.format == "PNG"
        assert image.size == (1080, 630)
    found = curves(draw_learning_curve(rows(n), "CH4O, mace"))
    points = {label: len(line.get_xdata()) for label, line in found.items()}
    expected = {"return fraction": n, "valid molecules": n - 3}  # the first three have no share
    assert points == {label: count for label, count in expected.items() if count > 0}
    if n:
        assert found["return fraction"].get_xdata()[-1] == 100 * (n - 1)


def test_draw_learning_curve_omits_what_is_not_finite():
    odd = [row | {"return_fraction": math.nan} for row in rows(4)] + rows(9)[4:]
    found = curves(draw_learning_curve(odd))
    assert found["return fraction"].get_xdata().tolist() == [400, 500, 600, 700, 800]


def test_plot_learning_curve_is_deterministic(tmp_path):
    for name in ("a.png", "b.png"):
        plot_learning_curve(rows(20), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_draw_learning_curve_puts_the_legend_outside_the_curves():
    figure = draw_learning_curve(rows(150), "CH4O, mace")
    figure.canvas.draw()
    (legend,), (ax,) = figure.legends, figure.axes
    box = legend.get_window_extent()
    assert not box.overlaps(ax.get_tightbbox())
    assert figure.bbox.contains(box.x0, box.y0)
    assert figure.bbox.contains(box.x1, box.y1)


def test_draw_learning_curve_marks_evaluations_of_the_policy_and_of_the_average():
    evaluated = {"return_fraction": 0.5, "average_return_fraction": 0.6, "valid_fraction": None}
    figure = draw_learning_curve(rows(20), "", [{"steps": 500, **evaluated}])
    (ax,) = figure.axes
    markers = {
        (line.get_markerfacecolor() == "white", *line.get_xydata()[0])
        for line in ax.get_lines()
        if line.get_marker() == "D" and len(line.get_xydata())
    }
    assert markers == {(False, 500, 0.5), (True, 500, 0.6)}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["evaluation", "evaluation of the average"]


def test_draw_learning_curve_names_the_colours_of_evaluations_without_curves():
    evaluated = {"valid_fraction": 0.5, "average_valid_fraction": 0.6}
    figure = draw_learning_curve([{"steps": 500}], "", [{"steps": 500, **evaluated}])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["valid molecules", "evaluation", "evaluation of the average"]
    (ax,) = figure.axes
    assert not ax.texts  # no best known isomer where there is no return fraction


@pytest.mark.parametrize("n", [20, 150, 3000])
def test_smoothed_shows_a_dip_neither_before_nor_long_after_it(n):
    curve = np.ones(n)
    curve[n // 2] = 0
    smooth = smoothed(curve)
    assert np.allclose(smooth[: n // 2], 1)
    assert smooth.argmin() == n // 2
    over = n // 2 + max(3, n // 30)
    assert (1 - smooth[over:] < 0.1 * (1 - smooth.min())).all()


def test_smoothed_reduces_noise_and_keeps_the_mean():
    noise = np.random.default_rng(0).normal(size=1000)
    smooth = smoothed(5 + noise)
    assert smooth[200:].std() < 0.5
    assert smooth.mean() == pytest.approx(5, abs=0.1)


def test_smoothed_keeps_a_single_point():
    assert smoothed(np.array([0.3])) == pytest.approx([0.3])


def test_draw_learning_curve_has_a_panel_of_the_return_where_there_is_no_fraction_of_it():
    returned = [row | {"return_fraction": None, "return": 5.0 * i} for i, row in enumerate(rows(9))]
    evaluated = {"return_fraction": None, "return": 20.0, "average_return": 30.0}
    figure = draw_learning_curve(returned, "", [{"steps": 500, **evaluated}])
    above, below = figure.axes
    assert above.get_ylabel() == "return, eV"
    (curve,) = (line for line in above.get_lines() if line.get_label() == "return")
    assert curve.get_xdata().tolist() == [100.0 * i for i in range(9)]
    assert "return fraction" not in below.get_legend_handles_labels()[1]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["return", "valid molecules"]

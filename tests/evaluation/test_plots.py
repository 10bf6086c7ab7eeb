import math

import numpy as np
import pytest
from PIL import Image

from molrl.evaluation.plots import plot_learning_curve


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


@pytest.mark.parametrize("n", [0, 1, 2, 150])
def test_any_number_of_rows_gives_a_png_of_sane_size(tmp_path, n):
    plot_learning_curve(rows(n), tmp_path / "curve.png", "CH4O, mace")
    with Image.open(tmp_path / "curve.png") as image:
        assert image.format == "PNG"
        assert image.size == (1080, 630)
        assert (np.asarray(image.convert("RGB")) != 255).any(-1).mean() > 0.003


def test_what_is_not_finite_is_left_out(tmp_path):
    odd = [row | {"return_fraction": math.nan} for row in rows(4)] + rows(9)[4:]
    plot_learning_curve(odd, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5_000


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        plot_learning_curve(rows(20), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

import numpy as np
import pytest
from matplotlib.image import imread

from molrl.evaluation.statistics import Run, discovery_curve, success_curve
from molrl.plotting.comparison import plot_discovery_curves, plot_success_curves

RUNS = [Run([1, 4], ["CO", "CC"], [0.0, -1.0]), Run([2], ["CO"], [0.0])]
DRAWN = {
    plot_discovery_curves: discovery_curve(RUNS, np.arange(6)),
    plot_success_curves: success_curve(RUNS, np.arange(6), best=-1.0),
}


@pytest.mark.parametrize("plot", DRAWN)
def test_plots_of_curves_show_each_method(plot, tmp_path):
    for n in (0, 1, 2):
        curves = {f"method {i}": DRAWN[plot] for i in range(n)}
        plot(curves, tmp_path / f"{n}.png")
    empty, one, two = (imread(tmp_path / f"{n}.png") for n in range(3))
    assert empty.shape == one.shape == two.shape
    assert np.abs(one - empty).max() > 0.2
    assert np.abs(two - one).max() > 0.2

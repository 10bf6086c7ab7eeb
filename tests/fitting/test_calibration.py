import pytest
import torch

from molrl.energy.uncertainty import REFERENCE_SCORE, GaussianMixture, Scale
from molrl.fitting.calibration import FLAGGED, Evaluated, calibrate
from molrl.molecules import MoleculeBatch

SIZES = 3


def mixture():
    """A standard normal distribution of one feature of hydrogen."""
    one = torch.ones(1, 1, dtype=torch.float64)
    return GaussianMixture(
        (1,),
        0 * one,
        torch.zeros(1, 1, 1).double(),
        one.view(1, 1, 1, 1),
        Scale(center=1.0, width=2.0),
    )


def structures(n, error_of):
    """Structures of three atoms, and their errors as a function of the largest feature."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.rand(n, 1, generator=generator) * 6
    features = torch.randn(n, SIZES, generator=generator) * wide
    molecules = MoleculeBatch(
        torch.ones(n * SIZES, dtype=torch.int64),
        torch.randn(n * SIZES, 3, generator=generator),
        torch.full((n,), SIZES),
    )
    error = error_of(features.abs().amax(1)).double()
    return Evaluated(molecules, features.flatten()[:, None], error)


def scores(calibrated, evaluated):
    atoms = calibrated.atom_uncertainty(evaluated.features, evaluated.molecules.numbers)
    return atoms, calibrated.molecule_uncertainty(atoms, evaluated.molecules)


def test_calibrate_puts_zero_where_large_errors_begin():
    evaluated = structures(2000, lambda largest: 0.02 * largest)  # 0.1 eV/atom at 5
    calibrated = calibrate(mixture(), evaluated)
    _, score = scores(calibrated, evaluated)
    large = evaluated.error > 0.1
    assert float((score[~large] > 0).double().mean()) == pytest.approx(FLAGGED, abs=0.005)
    assert float((score[large] > 0).double().mean()) > 0.7


def test_calibrate_leaves_the_scale_without_enough_small_errors():
    evaluated = structures(100, lambda largest: torch.full_like(largest, 0.5))
    assert calibrate(mixture(), evaluated).scale == mixture().scale


def test_calibrate_only_raises_the_zero_where_hardly_any_error_is_large():
    evaluated = structures(2000, lambda largest: torch.full_like(largest, 0.01))
    _, score = scores(calibrate(mixture(), evaluated), evaluated)
    assert float((score > 0).double().mean()) == pytest.approx(FLAGGED, abs=0.005)
    narrow = Evaluated(evaluated.molecules, 0.01 * evaluated.features, evaluated.error)
    _, score = scores(calibrate(mixture(), narrow), narrow)
    assert float(score.max()) < 0
    assert calibrate(mixture(), narrow).scale.unusual == mixture().scale.unusual


def test_molecule_uncertainty_has_a_share_of_the_largest_atom():
    evaluated = structures(2000, lambda largest: 0.02 * largest)
    calibrated = calibrate(mixture(), evaluated)
    atoms, score = scores(calibrated, evaluated)
    per_molecule = atoms.view(-1, SIZES)
    wanted = 0.6 * per_molecule.mean(1) + 0.4 * per_molecule.amax(1)
    torch.testing.assert_close(score, wanted)


def test_molecule_uncertainty_of_an_empty_canvas_is_the_reference_score():
    empty = MoleculeBatch(torch.tensor([1]), torch.zeros(1, 3), torch.tensor([0, 1]))
    calibrated = calibrate(mixture(), structures(2000, lambda largest: 0.02 * largest))
    score = calibrated.molecule_uncertainty(torch.tensor([0.5]).double(), empty)
    assert score.tolist() == [REFERENCE_SCORE, 0.5]

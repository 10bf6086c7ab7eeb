import math

import pytest
import torch

from molrl.energy.descriptors import SimilarityKernel, kernel


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def double_loop(x, reference, sharpness):
    """The kernel by its definition."""
    squares = [sum(float(v) ** 2 for v in r) for r in reference]
    length_squared = sum(squares) / len(squares)
    out = []
    for a in x:
        terms = []
        for r in reference:
            d = sum((float(p) - float(q)) ** 2 for p, q in zip(a, r, strict=True))
            terms.append(-0.5 * sharpness * d / length_squared)
        top = max(terms)
        out.append(top + math.log(sum(math.exp(t - top) for t in terms)))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("sharpness", [1.0, 53.0, 120.0])
def test_log_similarity_equals_a_double_loop(sharpness, monkeypatch):
    monkeypatch.setattr(kernel, "ATOMS_PER_CHUNK", 3)  # several chunks, the last not full
    x, reference = draw(7, 5), draw(11, 5, seed=1) + 4
    found = SimilarityKernel(reference).log_similarity(x, sharpness)
    assert torch.allclose(found, double_loop(x, reference, sharpness), atol=1e-6)


def test_log_similarity_in_float32_is_close_far_from_the_origin():
    x, reference = draw(20, 64, seed=2) + 50, draw(30, 64, seed=3) + 50
    exact = SimilarityKernel(reference).log_similarity(x, 120.0)
    found = SimilarityKernel(reference.float()).log_similarity(x.float(), 120.0)
    assert torch.allclose(found.double(), exact, atol=1e-3)


def test_log_similarity_gradient_equals_finite_differences():
    x = draw(4, 5).requires_grad_()
    one = SimilarityKernel(draw(6, 5, seed=1))
    weights = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda at: one.log_similarity(at, 30.0) * weights, (x,))


def test_log_similarity_does_not_depend_on_the_order_of_the_reference():
    x, reference = draw(4, 5), draw(9, 5, seed=1)
    mixed = reference[torch.randperm(9, generator=torch.Generator().manual_seed(1))]
    first, second = (SimilarityKernel(r).log_similarity(x, 50.0) for r in (reference, mixed))
    assert torch.allclose(first, second, atol=1e-10)


def test_squared_distance_is_that_of_the_nearest_in_units_of_the_mean_square():
    reference, x = draw(9, 5, seed=1), draw(6, 5)
    one = SimilarityKernel(reference)
    assert torch.allclose(one.squared_distance(reference), torch.zeros(9).double(), atol=1e-12)
    nearest = torch.stack([(reference - a).square().sum(-1).amin() for a in x])
    expected = nearest / reference.square().sum(-1).mean()
    assert torch.allclose(one.squared_distance(x), expected)


def test_balanced_makes_common_environments_as_attractive_as_rare_ones():
    rare, common = draw(2, 5) * 3
    reference = torch.stack([common] * 9 + [rare])
    at = torch.stack([common, rare])
    plain = SimilarityKernel(reference)
    first, second = plain.log_similarity(at, 120.0).tolist()
    assert first - second == pytest.approx(math.log(9), abs=1e-3)
    first, second = plain.balanced(1.0, 120.0).log_similarity(at, 120.0).tolist()
    assert first == pytest.approx(second, abs=1e-3)
    same = plain.balanced(0.0, 120.0).log_similarity(at, 120.0)
    assert torch.allclose(same, plain.log_similarity(at, 120.0))

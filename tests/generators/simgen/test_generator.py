import numpy as np
import pytest
import torch

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.errors import InputError
from molrl.generation import load_generator
from molrl.generators.simgen.generator import SimgenGenerator
from molrl.shapes import line
from molrl.tasks import parse_task
from molrl.testing import check_generator

FAST = {"steps": 24, "particles": 4, "reference_size": 60, "descriptors": "mace-small"}


@pytest.fixture(scope="module")
def generator():
    return SimgenGenerator(energy="mace-small", device="cpu", **FAST)


def test_simgen_passes_the_checks_of_generators(generator):
    check_generator(generator, bag="CH2O")


def test_generate_makes_valid_molecules_of_the_bag(generator):
    made = generator.generate("C4H8O", n=8, seed=0)
    found = validity(made.molecules)
    assert {str(bag) for bag in made.molecules.bags()} == {"C4H8O"}
    assert found.valid.mean() >= 0.8
    assert len(set(found.smiles)) > 2
    assert made.attempts >= 8
    assert made.energy_calls > 8
    assert made.network_calls > 8 * FAST["particles"]


def test_generate_gives_the_same_bits_for_the_same_seed_and_batch(generator):
    first, second = (generator.generate("C2H6O", n=3, seed=5).molecules for _ in range(2))
    assert torch.equal(first.positions, second.positions)


def test_generate_keeps_the_fixed_atoms_of_a_scaffold(generator):
    task = parse_task({"kind": "scaffold", "scaffold": "*c1ccccc1", "bag": "CH3O"})
    made = generator.generate(task, n=4, seed=0)
    fixed = task.instance.fixed
    for numbers, positions in made.molecules.arrays():
        assert np.array_equal(numbers[: len(fixed)], fixed.numbers)
        assert np.abs(positions[: len(fixed)] - fixed.positions).max() < 1e-5
    assert set(validity(made.molecules).smiles) <= {"COc1ccccc1", "OCc1ccccc1"}


def test_generate_links_two_fragments(generator):
    task = {"kind": "linker", "fragments": ["*C", "*C"], "gap": 2.5, "bag": "CH2"}
    found = validity(generator.generate(task, n=3, seed=0).molecules)
    assert found.smiles == ["CCC"] * 3


def test_generate_follows_the_points_of_a_shape(generator):
    task = {"kind": "shape", "shape": {"kind": "line", "length": 8.0}, "bag": "C5H12O"}
    ball = generator.generate("C5H12O", n=3, seed=0).molecules

    def longest(molecules):
        return np.mean(
            [np.linalg.norm(x[:, None] - x, axis=-1).max() for _, x in molecules.arrays()]
        )

    assert longest(generator.generate(task, n=3, seed=0).molecules) > longest(ball) + 0.5


def test_generate_takes_a_prior_as_an_array_and_a_reference():
    known = shipped_molecules().isomers("C3H8O").molecules
    options = {**FAST, "reference": known, "prior": line(4.0, 20), "energy": "mace-small"}
    made = load_generator("simgen", device="cpu", **options).generate("C3H8O", n=3, seed=0)
    assert validity(made.molecules).valid.sum() >= 2
    with pytest.raises(InputError, match="leave out the prior"):
        load_generator("simgen", device="cpu", **options).generate(
            {"kind": "shape", "bag": "CH4"}, n=1, seed=0
        )


def test_generate_makes_a_molecule_whatever_others_are_asked_for(generator):
    task = parse_task({"kind": "bags", "bags": ["C2H6O", "C4H7N", "C6H6"], "held_out": []})
    three, six = (generator.generate(task, n, seed=0).molecules for n in (3, 6))
    assert len({bag.formula for bag in six[:3].bags()}) > 1
    torch.testing.assert_close(three.positions, six[:3].positions, atol=0.1, rtol=0)


def test_generate_draws_another_formula_for_one_that_it_cannot_make(generator, capsys):
    """Of carbon monoxide the octet rule makes no molecule without charges."""
    task = parse_task({"kind": "bags", "bags": ["CO", "CH4O"], "held_out": []})
    made = generator.generate(task, n=4, seed=1)
    assert {bag.formula for bag in made.molecules.bags()} == {"CH4O"}
    assert "the atoms of CO their usual valences: another one was drawn" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, 2.5])
def test_generate_sizes_refuses_what_is_no_size(generator, size):
    with pytest.raises(InputError, match="n_heavy must be a whole number"):
        generator.generate_sizes([3, size], seed=1)


def test_generate_sizes_makes_molecules_of_these_sizes(generator):
    made = generator.generate_sizes([3, 6, 4], seed=1)
    assert [int((z > 1).sum()) for z, _ in made.molecules.arrays()] == [3, 6, 4]


def test_frames_end_with_the_relaxed_molecule(generator):
    frames = list(generator.frames("C2H6O", seed=3))
    assert len(frames) == 1 + 12 + 1 + 2  # start, rounds, settled, with hydrogens, relaxed
    assert {len(frame.numbers) for frame in frames[:-2]} == {3}
    assert [str(frame.bags()[0]) for frame in frames[-2:]] == ["C2H6O"] * 2
    first, last = (frame.positions[:3] for frame in frames[-2:])
    assert float((first - last).norm(dim=-1).max()) > 0.01


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("H2", "needs a heavy atom"),
        ("CH3", "usual valences"),
        ("C2H5Cl", "not Cl"),
        ({"kind": "cluster"}, "not a cluster"),
        ({"kind": "scaffold", "scaffold": "C", "bag": "CH2"}, "open valences"),
        ({"kind": "scaffold", "scaffold": "*C[NH3+]", "bag": "CH3"}, "neutral"),
    ],
)
def test_generate_refuses_what_it_cannot_make(generator, task, message):
    with pytest.raises(InputError, match=message):
        generator.generate(task, n=1, seed=0)


def test_simgen_refuses_unknown_settings():
    with pytest.raises(InputError, match=r"simgen.*swap_evry"):
        load_generator("simgen", device="cpu", swap_evry=3)
    with pytest.raises(InputError, match="gaussian prior"):
        SimgenGenerator(device="cpu", prior={"kind": "gaussian", "widths": [1]}).generate(
            "CH4", 1, 0
        )


def test_generate_works_with_descriptors_that_need_no_data():
    options = {**FAST, "descriptors": "tensor-reduced", "energy": "mace-small"}
    made = SimgenGenerator(device="cpu", **options).generate("C2H6O", n=3, seed=0)
    assert validity(made.molecules).valid.sum() >= 2

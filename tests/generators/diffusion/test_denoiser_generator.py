"""Denoisers as generators: the contract, tasks, and what is refused."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import HELD_OUT, load_training_set
from molrl.cli.main import main
from molrl.errors import InputError
from molrl.generators.diffusion.config import DenoiserConfig, SamplingConfig, TrunkConfig
from molrl.generators.diffusion.shipping import shipped_weights, why_not_shipped
from molrl.generators.diffusion.training import DenoiserTraining
from molrl.tasks import parse_task
from molrl.testing import check_generator

sys.path.append(str(Path(__file__).parents[3] / "experiments"))

import ship_denoiser

NAMES = ("diffusion", "pseudo-force")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with weights of both denoisers, hardly trained."""
    folder = tmp_path_factory.mktemp("run")
    for name in NAMES:
        config = DenoiserConfig(
            generator=name,
            run_dir=folder,
            total_steps=2,
            batch_size=8,
            network=TrunkConfig(channels=8, hidden=8, vectors=4, layers=1),
            sampling=SamplingConfig(evaluations=5),
        )
        training = DenoiserTraining(config, load_training_set(), "cpu")
        training.run(lambda step, figures: None)
        training.write_weights(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_generator_keeps_the_contract(run, name):
    check_generator(molrl.load_generator(f"{name}:{run}"), bag="CH4O")


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_at_another_number_of_molecules_gives_the_same_noise(run, name):
    generator = molrl.load_generator(f"{name}:{run}")
    two, five = (generator.generate("C2H6O", n, 3).molecules for n in (2, 5))
    assert torch.allclose(two.positions, five[:2].positions, atol=1e-4)


def test_molecules_larger_than_those_of_the_training_are_mentioned(run, capsys):
    generator = molrl.load_generator(f"pseudo-force:{run}")
    generator.generate("C10H22", 1, 0)
    generator.generate_any(1, 0, n_atoms=30)
    said = [line.partition(";")[0] for line in capsys.readouterr().err.splitlines()]
    head = "molrl: pseudo-force was trained on up to 29 atoms, and"
    assert said == [f"{head} C10H22 has 32", f"{head} n_atoms=30 has 30"]


@pytest.mark.parametrize("kind", ["scaffold", "linker"])
@pytest.mark.parametrize("name", NAMES)
def test_fixed_atoms_stay_where_they_are(run, name, kind):
    task = parse_task({"kind": kind})
    made = molrl.load_generator(f"{name}:{run}").generate(task, 2, 0).molecules
    fixed = task.instance.fixed
    for numbers, positions in made.arrays():
        assert np.array_equal(numbers[: len(fixed)], fixed.numbers)
        assert np.allclose(positions[: len(fixed)], fixed.positions, atol=1e-5)
    assert {bag.formula for bag in made.bags()} == {task.instance.finished_bag.formula}


@pytest.mark.parametrize("name", NAMES)
def test_shape_draws_the_atoms_to_its_points(run, name):
    line = {"kind": "shape", "shape": {"kind": "line", "length": 12.0}, "bag": "C6H6"}
    made = molrl.load_generator(f"{name}:{run}", sampling={"evaluations": 21})
    shaped, free = (made.generate(task, 8, 0).molecules.positions for task in (line, "C6H6"))
    assert shaped[:, 1:].square().mean() < 0.5 * free[:, 1:].square().mean()


def test_molecules_in_a_shape_are_mostly_valid_and_nearer_to_its_points():
    """The pull must not break the bonds, which are made at low noise."""
    line = {"kind": "shape", "shape": {"kind": "line", "length": 4.0}, "bag": "C4H8O"}
    generator, points = molrl.load_generator("diffusion-direct"), parse_task(line).instance.shape
    shaped, free = (generator.generate(task, 12, 0).molecules for task in (line, "C4H8O"))
    assert validity(shaped).valid.mean() > 0.6

    def distance(molecules):
        heavy = molecules.positions[molecules.numbers > 1].double()
        return float(torch.cdist(heavy, torch.as_tensor(points).double()).min(1).values.mean())

    assert distance(shaped) < 0.8 * distance(free)


@pytest.mark.parametrize("name", NAMES)
def test_elements_are_denoised_where_only_a_size_is_asked(run, name):
    made = molrl.load_generator(f"{name}:{run}").generate_any(6, seed=0, n_atoms=7)
    assert made.molecules.n_atoms.tolist() == [7] * 6
    assert len({bag.formula for bag in made.molecules.bags()}) > 1
    sizes = molrl.load_generator(f"{name}:{run}").generate_any(6, seed=0).molecules.n_atoms
    assert len(set(sizes.tolist())) > 1


@pytest.mark.parametrize("n_atoms", [0, 2.5, "5"])
def test_generate_any_refuses_what_is_no_size(run, n_atoms):
    with pytest.raises(InputError, match="n_atoms must be a whole number, at least 1"):
        molrl.load_generator(f"diffusion:{run}").generate_any(2, seed=0, n_atoms=n_atoms)


@pytest.mark.parametrize(
    ("name", "file", "right"),
    [
        ("run", "diffusion.json", "diffusion: write diffusion"),
        ("covariant", "pseudo-force.json", "pseudo-force: write pseudo-force"),
        ("pseudo-force", "diffusion.json", "diffusion: write diffusion"),
        ("diffusion", "policy.json", "an agent: write run"),
    ],
)
def test_run_of_another_generator_is_named(name, file, right, tmp_path):
    (tmp_path / file).touch()
    with pytest.raises(InputError) as error:
        molrl.load_generator(f"{name}:{tmp_path}")
    assert str(error.value) == f"{tmp_path} is a run of {right}:{tmp_path}"


def test_frames_end_with_what_is_generated(run):
    generator = molrl.load_generator(f"diffusion:{run}", sampling={"evaluations": 7})
    frames = list(generator.frames("CH4O", 2, 0))
    made = generator.generate("CH4O", 2, 0)
    assert len(frames) == 4
    assert made.network_calls == 2 * 7
    assert torch.equal(frames[-1].positions, made.molecules.positions)
    assert not torch.equal(frames[0].positions, frames[1].positions)


def test_guidance_costs_energies_and_changes_the_molecules(run):
    plain, led = (
        molrl.load_generator(f"diffusion:{run}", guidance=guidance).generate("CH4O", 2, 0)
        for guidance in (None, {"energy": 0.1})
    )
    assert plain.energy_calls == 0 < led.energy_calls
    assert not torch.equal(plain.molecules.positions, led.molecules.positions)


WIDTH = """
def width(molecules):
    return [(positions**2).sum(-1).mean() ** 0.5 for _, positions in molecules.arrays()]
"""


@pytest.mark.parametrize("name", NAMES)
def test_reward_terms_steer_molecules_and_cost_particles(run, name, tmp_path, monkeypatch):
    (tmp_path / "of_users.py").write_text(WIDTH)
    monkeypatch.syspath_prepend(tmp_path)
    width = {"call": "of_users:width", "weight": 20.0}
    led = {"reward": {"width": width, "valid": 1.0}, "particles": 3}
    plain, steered = (
        molrl.load_generator(f"{name}:{run}", guidance=guidance).generate("CH4O", 8, 0)
        for guidance in (None, led)
    )
    wide, usual = (each.molecules.positions.square().mean() for each in (steered, plain))
    assert wide > 1.2 * usual
    assert steered.energy_calls > 0
    calls = plain.network_calls
    assert 3 * calls < steered.network_calls <= 3 * (calls + 8 * 4)
    again = molrl.load_generator(f"{name}:{run}", guidance=led).generate("CH4O", 3, 0).molecules
    assert torch.allclose(again.positions, steered.molecules[:3].positions, atol=1e-4)


@pytest.mark.parametrize(
    ("reward", "task", "line"),
    [
        ({"energy": 1.0}, "CH4O", "'energy' is of every atom that an agent places"),
        ({"validd": 1.0}, "CH4O", "unknown reward term 'validd'"),
        ({"coverage": 1.0}, "CH4O", "'coverage' requires a task with a shape"),
        ({"relative_energy": {"references": {"CO": -1.0}}}, "CH4O", "no reference energy for CH4O"),
        ({"far": {"call": "nowhere:f"}}, "CH4O", "'nowhere:f' cannot be imported"),
    ],
)
def test_rewards_that_cannot_guide_are_refused_in_a_line(run, reward, task, line):
    with pytest.raises(InputError, match=line) as error:
        molrl.load_generator(f"diffusion:{run}", guidance={"reward": reward}).generate(task, 1, 0)
    assert "\n" not in str(error.value)


def test_steered_molecules_fill_shapes(run):
    line = {"kind": "shape", "shape": {"kind": "line", "length": 6.0}, "bag": "C6H6"}
    generator = molrl.load_generator(f"diffusion:{run}", guidance={"reward": {"coverage": 5.0}})
    assert len(generator.generate(line, 2, 0).molecules) == 2


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ("SiH4", "diffusion was not trained on Si; it knows H, C, N, O, F, S"),
        ({"kind": "cluster"}, "refills of the bag"),
        ({"kind": "scaffold", "scaffold": "[NH4+]", "bag": "H2O"}, "has a charge"),
    ],
)
def test_tasks_that_it_cannot_make_are_refused_in_a_line(run, task, line):
    with pytest.raises(InputError, match=line) as error:
        molrl.load_generator(f"diffusion:{run}").generate(task, 1, 0)
    assert "\n" not in str(error.value)


def test_tasks_of_several_bags_are_made(run):
    generator = molrl.load_generator(f"pseudo-force:{run}")
    made = generator.generate({"kind": "bags", "bags": ["CH4O", "H2O"], "held_out": []}, 8, 0)
    assert {bag.formula for bag in made.molecules.bags()} == {"CH4O", "H2O"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"sampling": {"step": 3}}, "sampling: .*step"),
        ({"guidance": {"energi": 3.0}}, "guidance: .*energi"),
        ({"guidance": {"particles": 8}}, "particles are of a reward"),
        ({"guidance": {"model": "gfn2"}}, "model would not be used"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": None}, "batch_size must be a valid integer, not None"),
    ],
)
def test_wrong_options_are_refused(run, options, line):
    with pytest.raises(InputError, match=line):
        molrl.load_generator(f"diffusion:{run}", **options)


@pytest.mark.parametrize("name", NAMES)
def test_generator_without_weights_says_how_to_train_it(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("molrl.generators.diffusion.shipping.SHIPPED", tmp_path)
    config = f"experiments/{name.replace('-', '_')}.yaml"
    assert Path(__file__).parents[3].joinpath(config).is_file()
    line = f"{name} ships no weights: molrl train {config}, then write {name}:RUN"
    with pytest.raises(InputError, match=f"^{line}$"):
        molrl.load_generator(name)
    assert main(["list"]) == 0
    assert line in capsys.readouterr().out


def test_weights_that_ship_generate_without_a_run(run, monkeypatch, capsys):
    monkeypatch.setattr("molrl.generators.diffusion.shipping.SHIPPED", run)
    made = (molrl.load_generator(each) for each in ("pseudo-force", f"pseudo-force:{run}"))
    first, second = (each.generate("CH4O", 2, 0).molecules.positions for each in made)
    assert torch.equal(first, second)
    assert main(["list"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if " pseudo-force " in line)
    assert line.split()[2:] == ["molrl", "yes", "MIT"]


SHIPPED = [
    pytest.param(
        name, marks=pytest.mark.skipif(bool(why_not_shipped(name)), reason="ships no weights")
    )
    for name in (*NAMES, "diffusion-direct")
]


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_that_ship_make_isomers_of_a_formula_that_was_held_out(name):
    found = validity(molrl.load_generator(name).generate("C3H8O", 16, 0).molecules)
    assert found.valid.mean() >= 0.4
    assert len({s for s, ok in zip(found.smiles, found.valid, strict=True) if ok}) > 1


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_that_ship_have_not_seen_the_formulas_held_out(name):
    header = molrl.load_generator(name).header
    seen = load_training_set().of_split("train").molecules
    assert list(header.sizes) == torch.bincount(seen.n_atoms).tolist()  # of what they learnt from
    card = shipped_weights(name).with_suffix(".md").read_text(encoding="utf-8")
    assert f"Held out: {', '.join(sorted(HELD_OUT))}." in card
    assert str(json.loads(shipped_weights(name).read_text())["sha256"]) in card


def test_weights_of_a_run_ship_once_it_has_its_card(run, tmp_path, monkeypatch):
    monkeypatch.setattr("molrl.generators.diffusion.shipping.SHIPPED", tmp_path / "shipped")
    copy = shutil.copytree(run, tmp_path / "run")
    with pytest.raises(InputError, match=r"has no card\.md, which is written at the end"):
        ship_denoiser.main(str(copy), "diffusion")
    (copy / "card.md").write_text("# diffusion\n")
    ship_denoiser.main(str(copy), "diffusion")
    assert (
        molrl.load_generator("diffusion").header == molrl.load_generator(f"diffusion:{run}").header
    )
    assert sorted(path.name for path in (tmp_path / "shipped").iterdir()) == [
        "diffusion.json",
        "diffusion.md",
        "diffusion.safetensors",
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_that_ship_keep_the_contract(name):
    check_generator(molrl.load_generator(name), bag="CH4O")

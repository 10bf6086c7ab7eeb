import numpy as np
import pytest
import torch
from ase.build import molecule
from scipy.spatial.transform import Rotation

from molrl.agents.algorithms.archive import Admission, Archive
from molrl.agents.algorithms.imitation import Imitation
from molrl.agents.algorithms.interface import Setup
from molrl.agents.algorithms.replay import Replay, imitation_loss
from molrl.agents.config import PolicyConfig
from molrl.agents.imitation_config import ImitationConfig
from molrl.agents.interface import Inputs, build_network
from molrl.agents.vec_env import SB3VecEnv
from molrl.energy import load_energy
from molrl.envs.config import EnvConfig
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.vector import MolDesignVectorEnv
from molrl.molecules import MoleculeBatch
from molrl.runs.ranks import Ranks

ISOMERS = "CH3CH2OH", "CH3OCH3"
STILL = 1e-9, 1e-9  # Å, of the jitter


def archive(temperature=0.5):
    return Archive(load_energy("mace-small"), admission(temperature))


def admission(temperature=0.5, lengths=(0.7, 2.0), n_fixed=0):
    return Admission(lengths, None, per_update=16, temperature=temperature, n_fixed=n_fixed)


def distorted(names, seed=0):
    atoms = [molecule(name) for name in names]
    for each in atoms:
        each.rattle(0.05, seed=seed)
    return MoleculeBatch.from_ase(atoms)


def begun(**options):
    """Return a training of ethanol's formula after its first update, with an empty archive."""
    env = MolDesignVectorEnv(4, "SameStep", task="C2H6O", energy="mace-small")
    config = ImitationConfig(num_envs=4, n_steps=4, batch_size=8, n_epochs=1, **options)
    setup = Setup(SB3VecEnv(env), PolicyConfig(width=16, channels=4), 32, 0, "cpu", Ranks())
    model = Imitation(config, setup).model
    model.learn(16)
    return model


@pytest.fixture
def filled():
    made = archive()
    made.add(made.relaxed(distorted(ISOMERS)))
    return made


def test_archive_keeps_what_relaxes_to_valid_molecules():
    made = archive()
    broken = molecule("CH3CH2OH")
    broken.positions[-1] += 5
    made.add(made.relaxed(MoleculeBatch.from_ase([*distorted(ISOMERS).to_ase(), broken])))
    assert {isomer.smiles for isomer in made.isomers} == {"CCO", "COC"}


def test_archive_relaxes_isomers_it_has_few_of():
    made = archive()
    made.add(16 * made.relaxed(distorted(["CH3CH2OH"])))
    assert [isomer.smiles for isomer in made.relaxed(distorted(ISOMERS))] == ["COC"]


def test_archive_relaxes_isomers_of_low_energy_further():
    def largest_forces(temperature):
        made, model = archive(temperature), load_energy("mace-small")
        found = {isomer.smiles: isomer for isomer in made.relaxed(distorted(ISOMERS, seed=1))}
        atoms = [(found[smiles].numbers, found[smiles].positions) for smiles in ("CCO", "COC")]
        forces = model.evaluate(MoleculeBatch.from_arrays(atoms), forces=True).forces
        return [float(each.norm(dim=1).max()) for each in forces.split(9)]

    assert max(largest_forces(temperature=0.5)) < 0.01  # the ether is 0.1 eV above the alcohol
    low, high = largest_forces(temperature=0.01)
    assert low < 0.01 < high


def test_archive_keeps_the_charge_and_the_multiplicity_of_what_it_relaxes_further():
    ammonium = molecule("H3CNH2")
    nitrogen = ammonium.positions[ammonium.numbers == 7][0]
    outwards = nitrogen - ammonium.positions.mean(0)
    ammonium.append("H")
    ammonium.positions[-1] = nitrogen + outwards / np.linalg.norm(outwards)
    ammonium.info["charge"] = 1
    made = Archive(load_energy("gfn2"), admission())
    made.add(made.relaxed(MoleculeBatch.from_ase(ammonium)))
    again = Archive(load_energy("gfn2"), admission())
    again.restore(*made.snapshot())
    for kept in (made, again):
        (isomer,) = kept.isomers
        assert (isomer.smiles, isomer.charge, isomer.spin) == ("C[NH3+]", 1, 1)
        (rated,) = kept.rated([isomer])
        assert rated.energy == pytest.approx(isomer.energy, abs=1e-4)


def test_archive_takes_no_bond_that_the_policy_cannot_place():
    for lengths, wanted in (
        ((0.7, 2.0), {"CCO", "COC"}),
        ((1.0, 2.0), {"COC"}),
        ((0.7, 1.3), set()),
    ):
        made = Archive(load_energy("mace-small"), admission(lengths=lengths))
        found = {isomer.smiles for isomer in made.relaxed(distorted(ISOMERS))}
        assert found == wanted, lengths  # O-H 0.96 Å, C-H 1.09 Å, C-O 1.4 Å


def test_archive_draws_isomers_by_their_boltzmann_weights():
    made = archive(temperature=0.3)
    found = made.relaxed(distorted(ISOMERS))
    made.add(found + [isomer for isomer in found if isomer.smiles == "CCO"])
    lowest = {isomer.smiles: isomer.energy for isomer in made.isomers}
    ratio = np.exp(-(lowest["COC"] - lowest["CCO"]) / 0.3)
    drawn = [isomer.smiles for isomer in made.draw(4000, np.random.default_rng(0))]
    share = ratio / (1 + ratio)
    assert drawn.count("COC") / 4000 == pytest.approx(share, abs=0.03)


def test_archive_rates_no_molecule_without_an_energy(filled, monkeypatch):
    isomers = [filled.isomers[0]] * 3
    evaluate = filled._model.evaluate

    def fail_second(molecules):
        output = evaluate(molecules)
        output.energy[1] = torch.nan
        return output

    monkeypatch.setattr(filled._model, "evaluate", fail_second)
    assert [isomer.smiles for isomer in filled.rated(isomers)] == [isomers[0].smiles] * 2


def test_archive_is_the_same_after_a_snapshot(filled):
    again = archive()
    again.restore(*filled.snapshot())
    for one, other in zip(filled.isomers, again.isomers, strict=True):
        assert (one.smiles, one.energy) == (other.smiles, other.energy)
        assert np.array_equal(one.positions, other.positions)
        assert np.array_equal(one.bonds, other.bonds)
    empty = archive()
    empty.restore(*archive().snapshot())
    assert empty.isomers == []


def test_replayed_placements_are_taken_by_the_environment(filled):
    problem = Problem(EnvConfig(task="C2H6O", energy="mace-small"))
    rng = np.random.default_rng(0)
    start = problem.initial_state([problem.draw(rng, problem.task) for _ in range(200)])
    observation, actions = Replay(problem, STILL, 0.0).draw(filled.draw(200, rng), rng)
    bag, numbers = observation["bag"], observation["numbers"]
    assert (bag.sum(1) + (numbers > 0).sum(1) == 9).all()
    state = type(start).from_arrays(
        start.arrays()
        | {"numbers": numbers, "positions": observation["positions"], "bag": bag}
        | {"energy": problem.energy_model.evaluate(_molecules(observation)).energy.numpy()}
    )
    reasons = transition(state, actions, problem.context).reason
    refused = {Reason.ELEMENT_NOT_IN_BAG, Reason.FOCUS_ON_AN_EMPTY_SLOT, Reason.CLASH}
    assert not set(reasons.tolist()) & {*refused, Reason.OUT_OF_BOUNDS, Reason.MONOVALENT_ATOM}
    last = transition(state, actions, problem.context).state
    done = last.bag.sum(1) == 0
    relaxed = {round(isomer.energy, 2) for isomer in filled.isomers}
    assert {round(e, 2) for e in last.energy[done]} <= relaxed


def _molecules(observation):
    pairs = zip(observation["numbers"], observation["positions"], strict=True)
    return MoleculeBatch.from_arrays([(z[z > 0], x[z > 0].astype(float)) for z, x in pairs])


def test_replay_places_the_skeleton_first_if_asked(filled):
    problem = Problem(EnvConfig(task="C2H6O", energy="mace-small"))
    rng = np.random.default_rng(0)
    for log_odds, expected in ((0.0, False), (50.0, True)):
        observation, _ = Replay(problem, STILL, log_odds).draw(filled.draw(200, rng), rng)
        heavy, hydrogens = (
            (observation["numbers"] > 1).sum(1),
            (observation["numbers"] == 1).sum(1),
        )
        assert (heavy[hydrogens > 0] == 3).all() == expected


def test_archive_and_replay_leave_fixed_atoms_as_they_are():
    task = {"kind": "scaffold", "scaffold": "*C=C", "bag": "CH3"}
    problem = Problem(EnvConfig(task=task, energy="mace-small", canvas_size=9))
    fixed = problem.task.examples[0].fixed
    made = Archive(problem.energy_model, admission(n_fixed=len(fixed)))
    methyl = [[0, 0, 1.5], [0, 1.03, 1.86], [0.89, -0.52, 1.86], [-0.89, -0.52, 1.86]]
    end, outwards = fixed.ends[0]
    turned, _ = Rotation.align_vectors([outwards], [[0, 0, 1]])
    positions = np.vstack([fixed.positions, fixed.positions[end] + turned.apply(methyl)])
    numbers = np.concatenate([fixed.numbers, [6, 1, 1, 1]])
    built = MoleculeBatch.from_arrays([(numbers, positions)])
    made.add(made.relaxed(built))
    (propene,) = made.isomers
    assert propene.smiles == "C=CC"
    stayed, before = propene.positions[: len(fixed)], fixed.positions - fixed.positions[0]
    assert np.allclose(stayed, before, atol=1e-5)
    assert not np.allclose(propene.positions, positions - positions[0], atol=0.01)

    rng = np.random.default_rng(0)
    observation, actions = Replay(problem, (0.02, 0.02), 0.0, len(fixed)).draw(50 * [propene], rng)
    assert (observation["n_fixed"] == len(fixed)).all()
    assert (observation["numbers"][:, : len(fixed)] == fixed.numbers).all()
    assert np.allclose(observation["positions"][:, : len(fixed)], before, atol=1e-5)
    assert (observation["bag"].sum(1) >= 1).all()
    first = actions[observation["bag"].sum(1) == 4]
    assert (first[:, 0] == end).all()
    assert len(first)


def test_minibatch_is_evaluated_as_alone_beside_the_imitated_placements(filled):
    model = begun(imitation_batch=8)
    model.archive.add(filled.isomers)
    samples = next(model.rollout_buffer.get(8))
    torch.manual_seed(1)
    beside, loss = model._evaluated(samples), model._further_loss()
    alone = model.policy.evaluate_actions(samples.observations, samples.actions)
    for one, other in zip(beside, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)

    torch.manual_seed(1)
    rng = np.random.default_rng(int(torch.randint(2**62, (1,))))
    placements = model._replay.draw(model.archive.draw(8, rng), rng)
    losses = imitation_loss(model._network, *placements)
    assert float(losses.by_lobes.detach()) != 0
    torch.testing.assert_close(
        loss, losses.total + model._config.lobes_coef * losses.by_lobes, rtol=1e-4, atol=1e-4
    )


def test_reinforcement_ends_after_its_share_of_the_steps_if_there_are_molecules(filled):
    model = begun(reinforce_until=0.5)
    samples = next(model.rollout_buffer.get(8))
    model._current_progress_remaining = 0.4
    assert model._losses(samples, 0.2).numbers()[1] > 0  # nothing to imitate
    model.archive.add(filled.isomers)
    losses, head = model._losses(samples, 0.2), model._network.critic
    assert losses.numbers() == (0.0, 0.0, 0.0)
    model._descend(losses)
    assert all(not weight.grad.any() for weight in head.parameters() if weight.grad is not None)
    assert model._losses_seen[-1] == model._imitated.total.item()
    model._current_progress_remaining = 0.6
    assert model._losses(samples, 0.2).numbers()[1] > 0


def test_last_update_which_goes_beyond_the_steps_is_reinforced_too(filled):
    model = begun()
    model.archive.add(filled.isomers)
    model._current_progress_remaining = -0.01
    assert model._losses(next(model.rollout_buffer.get(8)), 0.2).numbers()[1] > 0


def test_policy_learns_relaxed_placements_far_below_the_width_of_a_harmonic_density(filled):
    """Of a density of degree 4 and sharpness 20, directions alone gain about 3 nats at most."""
    problem = Problem(EnvConfig(task="C2H6O", energy="mace-small"))
    isomers = [isomer for isomer in filled.isomers if isomer.smiles == "COC"]
    torch.default_generator.manual_seed(0)
    network = build_network(PolicyConfig(width=16, channels=4, degree=2, layers=1), Inputs(4))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    for _ in range(80):
        observation, actions = Replay(problem, STILL, 0.0).draw(64 * isomers, rng)
        tensors = {key: torch.as_tensor(x) for key, x in observation.items()}
        log_prob = network.evaluate_actions(tensors, torch.as_tensor(actions)).log_prob.mean()
        optimizer.zero_grad()
        torch.autograd.backward(-log_prob)
        optimizer.step()
    assert float(log_prob.detach()) > 3

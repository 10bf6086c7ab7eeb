"""Imitation where molecules lie in the frame of a shape, or around a solute."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from molrl.agents.algorithms.archive import Admission
from molrl.agents.algorithms.arrangements import Arrangements
from molrl.agents.algorithms.replay import Replay
from molrl.agents.config import PolicyConfig
from molrl.agents.imitation_config import ImitationConfig
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.chemistry.fragments import load_fragment
from molrl.energy import load_energy
from molrl.envs.config import EnvConfig
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.checkpoints import Checkpoints
from molrl.tasks.shape import ShapeTask

CLUSTER = {"kind": "cluster", "solute": "C=O", "solvent": "H2O", "n_solvent": 2}
LINE = {"kind": "shape", "shape": {"kind": "line", "length": 4.0}, "n_points": 16, "bag": "C2H2"}
REWARDS = {
    "cluster": {"energy": 1.0},
    "shape": {"energy": 1.0, "shape": {"weight": 3.0, "free": 0.3}, "coverage": 5.0},
}
REACH = 2.4
STILL = 1e-9, 1e-9  # Å, of the jitter


@pytest.fixture(scope="module")
def model():
    return load_energy("mace-small")


def hydrated(apart=2.9, broken=0.0):
    """Formaldehyde, then two water molecules, each with one hydrogen bond to the oxygen.

    Args:
        apart: Å, of the oxygens.
        broken: Å, by which the last hydrogen leaves.
    """
    solute = load_fragment("C=O")
    heavy = {int(z): x for z, x in zip(solute.numbers, solute.positions, strict=True) if z > 1}
    axis = (heavy[8] - heavy[6]) / np.linalg.norm(heavy[8] - heavy[6])
    hydrogens = solute.positions[solute.numbers == 1]
    across = (hydrogens[0] - hydrogens[1]) / np.linalg.norm(hydrogens[0] - hydrogens[1])
    normal = np.cross(axis, across)
    positions = [*solute.positions]
    for side in (1, -1):
        towards = 0.5 * axis + 0.87 * side * across
        oxygen = heavy[8] + apart * towards
        turned = oxygen + 0.24 * towards + 0.93 * normal
        positions += [oxygen, oxygen - 0.97 * towards, turned]
    positions[-1] = positions[-1] + broken * normal
    return np.array([*solute.numbers, *2 * (8, 1, 1)]), np.array(positions)


def acetylene(along):
    x = np.array([0.0, 1.21, -1.07, 2.28])
    return np.array([6, 6, 1, 1]), x[:, None] * np.array(along)


BUILT = {
    "cluster": [hydrated(), hydrated(apart=4.5), hydrated(broken=3.0)],
    "shape": [acetylene([0, 1, 0]), acetylene([1, 0, 0])],
}


def problem_of(task, model):
    return Problem(EnvConfig(task=task, energy=model, reward=REWARDS[task["kind"]]))


def filled(problem):
    """Arrangements made of :data:`BUILT`, and the replay by which they were rated."""
    n_fixed = len(problem.task.examples[0].fixed)
    replay = Replay(problem, STILL, 0.0, n_fixed, REACH)
    made = Arrangements(
        problem.energy_model, Admission((0.7, REACH), None, 16, 0.2, n_fixed), replay
    )
    made.add(made.relaxed(MoleculeBatch.from_arrays(BUILT[problem.task.kind])))
    return made, replay


def test_arrangements_are_whole_molecules_that_the_policy_can_build(model):
    made, replay = filled(problem_of(CLUSTER, model))
    (cluster,) = made.isomers  # neither the one out of reach nor the broken one
    assert cluster.smiles.startswith("C=O.O.O ")
    fixed = load_fragment("C=O").positions
    assert np.allclose(cluster.positions[:4], fixed - fixed[0], atol=1e-5)
    energies = model.evaluate(
        MoleculeBatch.from_arrays(
            [(cluster.numbers, cluster.positions.astype(float)), (cluster.numbers[:4], fixed)]
        )
    ).energy
    atoms = sum(model.atom_energies()[z] for z in cluster.numbers[4:].tolist())
    assert -cluster.energy == pytest.approx(float(atoms - energies[0] + energies[1]), abs=1e-3)
    assert replay.returns([]).shape == (0,)


def test_arrangements_in_a_shape_keep_its_frame_and_count_all_of_the_reward(model):
    made, replay = filled(problem_of(LINE, model))
    best, other = made.isomers
    assert best.energy < other.energy - 2
    assert np.abs(best.positions[:, 1:]).max() < 0.05
    drawn = made.draw(100, np.random.default_rng(0))
    assert all(each is best for each in drawn)
    observation, actions = replay.draw(drawn, np.random.default_rng(0))
    np.testing.assert_array_equal(observation["points"][7], replay.problem.task.instance.shape)
    n_atoms = (observation["numbers"] > 0).sum(1)
    assert set(n_atoms) == {0, 1, 2, 3}
    assert (observation["numbers"][n_atoms > 0, 0] == 6).all()
    assert np.abs(actions[:, 3:]).max() < 0.1


def test_replayed_clusters_are_built_molecule_after_molecule(model):
    problem = problem_of(CLUSTER, model)
    made, replay = filled(problem)
    observation, actions = replay.draw(200 * made.isomers, np.random.default_rng(0))
    numbers, bag = observation["numbers"], observation["bag"]
    placed, refills = (numbers > 0).sum(1) - 4, observation["refills"][:, 0]
    assert (refills == 1 - placed // 3).all()
    assert (bag.sum(1) == 3 - placed % 3).all()
    in_molecule = np.array(
        [(numbers[i, 4 + 3 * (k // 3) :] > 0).sum() for i, k in enumerate(placed)]
    )
    assert (bag[:, 0] + bag[:, 3] + in_molecule == 3).all()
    state = problem.initial_state(200 * [problem.task.instance])
    observed = {"numbers": numbers, "positions": observation["positions"], "bag": bag}
    arrays = state.arrays() | observed | {"refills": refills}
    state = type(state).from_arrays(arrays)
    energy = model.evaluate(state.to_molecules()).energy.numpy()
    moved = transition(
        type(state).from_arrays(arrays | {"energy": energy}), actions, problem.context
    )
    assert set(moved.reason.tolist()) == {Reason.ONGOING, Reason.COMPLETE}
    assert ((moved.reason == Reason.COMPLETE) == (placed == 5)).all()
    # no oxygen of a water molecule is in reach before its hydrogen
    oxygen = load_fragment("C=O").numbers.tolist().index(8)
    assert (actions[placed == 0, :2] == (oxygen, 0)).all()


@pytest.mark.bitwise
@pytest.mark.parametrize("task", [CLUSTER, LINE], ids=["cluster", "shape"])
def test_restore_resumes_imitation_of_arrangements_bit_for_bit(task, model, tmp_path):
    def training():
        env = MolDesignVectorEnv(
            4, "SameStep", task=task, energy=model, reward=REWARDS[task["kind"]]
        )
        policy = PolicyConfig(width=8, channels=4, degree=2, layers=1, distances=(0.7, REACH))
        algorithm = ImitationConfig(
            num_envs=4, n_steps=4, batch_size=16, imitation_batch=8, n_epochs=1, relaxations=2
        )
        return AgentTraining(env, policy, algorithm, 32, seed=0)

    whole, rows, checkpoints = training(), [], Checkpoints(tmp_path)
    archive = whole.algorithm.model.archive
    archive.add(archive.relaxed(MoleculeBatch.from_arrays(BUILT[task["kind"]])))

    def on_update(step, figures):
        rows.append((step, figures))
        if step == 16:
            checkpoints.save(snapshot(whole))

    whole.run(on_update)
    assert [figures["isomers"] >= 1 for _, figures in rows] == [True] * 2
    torch.manual_seed(99)
    agent, again = training(), []
    restore(agent, checkpoints.load(16))
    agent.run(lambda step, figures: again.append((step, figures)))
    assert repr(again) == repr(rows[1:])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(agent.network.state_dict()[name], tensor), name


class Cut(ShapeTask):
    """A shape that is filled from a fragment on."""

    kind: Literal["cut"] = "cut"

    def build(self):
        return replace(super().build(), fixed=load_fragment("*C"))


def test_imitation_refuses_a_shape_beside_fixed_atoms(model):
    env = MolDesignVectorEnv(2, "SameStep", task=Cut(bag="H2O", n_points=4), energy=model)
    with pytest.raises(InputError, match="a shape without fixed atoms, not for cut"):
        AgentTraining(env, PolicyConfig(width=8), ImitationConfig(num_envs=2), 100, 0)

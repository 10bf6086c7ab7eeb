"""What must not change without a word: energies, trajectories, names, files, identities.

``python tests/golden/golden.py [NAME ...]`` records anew, all of them unless some are named. A
change of a recorded file belongs into the commit that causes it, with the reason.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.cli.parser import build_parser
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.registry import load_energy
from molrl.files import read_molecules, write_extxyz
from molrl.molecules import MoleculeBatch

FOLDER = Path(__file__).parent
PACKAGE = Path(molrl.__file__).parent
NETWORKS = ("mace", "mace-small")
N_STEPS = 20
RULES = {"min_reward": -16.3, "max_reward": 30.0, "max_uncertainty": None}  # others by default
RUN_CONFIG = """
run_dir: run
total_steps: 1536
checkpoint_every: 256
task: {bag: CH4O}
energy: mace-small
policy: {width: 16, channels: 4, degree: 2, layers: 1}
algorithm: {name: ppo, num_envs: 32, n_steps: 8, batch_size: 64}
evaluation: {n_molecules: 4}
"""


def draw_molecules() -> MoleculeBatch:
    """50 molecules: relaxed, distorted, half-built, pairs, atoms."""
    rng = np.random.default_rng(0)
    shipped = [(z, x.astype(float)) for z, x in shipped_molecules().molecules.arrays()]
    picked = [shipped[i] for i in rng.choice(len(shipped), 43, replace=False)]
    relaxed, distorted = picked[:16], picked[16:32]
    half_built, pairs = picked[32:39], list(zip(picked[39:41], picked[41:43], strict=True))
    arrays = list(relaxed)
    arrays += [(z, x + rng.normal(scale=0.1, size=x.shape)) for z, x in distorted]
    for z, x in half_built:
        kept = np.argsort(np.linalg.norm(x - x[0], axis=1))[: max(2, 2 * len(z) // 3)]
        arrays.append((z[kept], x[kept]))
    for (za, xa), (zb, xb) in pairs:
        for gap in (2.2, 3.0):
            shift = xa[:, 0].max() - xb[:, 0].min() + gap
            arrays.append((np.r_[za, zb], np.r_[xa, xb + np.array([shift, 0, 0])]))
    arrays += [(np.array([z]), np.zeros((1, 3))) for z in (1, 6, 7, 8, 9, 16)]
    arrays.append((np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 0.74]])))
    return MoleculeBatch.from_arrays(arrays)


def evaluate_double(name: str, molecules: MoleculeBatch) -> tuple[np.ndarray, np.ndarray]:
    """Energies and forces of a network that ships, computed in float64.

    Its own float32 differs from processor to processor by more than what is guarded here.
    """
    model = NetworkEnergy(name)
    isolated = model.isolated_energy(molecules)
    model.potential.network.double()
    graph = model.potential.graph(molecules, torch.float64)
    graph.positions.requires_grad_()
    energy = model.potential(graph).energy
    (gradient,) = torch.autograd.grad(energy.sum(), graph.positions)
    return (energy.detach() + isolated).numpy(), -gradient.numpy()


def evaluate(name: str, molecules: MoleculeBatch) -> tuple[np.ndarray, np.ndarray]:
    """Energies and forces as every user gets them."""
    output = load_energy(name, device="cpu").evaluate(molecules, forces=True)
    return output.energy.numpy(), output.forces.numpy()


def record_energies() -> None:
    """``molecules.extxyz`` and ``energies.json``: eV and eV/Å."""
    write_extxyz(FOLDER / "molecules.extxyz", draw_molecules())
    molecules = read_molecules(FOLDER / "molecules.extxyz")
    found = {name: evaluate_double(name, molecules) for name in NETWORKS}
    found["gfn2"] = evaluate("gfn2", molecules)
    lines = [
        f'"{name}": {{"energy": {np.round(energy, 8).tolist()},\n'
        f'"forces": {np.round(forces, 7).tolist()}}}'
        for name, (energy, forces) in found.items()
    ]
    (FOLDER / "energies.json").write_text("{" + ",\n".join(lines) + "}\n")


def name_models() -> dict[str, Any]:
    """The hash of each model that ships, and of GFN2-xTB with the tblite that it is of."""
    return {
        **{name: load_energy(name, device="cpu").hash for name in NETWORKS},
        "gfn2": {"tblite": version("tblite"), "hash": load_energy("gfn2").hash},
    }


def sum_files() -> dict[str, str]:
    """The SHA-256 of each file of the package that is no code."""
    paths = [
        Path(folder) / name
        for folder, _, names in os.walk(PACKAGE, followlinks=True)
        for name in names
        if not name.endswith((".py", ".pyc")) and "__pycache__" not in folder
    ]
    sums = {p.relative_to(PACKAGE).as_posix(): hashlib.sha256(p.read_bytes()) for p in paths}
    return {name: digest.hexdigest() for name, digest in sorted(sums.items())}


def place(rng: np.random.Generator, obs: dict[str, np.ndarray]) -> np.ndarray:
    """An action that keeps to the bonds and the distances of molecules."""
    focus = rng.choice(np.flatnonzero(obs["focus_mask"]))
    in_bag = np.flatnonzero(obs["element_mask"])
    element = in_bag[-1] if obs["numbers"][0] == 0 else rng.choice(in_bag)
    atoms = obs["positions"][obs["numbers"] > 0]
    for _ in range(50):
        direction = rng.normal(size=3)
        shift = rng.uniform(1.0, 1.5) * direction / np.linalg.norm(direction)
        apart = np.linalg.norm(atoms - obs["positions"][focus] - shift, axis=1)
        if (apart > 1.0).all():
            break
    return np.array([focus, element, *shift], np.float32)


def play(env_id: str, actions: list[list[float]] | None = None) -> list[dict[str, Any]]:
    """20 steps with a fixed seed; episodes that end are followed by the next.

    Args:
        env_id: of the environment, which has its defaults besides :data:`RULES`.
        actions: what is done; where None, what :func:`place` draws.
    """
    env, rng = gym.make(env_id, rules=RULES).unwrapped, np.random.default_rng(1)
    obs, _ = env.reset(seed=0)
    steps = []
    for i in range(N_STEPS):
        before = {key: obs[key].tolist() for key in ("bag", "element_mask")}
        action = place(rng, obs) if actions is None else np.array(actions[i], np.float32)
        obs, reward, terminated, truncated, info = env.step(action)
        steps.append(
            {
                "before": before,
                "action": action.tolist(),
                "numbers": obs["numbers"][obs["numbers"] > 0].tolist(),
                "positions": obs["positions"][obs["numbers"] > 0].tolist(),
                "reward": reward,
                "energy": info["energy"],
                "reason": info["reason"],
                "ended": [terminated, truncated],
            }
        )
        if terminated or truncated:
            obs, _ = env.reset()
    return steps


def list_public_names() -> str:
    """Names, ids, and the command line with its options, one a line."""
    ids = sorted(env_id for env_id in gym.registry if env_id.startswith("MolDesign"))
    lines = [*(f"molrl.{name}" for name in sorted(molrl.__all__)), *ids]
    return "\n".join([*lines, *_commands(build_parser())]) + "\n"


def _commands(command: Any) -> list[str]:
    """The options of a command, and those of the commands below it."""
    lines = []
    for action in command._actions:
        if isinstance(action.choices, dict):
            for name in sorted(action.choices):
                lines += _commands(action.choices[name])
        elif action.option_strings != ["-h", "--help"]:
            option = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            default = "" if action.default in (None, [], "==SUPPRESS==") else f" = {action.default}"
            lines.append(f"{command.prog}: {option}{default}")
    return lines


def identify_shipped() -> str:
    """SMILES of each molecule that ships as its coordinates tell, and why it is not valid."""
    found = validity(shipped_molecules().molecules)
    rows = zip(found.smiles, found.isomeric_smiles, found.reasons, strict=True)
    return "".join(f"{a}\t{b}\t{reason}\n" for a, b, reason in rows)


def record_run() -> None:
    """``run/``: a training that was stopped half-way, with the policy it had then."""
    import contextlib
    import shutil
    import signal
    import tempfile

    from molrl.cli.agent_run import AgentRun
    from molrl.cli.experiment import ExperimentConfig
    from molrl.runs.config import load_config
    from molrl.runs.folder import RunFolder
    from molrl.runs.ranks import Ranks
    from molrl.runs.signals import Stopped
    from molrl.runs.trainer import train

    class Half(AgentRun):
        """A training that is asked to stop when it has come half-way."""

        def row(self, step: int, figures: Any) -> Any:
            if step >= 768:
                signal.raise_signal(signal.SIGTERM)
            return super().row(step, figures)

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "run.yaml")
        file.write_text(RUN_CONFIG)
        config = load_config(file, [], ExperimentConfig)
        folder = RunFolder.create(Path(scratch, "run"), config, "train")
        with contextlib.suppress(Stopped):
            train(Half(config, Ranks()), folder)
        shutil.rmtree(folder.tensorboard)
        (folder.path / ".lock").unlink(missing_ok=True)
        shutil.rmtree(FOLDER / "run", ignore_errors=True)
        shutil.copytree(folder.path, FOLDER / "run")


def _write_json(name: str, content: Any) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def record_trajectories() -> None:
    """``trajectories.json``: a line a step."""
    ids = sorted(env_id for env_id in gym.registry if env_id.startswith("MolDesign"))
    blocks = [
        f'"{env_id}": [\n' + ",\n".join(map(json.dumps, play(env_id))) + "\n]" for env_id in ids
    ]
    (FOLDER / "trajectories.json").write_text("{" + ",\n".join(blocks) + "}\n")


RECORDS: dict[str, Callable[[], object]] = {
    "energies": record_energies,
    "models": lambda: _write_json("models", name_models()),
    "files": lambda: _write_json("files", sum_files()),
    "trajectories": record_trajectories,
    "public": lambda: (FOLDER / "public.txt").write_text(list_public_names()),
    "identities": lambda: (FOLDER / "identities.tsv").write_text(identify_shipped()),
    "run": record_run,
}


def main(names: list[str]) -> None:
    """Record what is named, or everything."""
    for name in names or RECORDS:
        RECORDS[name]()
        print(f"recorded {name}")


if __name__ == "__main__":
    main(sys.argv[1:])

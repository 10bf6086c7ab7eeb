"""First steps of a new user with the installed package: ``python tests/smoke.py``."""

import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np

import molrl  # noqa: F401 - registers the environments

CONFIG = """
run_dir: run
total_steps: 512
checkpoint_every: 256
task: {bag: H2O}
energy: mace
policy: {width: 16, channels: 4, degree: 2, layers: 1}
algorithm: {name: ppo, num_envs: 32, n_steps: 8, batch_size: 64}
evaluation: {n_molecules: 2}
"""
COMMAND = shutil.which("molrl", path=sysconfig.get_path("scripts"))


def run_command(*arguments, folder):
    """Run the installed command, and return what it prints."""
    assert COMMAND, "the install made no command molrl"
    done = subprocess.run([COMMAND, *arguments], cwd=folder, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode(errors="replace")


def take_steps():
    """Place atoms at random, and check that each reward is a number."""
    env = gym.make("MolDesign-v0", bag="CH4O", energy="mace")
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(20):
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(reward)
        if terminated or truncated:
            env.reset()


def train(folder):
    """Train for two updates, and evaluate the policy."""
    (folder / "train.yaml").write_text(CONFIG, encoding="utf-8")
    print(run_command("train", "train.yaml", folder=folder))
    for name in ("policy.safetensors", "metrics.csv", "curve.png", "summary.json"):
        assert (folder / "run" / name).is_file(), f"the training left no {name}"


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert "train" in run_command("--help", folder=folder)
        take_steps()
        train(folder)


if __name__ == "__main__":
    main()

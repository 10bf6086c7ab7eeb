"""The check of a network."""

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms

from molrl.energy.networks.config import NetworkConfig
from molrl.energy.networks.interface import Network, Prediction
from molrl.molecules import MoleculeBatch
from molrl.parts import NETWORKS
from molrl.testing.rules import molecules_of, random_rotation, require, require_close, rule

_TOLERANCE = 1e-3  # eV, eV/Å: float32


def check_network(obj: type[Network] | str, *, seed: int = 0) -> None:
    """Check that a network keeps the contract of :class:`molrl.energy.networks.Network`.

    The rules, in this order: it is built of its config alone; isolated atoms have energy 0; a
    batch gives the energies of its molecules one by one; energies and features do not change when
    a molecule is moved or rotated; forces are predicted if and only if it is not conservative; a
    conservative one can be differentiated, and its parameters have gradients; Muon's matrices are
    parameters of two axes or more; weights can be copied.

    Args:
        obj: the class, or a registered name.
        seed: of the weights and of the molecules.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_network("mace")
    """
    with rule("it is a class of networks or the name of one, with a Config"):
        kind: type[Network] = NETWORKS.load(obj) if isinstance(obj, str) else obj
        require(issubclass(kind, Network), f"{kind!r} is no Network")
        require(issubclass(kind.Config, NetworkConfig), f"{kind.Config!r} is no NetworkConfig")
    rng = np.random.default_rng(seed)
    with rule("it is built of a config of defaults"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = kind(kind.Config(architecture=_architecture(kind), elements=(1, 6, 8)))
    molecules = molecules_of(network.config.elements, rng)
    _check_energies(network, molecules, rng)
    _check_gradients(network, molecules)
    with rule("the names of matrices() are parameters of two axes or more"):
        parameters = dict(network.named_parameters())
        for name in network.matrices():
            require(name in parameters and parameters[name].dim() >= 2, f"{name!r}")
    with rule("weights can be copied with start_from"), torch.random.fork_rng(devices=[]):
        other = kind(network.config)
        other.start_from(network)
        require_close(_predict(other, molecules).energy, _predict(network, molecules).energy, 1e-6)


def _architecture(kind: type[Network]) -> str:
    return str(kind.Config.model_fields["architecture"].get_default() or "checked")


def _predict(network: Network, molecules: MoleculeBatch) -> Prediction:
    return network(network.graph(molecules, torch.float32))  # type: ignore[no-any-return]  # a Module


def _check_energies(network: Network, molecules: MoleculeBatch, rng: np.random.Generator) -> None:
    n = len(molecules)
    with rule("the energy is (n_molecules,), the features (n_atoms, n_features)"):
        energy, features, *_ = _predict(network, molecules)
        require(energy.shape == (n,), f"shape {tuple(energy.shape)}")
        require(len(features) == len(molecules.numbers), f"{len(features)} rows of features")
    with rule("isolated atoms have energy 0"):
        atoms = MoleculeBatch.from_ase([Atoms([z], [[0, 0, 0]]) for z in network.config.elements])
        found = _predict(network, atoms).energy
        require_close(found, torch.zeros(len(found)), _TOLERANCE, "eV")
    with rule("a batch gives the energies of its molecules one by one"):
        single = torch.cat([_predict(network, molecules[i]).energy for i in range(n)])
        require_close(single, energy, _TOLERANCE, "eV")
    positions = molecules.positions
    for what, placed in (
        ("moved", positions + torch.tensor([3.0, -2.0, 1.0])),
        ("rotated", positions @ random_rotation(rng).T),
    ):
        with rule(f"energy and features do not change when a molecule is {what}"):
            again = _predict(network, replace(molecules, positions=placed))
            require_close(again.energy, energy, _TOLERANCE, "eV")
            require_close(again.features, features, _TOLERANCE)


def _check_gradients(network: Network, molecules: MoleculeBatch) -> None:
    graph = network.graph(molecules, torch.float32)
    positions = graph.positions.clone().requires_grad_()
    prediction: Prediction = network(graph.at(positions))
    with rule("it predicts forces if and only if conservative is False"):
        require((prediction.forces is None) == network.conservative, "it is not so")
    if prediction.forces is not None:
        with rule("forces are (n_atoms, 3)"):
            require_close(prediction.forces * 0, positions * 0, 0.0)
        return
    with rule("the energy can be differentiated by the positions, and then by the weights"):
        (gradient,) = torch.autograd.grad(prediction.energy.sum(), positions, create_graph=True)
        require(gradient.isfinite().all(), "the gradient is not finite")
        torch.autograd.backward((gradient**2).sum())
        reached = [p for p in network.parameters() if p.grad is not None]
        require(reached, "no parameter has a gradient")

"""Config of a fit."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny

from molrl.energy.networks.config import NetworkConfig, parse_network
from molrl.fitting.data.config import DataFiles
from molrl.runs.config import Config, RunConfig

AnyNetwork = Annotated[SerializeAsAny[NetworkConfig], BeforeValidator(parse_network)]
"""The config of a network of any registered architecture."""


class LossWeights(Config):
    """The weights of the parts of the loss; a part that has no labels is 0.

    Attributes:
        energy_weight: of energies.
        force_weight: of forces.
        site_weight: of the energies of atoms, which the reference partitions in its own way: they
            fix how the network partitions, and are learnt roughly.
        dipole_weight: of dipole moments, by partial charges.
        interaction_weight: of the energies between the molecules of a structure.

    Example:
        >>> LossWeights(force_weight=5.0).energy_weight
        4.0
    """

    energy_weight: float = Field(4.0, ge=0)
    force_weight: float = Field(1.0, ge=0)
    site_weight: float = Field(0.5, ge=0)
    dipole_weight: float = Field(0.5, ge=0)
    interaction_weight: float = Field(4.0, ge=0)


class FitConfig(RunConfig, LossWeights):
    """How a network is fitted; the weights of the loss are those of :class:`LossWeights`.

    Attributes:
        data: datasets made with ``molrl energy data`` (``.npz``) and files of labelled structures
            (``.extxyz``, ``.xyz``, ASE's ``.db``), joined; one, or a list.
        energy_key: key of the energies in files of labelled structures; None for the usual ones.
        forces_key: key of the forces in them, likewise.
        reference: the energy model that labelled them, for the energies of isolated atoms; None to
            go by the data.
        atomic_energies: energies of isolated atoms by symbol, eV, as in ``{H: -13.6}``; those not
            given are of the data, of ``reference``, or by least squares.
        run_dir: folder of the fit: log, checkpoints, and the weights as ``ARCHITECTURE.json``.
        network: the architecture (``mace`` unless given) and its shape; None for the shape of
            ``start``, or else for a MACE. Its elements, unless given, are those of ``start``, or
            else of the data.
        repulsion: whether the network stands on a pair repulsion, that of GFN2-xTB; with
            ``start``, on what that stands on.
        crowding: whether crowded atoms have an energy
            (:func:`molrl.energy.networks.terms.crowding`)
            under the network; they have where they have in ``start``.
        dispersion: whether atoms attract each other at a distance
            (:func:`molrl.energy.networks.terms.dispersion`); likewise.
        lowest_site: eV, by symbol, where the learnt energies of atoms begin to saturate, as in
            ``{H: -4.7, C: -15.0}``, for each element of the network
            (:class:`~molrl.energy.networks.potential.Potential`); likewise.
        start: weights to start from: ``mace``, ``mace-small`` or a file, as ``FILE.json`` or
            ``mace:FILE.json``, of as many channels or fewer; None to start at random.
        steps: optimiser steps.
        batch_size: structures a step, on each rank.
        learning_rate: peak, reached after ``warmup`` steps; of Muon for the weights between
            features, and of Adam for the others.
        warmup: steps.
        decay: share of the steps after the warmup, the last of them, over which the rate falls
            to 0 as a cosine.
        ema: decay of the running average of the weights, which is what is written.
        max_force: eV/Å; structures with a larger force are left out.
        checkpoint_every: steps between checkpoints, each with errors on the validation split.
        seed: of the initial weights and the order of the structures.
        device: ``auto``, ``cpu`` or ``cuda``.
        compiled: whether the loss is compiled first, which takes minutes and then halves the time
            of a step on a CPU (:class:`~molrl.fitting.objective.Objective`); resumed, such
            a fit continues the same except for rounding, not bit for bit.
    """

    data: DataFiles
    energy_key: str | None = None
    forces_key: str | None = None
    reference: str | None = None
    atomic_energies: dict[str, float] | None = None
    run_dir: str
    network: AnyNetwork | None = None
    repulsion: bool = True
    crowding: bool = False
    dispersion: bool = False
    lowest_site: dict[str, Annotated[float, Field(lt=0)]] | None = None
    start: str | None = None
    steps: int = Field(20_000, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-2, gt=0)
    warmup: int = Field(500, ge=0)
    decay: float = Field(1.0, ge=0, le=1)
    ema: float = Field(0.999, ge=0, lt=1)
    max_force: float = Field(400.0, gt=0)
    checkpoint_every: int = Field(1000, ge=1)
    seed: int = Field(0, ge=0)
    device: str = "auto"
    compiled: bool = False

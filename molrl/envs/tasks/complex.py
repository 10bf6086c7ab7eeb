"""MolDesignComplex-v0: molecules of high symmetry, which need a covariant agent."""

from ase.calculators.calculator import BaseCalculator

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import EnvConfig, Formula
from molrl.envs.task import Task

COMPLEXES = ("SF6", "SOF4", "IF5", "SOF6")


class ComplexConfig(EnvConfig):
    """What a symmetric complex is told.

    Attributes:
        bag: one of ``SF6``, ``SOF4``, ``IF5``, ``SOF6``, or any other formula.
        energy: as elsewhere; it must know sulfur, fluorine and iodine.
        elements: as elsewhere; O, F, S and I unless told.
    """

    bag: Formula = "SF6"
    energy: str | EnergyModel | BaseCalculator = "gfn2"


class SymmetricComplex(Task[ComplexConfig]):
    """Placing the atoms of SF6, SOF4, IF5 or SOF6.

    Half-built, these look the same from several sides: an agent whose actions are distances,
    angles and dihedrals to neighbours cannot tell the next place from those already taken, one
    whose actions turn with the canvas can (Simm et al. 2021).

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`.

    Options of ``reset``: ``{"bag": "SOF4"}``.

    Config: the fields of :class:`ComplexConfig`: ``bag``.

    Raises:
        InputError: if the energy model does not know an element.
    """

    Config = ComplexConfig

    def bag_sampler(self) -> FixedBagSampler:
        """The one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    @property
    def default_elements(self) -> set[int]:
        """Those of all four complexes."""
        return set().union(*(Bag(bag) for bag in COMPLEXES), Bag(self.config.bag))

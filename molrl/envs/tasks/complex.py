"""MolDesignComplex-v0: molecules of high symmetry, which need a covariant policy."""

from ase.calculators.calculator import BaseCalculator

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.envs.bag_samplers import FixedBagSampler
from molrl.envs.config import EnvConfig, Formula
from molrl.envs.task import Task

COMPLEXES = ("SF6", "SOF4", "IF5", "SOF6")


class ComplexConfig(EnvConfig):
    """Configuration of the task of symmetric complexes.

    Attributes:
        bag: ``SF6``, ``SOF4``, ``IF5``, ``SOF6``, or any other formula.
        energy: energy model, which must know sulfur, fluorine and iodine.
        elements: atomic numbers that an action chooses from; by default O, F, S and I.
    """

    bag: Formula = "SF6"
    energy: str | EnergyModel | BaseCalculator = "gfn2"


class SymmetricComplex(Task[ComplexConfig]):
    """Task of placing the atoms of SF6, SOF4, IF5 or SOF6.

    Partially built, these molecules are symmetric: a policy over distances, angles and dihedrals to
    neighbours cannot distinguish the next position from occupied ones, a rotationally covariant
    policy can (Simm et al. 2021).

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`.

    Options of ``reset``: ``{"bag": "SOF4"}``.

    Config: the fields of :class:`ComplexConfig`: ``bag``.

    Raises:
        InputError: if the energy model does not know an element.
    """

    Config = ComplexConfig

    def bag_sampler(self) -> FixedBagSampler:
        """Return the sampler of the one bag."""
        return FixedBagSampler(Bag(self.config.bag))

    @property
    def default_elements(self) -> set[int]:
        """Atomic numbers of all four complexes and of the bag."""
        return set().union(*(Bag(bag) for bag in COMPLEXES), Bag(self.config.bag))

"""A configuration of an environment, resolved: checked bags, loaded energy, rules and spaces."""

from typing import Any

import numpy as np
from ase.data import chemical_symbols
from gymnasium import spaces
from numpy.typing import NDArray

from molrl.bags import Bag
from molrl.energy import EnergyModel, load_energy
from molrl.envs.config import EnvConfig
from molrl.envs.rules import SOLO, Game
from molrl.envs.spaces import action_space, observation_space
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.rewards import EnergyDifference


class DesignTask:
    """Placing all atoms of a bag. What the single and the vector environment share.

    It is pickled as its configuration: an energy model named by a string is loaded again where it
    is unpickled, once per process.

    Args:
        config: the configuration.

    Attributes:
        config: the same.
        game: elements, rules and reward, for :func:`molrl.envs.rules.transition`.
        energy_model: what pays.
        bag: ``(E,)`` int64, the atoms to place unless others are asked for.

    Raises:
        InputError: if the energy model or one of its elements is not known, or the bag cannot be
            built.
    """

    def __init__(self, config: EnvConfig) -> None:
        self.config = config
        bag = Bag(config.bag)
        numbers = config.elements or tuple(sorted({1, 6, 7, 8} | set(bag)))
        self._elements = np.array(numbers, np.int64)
        self.bag = self.counts(bag)
        self.energy_model: EnergyModel = load_energy(config.energy)
        reward = EnergyDifference(self.energy_model, numbers)
        self.game = Game(self._elements, config.rules, reward)

    def __reduce__(self) -> tuple[Any, ...]:
        return DesignTask, (self.config,)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers an action chooses among, ascending."""
        return tuple(self._elements.tolist())

    @property
    def observation_space(self) -> spaces.Dict:
        """The space of the observation of one canvas."""
        return observation_space(*self._sizes)

    @property
    def action_space(self) -> spaces.Box:
        """The space of an action on one canvas."""
        return action_space(*self._sizes)

    @property
    def _sizes(self) -> tuple[int, int, float]:
        return len(self._elements), self.config.canvas_size, self.config.rules.max_displacement

    def counts(self, bag: object) -> NDArray[np.int64]:
        """``(E,)`` int64: how many atoms of each element are in the bag.

        Raises:
            InputError: if it is no bag, cannot be built under the rules, or does not fit the
                canvas or the elements.
        """
        if not isinstance(bag, str | Bag):
            raise InputError(f"a bag is a formula such as CH4O, not {bag!r}")
        bag = Bag(bag)
        for number in bag:
            if number not in self._elements:
                known = " ".join(chemical_symbols[z] for z in self._elements)
                raise InputError(
                    f"bag {bag} holds {chemical_symbols[number]}; elements are {known}"
                )
        if bag.n_atoms > self.config.canvas_size:
            raise InputError(
                f"bag {bag} has {bag.n_atoms} atoms; the canvas takes {self.config.canvas_size}"
            )
        if self.config.rules.solo_distance is not None and SOLO[list(bag)].all():
            raise InputError(
                f"bag {bag} holds no heavy atom, so it cannot be built: H, F, Cl and Br are placed "
                "next to an atom of another kind"
            )
        return np.array([bag[z] for z in self._elements], np.int64)

    def start(self, bags: NDArray[np.int64]) -> CanvasState:
        """Empty canvases with the bags ``(B, E)``."""
        return CanvasState.empty(bags, self.config.canvas_size)

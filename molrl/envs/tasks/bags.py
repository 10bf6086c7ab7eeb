"""MolDesignBags-v0: one of several bags in each episode."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from molrl.bags import Bag
from molrl.envs.bag_samplers import BagSampler, CyclicBagSampler, UniformBagSampler
from molrl.envs.config import Formula, TaskConfig
from molrl.envs.task import Task
from molrl.errors import InputError


class BagsConfig(TaskConfig):
    """Configuration of the task of many bags.

    Attributes:
        bags: formulas; the default is the training set of Simm et al. 2020 without CF4.
        order: ``"drawn"``, all equally likely, or ``"cycled"``, in turn from one that is drawn.
        held_out: formulas that are drawn only with the option ``{"held_out": True}`` of reset.
    """

    bags: tuple[Formula, ...] = Field(
        default=("H2O", "CHN", "C2N2", "H3N", "C2H2", "CH2O", "C2HNO", "N4O", "C3HN", "CH4"),
        min_length=1,
    )
    order: Literal["drawn", "cycled"] = "drawn"
    held_out: tuple[Formula, ...] = ("CH3NO", "CH4O", "C2H2O2")


class Bags(Task[BagsConfig]):
    """Task of placing all atoms of a bag that changes from episode to episode.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag; ``{"held_out": True}`` draws it
        from those held out, for evaluation.

    Config: the fields of :class:`BagsConfig`: ``bags``, ``order``, ``held_out``.

    Raises:
        InputError: if a bag cannot be built, or is among both the bags and those held out.
    """

    Config = BagsConfig
    option_names = ("bag", "held_out")

    def bag_sampler(self) -> BagSampler:
        """Return the sampler that draws or cycles."""
        both = set(self.config.bags) & set(self.config.held_out)
        if both:
            raise InputError(f"bag {min(both)} is in both bags and held_out; give it in one")
        bags = [Bag(bag) for bag in self.config.bags]
        return CyclicBagSampler(bags) if self.config.order == "cycled" else UniformBagSampler(bags)

    def representative_bags(self) -> Sequence[Bag]:
        """Return all bags, and those held out."""
        return [Bag(bag) for bag in (*self.config.bags, *self.config.held_out)]

    def sampler_of_options(self, options: Mapping[str, Any]) -> BagSampler | None:
        """Return the sampler of one bag, or of those held out, or None."""
        if not options.get("held_out"):
            return super().sampler_of_options(options)
        if not self.config.held_out:
            raise InputError("no bags are held out; give some with held_out=[...]")
        if options.get("bag") is not None:
            raise InputError("the options bag and held_out exclude each other; give one of them")
        return UniformBagSampler([Bag(bag) for bag in self.config.held_out])

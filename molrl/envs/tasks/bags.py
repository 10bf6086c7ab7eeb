"""MolDesignBags-v0: many bags, one an episode."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from molrl.bags import Bag
from molrl.envs.bag_samplers import BagSampler, CyclicBagSampler, UniformBagSampler
from molrl.envs.config import Formula, TaskConfig
from molrl.envs.task import Task
from molrl.errors import InputError


class BagsConfig(TaskConfig):
    """What many bags are told.

    Attributes:
        bags: formulas; unless told, the eleven that Simm et al. 2020 train on but CF4.
        order: ``"drawn"``, each as likely, or ``"cycled"``, in turn from one that is drawn.
        held_out: formulas never drawn but when asked for.
    """

    bags: tuple[Formula, ...] = Field(
        default=("H2O", "CHN", "C2N2", "H3N", "C2H2", "CH2O", "C2HNO", "N4O", "C3HN", "CH4"),
        min_length=1,
    )
    order: Literal["drawn", "cycled"] = "drawn"
    held_out: tuple[Formula, ...] = ("CH3NO", "CH4O", "C2H2O2")


class Bags(Task[BagsConfig]):
    """Placing all atoms of a bag that is another one in another episode.

    Observation, action, reward, termination and info: as in
    :class:`molrl.envs.design.MolDesignEnv`; the bag of the episode is in the observation.

    Options of ``reset``: ``{"bag": "C2H6O"}`` chooses the bag; ``{"held_out": True}`` draws it
        from those held out, for evaluation.

    Config: the fields of :class:`BagsConfig`: ``bags``, ``order``, ``held_out``.

    Raises:
        InputError: if a bag cannot be built, or one is both given and held out.
    """

    Config = BagsConfig
    OPTIONS = ("bag", "held_out")

    def bag_sampler(self) -> BagSampler:
        """Who draws or cycles."""
        both = set(self.config.bags) & set(self.config.held_out)
        if both:
            raise InputError(f"bag {min(both)} is both given and held out")
        bags = [Bag(bag) for bag in self.config.bags]
        return CyclicBagSampler(bags) if self.config.order == "cycled" else UniformBagSampler(bags)

    def representatives(self) -> Sequence[Bag]:
        """All of them."""
        return [Bag(bag) for bag in (*self.config.bags, *self.config.held_out)]

    def chosen_bags(self, options: Mapping[str, Any]) -> BagSampler | None:
        """One bag, or those held out."""
        if not options.get("held_out"):
            return super().chosen_bags(options)
        if not self.config.held_out:
            raise InputError("no bags are held out; name some with held_out=[...]")
        if options.get("bag") is not None:
            raise InputError("the options bag and held_out choose one thing; give one of them")
        return UniformBagSampler([Bag(bag) for bag in self.config.held_out])

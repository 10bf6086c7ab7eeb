"""The assembly of skeletons: integration, with a competition of copies every few steps."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from molrl.generators.simgen.competition import change_elements, select
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.draws import Draws
from molrl.generators.simgen.forces import Forces
from molrl.generators.simgen.integrator import heun_step
from molrl.generators.simgen.settling import settle
from molrl.generators.simgen.skeletons import Skeletons


@dataclass(frozen=True)
class Assembly:
    """What assembles skeletons.

    Attributes:
        forces: on the atoms.
        config: the settings.

    Example:
        >>> Assembly(forces, SimgenConfig())  # doctest: +SKIP
    """

    forces: Forces
    config: SimgenConfig

    def run(self, start: Skeletons, draws: Draws) -> Iterator[Skeletons]:
        """Yield one copy of each molecule: at the start, after each round of steps, and settled.

        Args:
            start: where the atoms begin.
            draws: the random numbers.
        """
        config, sigmas = self.config, self.config.sigmas()
        one = start
        yield one
        for at, first in enumerate(range(0, len(sigmas) - 1, config.swap_every)):
            last = min(first + config.swap_every, len(sigmas) - 1)
            copies = self._mutated(one.repeated(config.particles), sigmas[first], draws.swaps[at])
            for i in range(first, last):
                times = (sigmas[i], sigmas[i + 1])
                copies = heun_step(copies, self.forces, draws.noise[i], times, config)
            found = self.forces.log_similarities(copies, sigmas[last])
            beta = 1 / config.temperature_at(sigmas[last])
            one = select(copies, found, draws.choices[at], beta, config)
            yield one
        yield settle(one, self.forces, config)

    def _mutated(self, copies: Skeletons, sigma: float, uniform: Tensor) -> Skeletons:
        config = self.config
        if config.particles == 1 or not config.swap_share:
            return copies
        one = copies[:: config.particles]  # as all copies are the same at this point
        found = self.forces.log_similarities(one, sigma)
        atom, empty = one.slots()
        padded = found[atom].repeat_interleave(config.particles, dim=0)
        similarity = padded[~empty.repeat_interleave(config.particles, dim=0)]
        beta = 1 / config.temperature_at(sigma)
        return change_elements(copies, similarity, uniform, beta, config)

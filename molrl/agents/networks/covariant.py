"""Covariant policy: directions by spherical harmonics and by sharp lobes about bonds.

After Simm, Pinsler, Csányi and Hernández-Lobato, ICLR 2021.
"""

from torch import Tensor

from molrl.agents.config import PolicyConfig
from molrl.agents.networks.actor_critic import ActorCriticNetwork
from molrl.agents.networks.bonds import BondHead
from molrl.agents.networks.direction import DirectionHead
from molrl.agents.networks.encoded import Chosen, Encoded
from molrl.agents.networks.lobes import DirectionDensity
from molrl.agents.networks.sphere import SphericalDensity, cap_sharpness


class CovariantNetwork(ActorCriticNetwork):
    """Covariant policy: a rotation or reflection of the canvas rotates or reflects its densities.

    A translation or a permutation of the atoms does not change them.

    Args:
        config: sizes and limits.
        inputs: what is observed.

    Example:
        >>> from molrl.agents.interface import Inputs
        >>> network = CovariantNetwork(PolicyConfig(width=32, channels=8), Inputs(n_elements=4))
        >>> network.act(observation, noise).actions  # doctest: +SKIP
    """

    config: PolicyConfig

    def build_directions(self) -> None:
        """Make the layers; see :meth:`ActorCriticNetwork.build_directions`."""
        config, width = self.config, self.config.width
        self.direction_head = DirectionHead(3 * width, width, config.channels, config.degree)
        self.bond_head = BondHead(3 * width, width, config.lobes, config.concentration)

    def directions(self, encoded: Encoded, chosen: Chosen, distance: Tensor) -> DirectionDensity:
        """Return densities with lobes; see :meth:`ActorCriticNetwork.directions`."""
        coefficients = self.direction_head(chosen.context, distance, chosen.features)
        smooth = SphericalDensity(cap_sharpness(coefficients, self.config.sharpness))
        molecules, scalars = encoded.canvas.molecules, encoded.scalars
        return DirectionDensity(
            smooth, *self.bond_head(chosen.context, molecules, scalars, chosen.focus)
        )

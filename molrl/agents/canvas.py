"""Batches of canvases, the input of the covariant network."""

from dataclasses import dataclass

from torch import Tensor

from molrl.molecules import MoleculeBatch


@dataclass
class Canvas:
    """Batch of n canvases, the input of the network.

    Attributes:
        molecules: atoms on the canvases, positions in float32.
        bag: ``(n, n_elements)`` float32, number of atoms of each element left.
        focus_mask: ``(n, n_slots)`` bool, slots that can be the focus; the atoms of a molecule
            are in its first slots.
        element_mask: ``(n, n_elements)`` bool, elements that can be placed.
    """

    molecules: MoleculeBatch
    bag: Tensor
    focus_mask: Tensor
    element_mask: Tensor

    @classmethod
    def from_observation(cls, observation: dict[str, Tensor]) -> "Canvas":
        """Return the canvases of a batched observation of any numeric dtypes."""
        numbers = observation["numbers"]
        slots = max(1, int((numbers > 0).sum(-1).max()))
        return cls(
            MoleculeBatch.from_padded(numbers, observation["positions"].float()),
            observation["bag"].float(),
            observation["focus_mask"][:, :slots] > 0,
            observation["element_mask"] > 0,
        )

"""Batches of canvases, the input of the actor-critic networks."""

from dataclasses import dataclass

from torch import Tensor

from molrl.molecules import MoleculeBatch


@dataclass
class Canvas:
    """Batch of n canvases, as tensors on one device.

    Attributes:
        molecules: atoms on the canvases, positions in float32.
        bag: ``(n, n_elements)`` float32, number of atoms of each element left.
        focus_mask: ``(n, n_slots)`` bool, slots that can be the focus; the atoms of a molecule
            are in its first slots.
        element_mask: ``(n, n_elements)`` bool, elements that can be placed.
        points: ``(n, P, 3)`` float32 Å, points to fill; None without any.
        refills: ``(n,)`` float32, how many refills of the bag are left; None without any.
        n_fixed: ``(n,)`` int64, how many of the first atoms are fixed; None without any.
    """

    molecules: MoleculeBatch
    bag: Tensor
    focus_mask: Tensor
    element_mask: Tensor
    points: Tensor | None = None
    refills: Tensor | None = None
    n_fixed: Tensor | None = None

    @classmethod
    def from_observation(cls, observation: dict[str, Tensor]) -> "Canvas":
        """Return the canvases of a batched observation of any numeric dtypes."""
        numbers = observation["numbers"]
        points, refills = observation.get("points"), observation.get("refills")
        n_fixed = observation.get("n_fixed")
        slots = max(1, int((numbers > 0).sum(-1).max()))
        return cls(
            MoleculeBatch.from_padded(numbers, observation["positions"].float()),
            observation["bag"].float(),
            observation["focus_mask"][:, :slots] > 0,
            observation["element_mask"] > 0,
            None if points is None else points.float(),
            None if refills is None else refills[:, 0].float(),
            None if n_fixed is None else n_fixed[:, 0].long(),
        )

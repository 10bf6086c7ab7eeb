"""What an actor-critic network knows of canvases while it decides."""

from dataclasses import dataclass

from torch import Tensor

from molrl.agents.networks.canvas import Canvas
from molrl.agents.networks.encoder import Functions


@dataclass
class Chosen:
    """Focus and element of n actions, and what is known of them.

    Attributes:
        focus: ``(n,)`` int64, slots; 0 where a canvas is empty.
        element: ``(n,)`` int64.
        context: ``(n, 3 * width)``, scalars of the focus and the bag, embedding of the element.
        features: ``(n, (degree + 1)^2, channels)`` of the focal atoms.
    """

    focus: Tensor
    element: Tensor
    context: Tensor
    features: Tensor


@dataclass
class Encoded:
    """Output of the encoder for n canvases.

    Attributes:
        canvas: the canvases.
        bag: ``(n, width)``, embeddings of the bags.
        scalars: ``(n_atoms_total, width)``.
        functions: spherical functions of all atoms.
        pooled: ``(n, width)``, sums over the atoms of each canvas; a parameter if it is empty.
    """

    canvas: Canvas
    bag: Tensor
    scalars: Tensor
    functions: Functions
    pooled: Tensor

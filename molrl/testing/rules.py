"""What the checks share: rules that name themselves when broken, and molecules to try."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from ase.data import covalent_radii
from scipy.spatial.transform import Rotation
from torch import Tensor

from molrl.molecules import MoleculeBatch

_NAMES = ("H2O", "CH3OH", "NH3", "HF", "CO", "N2", "SH2", "CH4", "SiH4", "HCl", "H2")


@contextmanager
def rule(text: str) -> Iterator[None]:
    """Turn any exception inside the context into an AssertionError that begins with the rule.

    Args:
        text: the rule.

    Raises:
        AssertionError: if the rule is broken.
    """
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{text}: {error}" if str(error) else text) from None
    except Exception as error:
        raise AssertionError(f"{text}: raised {type(error).__name__}: {error}") from error


def require(condition: object, otherwise: str) -> None:
    """Raise an AssertionError unless a condition holds; ``assert`` is off under ``python -O``."""
    if not condition:
        raise AssertionError(otherwise)


def require_close(found: Tensor, wanted: Tensor, tolerance: float, unit: str = "") -> None:
    """Check that two tensors agree, and have the same NaN.

    Args:
        found: any shape.
        wanted: the same shape.
        tolerance: largest difference.
        unit: of the tolerance, for the message.
    """
    require(found.shape == wanted.shape, f"shape {tuple(found.shape)}, not {tuple(wanted.shape)}")
    found, wanted = found.detach().cpu().double(), wanted.detach().cpu().double()
    require(torch.equal(found.isnan(), wanted.isnan()), "not the same values are NaN")
    largest = float((found - wanted).nan_to_num().abs().max()) if found.numel() else 0.0
    require(largest <= tolerance, f"they differ by {largest:.3g}{f' {unit}' if unit else ''}")


def molecules_of(elements: Sequence[int], rng: np.random.Generator) -> MoleculeBatch:
    """Return three molecules of known elements, displaced by about 0.05 Å.

    Args:
        elements: the atomic numbers that may occur.
        rng: draws the displacements.

    Returns:
        Molecules of different sizes where there are such, float64.
    """
    ready = [molecule(name) for name in _NAMES]
    known = [atoms for atoms in ready if set(atoms.numbers) <= set(elements)]
    chains = (_chain(elements, n) for n in (2, 3, 4))
    chosen = [
        *(atoms for atoms in known if not atoms.get_initial_magnetic_moments().any()),
        *chains,
    ]
    for atoms in chosen[:3]:
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return MoleculeBatch.from_ase(chosen[:3])


def _chain(elements: Sequence[int], n: int) -> Atoms:
    """Return ``n`` atoms on a zigzag line, a sum of covalent radii apart."""
    number = elements[0] if n % 2 == 0 or len(elements) == 1 else elements[1]
    length = 2.1 * covalent_radii[number]
    return Atoms([number] * n, [[0.9 * length * i, 0.5 * length * (i % 2), 0] for i in range(n)])


def random_rotation(rng: np.random.Generator) -> Tensor:
    """Return a random rotation matrix ``(3, 3)`` float64."""
    return torch.from_numpy(Rotation.random(random_state=rng).as_matrix())


def copy_of(batch: MoleculeBatch) -> dict[str, Tensor]:
    """Return copies of the tensors of a batch, by their names."""
    names = ("numbers", "positions", "n_atoms", "charge", "spin", "cell", "pbc")
    return {name: getattr(batch, name).clone() for name in names}


def require_unchanged(batch: MoleculeBatch, before: dict[str, Tensor]) -> None:
    """Check that no tensor of a batch differs from its copy from :func:`copy_of`."""
    for name, tensor in before.items():
        require(torch.equal(getattr(batch, name), tensor), f"its {name} changed")

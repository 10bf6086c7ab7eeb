"""Shapes to fill, as point clouds: sphere, line, ring, surface, or the points of a file."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molrl.errors import InputError, did_you_mean
from molrl.validation import plain

Points = NDArray[np.float64]
N_POINTS = 64
MAX_EXTENT = 1000.0  # Å
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def sphere(radius: float = 2.5, n: int = N_POINTS) -> Points:
    """Return points that fill a ball evenly.

    Args:
        radius: Å.
        n: number of points.

    Returns:
        ``(n, 3)`` float64, Å; the first is the centre.
    """
    i = np.arange(n)
    r = radius * np.cbrt(i / max(1, n - 1))
    # Heights and angles that advance by irrational fractions of their range cover the directions
    # evenly and independently of the radius, which grows with i.
    z = 1 - 2 * ((i * np.sqrt(2)) % 1)
    flat, angle = np.sqrt(1 - z**2), _GOLDEN_ANGLE * i
    directions = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], 1)
    points: Points = r[:, None] * directions
    return points


def line(length: float = 8.0, n: int = N_POINTS) -> Points:
    """Return points on a straight line along x.

    Args:
        length: Å.
        n: number of points.

    Returns:
        ``(n, 3)`` float64, Å.
    """
    return np.stack([np.linspace(-length / 2, length / 2, n), np.zeros(n), np.zeros(n)], 1)


def ring(radius: float = 2.5, n: int = N_POINTS) -> Points:
    """Return points on a circle in the xy plane.

    Args:
        radius: Å.
        n: number of points.

    Returns:
        ``(n, 3)`` float64, Å.
    """
    angle = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], 1)


def surface(width: float = 6.0, height: float = 6.0, n: int = N_POINTS) -> Points:
    """Return points spread evenly over a rectangle in the xy plane.

    Args:
        width: Å, along x.
        height: Å, along y.
        n: number of points.

    Returns:
        ``(n, 3)`` float64, Å.
    """
    i = np.arange(n)
    # The R2 sequence of the plastic number: even for every n; a grid is even for squares only.
    u, v = (0.5 + i * 0.7548776662466927) % 1, (0.5 + i * 0.5698402909980532) % 1
    return np.stack([width * (u - 0.5), height * (v - 0.5), np.zeros(n)], 1)


SHAPES: dict[str, Callable[..., Points]] = {
    "sphere": sphere,
    "line": line,
    "ring": ring,
    "surface": surface,
}


def load_shape(shape: object, n: int = N_POINTS) -> Points:
    """Return the points of a shape, the one nearest their centre at the origin.

    Args:
        shape: a name in :data:`SHAPES`; a mapping such as ``{"kind": "ring", "radius": 3.0}``, Å;
            a file of points, ``.extxyz``, ``.xyz`` or ``.sdf`` (elements do not matter), or
            ``.csv`` with three numbers a line; or the points themselves.
        n: number of points. A larger cloud is thinned evenly, a smaller one is repeated.

    Returns:
        ``(n, 3)`` float64, Å.

    Raises:
        InputError: if it is none of these, or a point is not finite or too far away.

    Example:
        >>> load_shape({"kind": "ring", "radius": 3.0}, n=8).shape
        (8, 3)
    """
    if isinstance(shape, str) and shape in SHAPES:
        points = SHAPES[shape](n=n)
    elif isinstance(shape, Mapping):
        points = _build({key: plain(value) for key, value in shape.items()}, n)
    elif isinstance(shape, str | Path):
        points = _thin(_read(Path(shape)), n)
    else:
        points = _thin(_check(shape, "a shape"), n)
    middle = np.argmin(np.linalg.norm(points - points.mean(0), axis=1).round(6))
    centred: Points = points - points[middle]
    return centred


def _build(shape: dict[str, Any], n: int) -> Points:
    kind = shape.pop("kind", None)
    if not isinstance(kind, str) or kind not in SHAPES:
        raise InputError(f"unknown kind of shape {kind!r}; {did_you_mean(str(kind), SHAPES)}")
    known = [key for key in inspect.signature(SHAPES[kind]).parameters if key != "n"]
    for key, value in shape.items():
        if key not in known:
            raise InputError(f"shape {kind}: unknown key {key!r}; {did_you_mean(str(key), known)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and 0 < value < MAX_EXTENT):
            limits = f"above 0 and below {MAX_EXTENT:.0f} Å"
            raise InputError(f"shape {kind}: {key} must be a length {limits}, not {value!r}")
    try:
        return SHAPES[kind](**shape, n=n)
    except TypeError:
        raise InputError(f"shape {kind} takes {', '.join(known)}; one is missing") from None


def _read(path: Path) -> Points:
    from molrl.files import read_named
    from molrl.reading.ctab import read_table
    from molrl.reading.structures import of_molecule
    from molrl.reading.text import read_lines

    suffix = path.suffix.lower()
    if suffix not in (".csv", ".extxyz", ".xyz", ".sdf"):
        hint = did_you_mean(str(path), SHAPES)
        raise InputError(f"{str(path)!r} is neither a shape nor a file of points; {hint}")
    if suffix == ".csv":
        return _check(_of_csv(path, read_lines(path)), str(path))
    if suffix == ".sdf":  # hydrogens may be missing: it need not be a molecule
        lines = read_lines(path)
        try:
            table = read_table(lines)
        except InputError as error:
            raise InputError(f"{path}: {of_molecule(0, error)}") from None
        return _check(table.positions, str(path))
    molecules = read_named(path)[0].require_molecules(f"{path}: a shape")
    return _check(molecules[0].positions.double().numpy(), str(path))


def _of_csv(path: Path, lines: Sequence[str]) -> Points:
    rows = [line for line in lines if line.split("#")[0].strip()]
    try:
        points: Points = np.loadtxt(rows or ["none"], delimiter=",", ndmin=2)
    except ValueError:
        points = np.empty((0, 0))
    if points.shape[1:] != (3,):
        raise InputError(f"{path} does not hold three numbers per line, as in 0.0,1.5,2.0")
    return points


def _check(points: object, what: str) -> Points:
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise InputError(
            f"{what} must be points with three coordinates each, not an array of shape "
            f"{array.shape}"
        )
    if not (np.abs(array) < MAX_EXTENT).all():
        raise InputError(f"{what} has a point that is not within {MAX_EXTENT:.0f} Å of the origin")
    return array


def _thin(points: Points, n: int) -> Points:
    """Return ``(n, 3)`` points: larger clouds by farthest-point sampling, smaller ones repeated."""
    if len(points) <= n:
        return points[np.arange(n) % len(points)]
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < n:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]

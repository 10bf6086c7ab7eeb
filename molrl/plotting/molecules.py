"""Pictures of molecules: a ball-and-stick renderer in plain NumPy, and grids of its pictures.

The projection is orthographic: x to the right, y up, z towards the eye. Spheres and sticks are
turned into surface samples, one for every pixel that they cover; a z-buffer keeps the nearest
sample of each pixel, which is then shaded. All of this works on flat arrays over all shapes at
once, so the cost grows with the pixels covered and not with the number of Python calls. No display
is needed.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors

from molrl.chemistry.bonds import bonded_atoms
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIN_EXTENT = 4.0  # Å across the picture at least, so that one atom does not fill it
TILT = np.radians([14.0, -12.0])  # about x and y: atoms that eclipse one another come apart
STICK_RADIUS = 0.105  # Å
OUTLINE_STEP = 0.35  # Å; an edge is drawn dark where the depth changes by more between pixels
FAR = 1e6  # Å; the distance of the background
PICTURE_WIDTH = 2.2  # inches, of one of a grid
CAPTION_WIDTH = 23  # characters of size 9 below a picture; a wider one would make pictures smaller
SUPERSAMPLING = 2  # fixed, because _shade averages over 2 x 2 pixels
LIGHT = np.array([-0.42, 0.55, 0.72], np.float32)
LIGHT /= np.linalg.norm(LIGHT)
HALFWAY = LIGHT + np.array([0, 0, 1], np.float32)  # between the light and the eye
HALFWAY /= np.linalg.norm(HALFWAY)


class _Samples(NamedTuple):
    """Surface samples: one column for each pixel that a sphere or a stick covers, float32."""

    pixel: np.ndarray  # (n,) index into the flattened supersampled picture
    depth: np.ndarray  # (n,) z, Å towards the eye
    normal: np.ndarray  # (3, n) unit vectors
    color: np.ndarray  # (3, n) RGB, 0 to 1


def draw_molecule(
    numbers: np.ndarray,
    positions: np.ndarray,
    bonds: np.ndarray,
    size: tuple[int, int] = (300, 300),
) -> np.ndarray:
    """Draw a complete or partial molecule, seen from its broad side.

    The view follows the principal axes of the atoms, so that the picture does not depend on the
    orientation of the molecule, except for symmetric ones whose axes are not unique. It is never
    mirrored.

    Args:
        numbers: ``(n,)`` atomic numbers; no atoms give a white picture.
        positions: ``(n, 3)`` Å, finite.
        bonds: ``(n_bonds, 2)`` indices of the atoms to join by sticks, each pair once; see
            :func:`molrl.chemistry.bonds.bonded_atoms`.
        size: height and width, pixels.

    Returns:
        ``(height, width, 3)`` uint8 RGB on white.

    Raises:
        InputError: if the shapes do not match or a coordinate is not finite.

    Example:
        >>> numbers, positions = np.array([8, 1]), np.array([[0, 0, 0], [0, 0, 0.97]])
        >>> draw_molecule(numbers, positions, np.array([[0, 1]])).shape
        (300, 300, 3)
    """
    numbers = np.asarray(numbers, dtype=np.int64).reshape(-1)
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    positions = np.asarray(positions, dtype=np.float64)
    if positions.shape != (len(numbers), 3) or not np.isfinite(positions).all():
        raise InputError(f"positions must be ({len(numbers)}, 3) and finite to be drawn")
    height, width = size
    if not len(numbers):
        return np.full((height, width, 3), 255, np.uint8)
    radii = ball_radii(numbers).astype(np.float32)
    xyz = (positions - positions.mean(0)) @ view_axes(positions, wide=width >= height).T
    low, high = (xyz - radii[:, None]).min(0), (xyz + radii[:, None]).max(0)
    shape = (height * SUPERSAMPLING, width * SUPERSAMPLING)
    extent = np.maximum(1.12 * (high - low)[:2], MIN_EXTENT)
    scale = min(shape[1] / extent[0], shape[0] / extent[1])
    xyz = (xyz - (low + high) / 2).astype(np.float32)
    colors = jmol_colors[numbers.clip(max=len(jmol_colors) - 1)]  # the heaviest share one
    samples = [
        _spheres(xyz, radii, colors.astype(np.float32), scale, shape),
        _sticks(xyz, numbers, bonds, scale, shape),
    ]
    joined = (np.concatenate(parts, axis=-1) for parts in zip(*samples, strict=True))
    return _shade(_Samples(*joined), shape)


def ball_radii(numbers: np.ndarray) -> np.ndarray:
    """Return the radii of the balls that atoms are drawn as, ``(n,)`` float64, Å.

    Args:
        numbers: ``(n,)`` atomic numbers.
    """
    radii: np.ndarray = 0.28 + 0.24 * covalent_radii[numbers]
    return radii


def view_axes(positions: np.ndarray, wide: bool) -> np.ndarray:
    """Return the axes of the view of :func:`draw_molecule`.

    Args:
        positions: ``(n, 3)`` Å, of at least one atom.
        wide: whether the picture is at least as wide as high; the longest axis lies along x then.

    Returns:
        ``(3, 3)`` float64, rows are unit vectors: to the right, up, and to the eye, which is the
        thin direction. The frame is right-handed.
    """
    centred = positions - positions.mean(0)
    axes = np.linalg.svd(centred, full_matrices=True)[2]  # principal axes, the longest first
    # Their signs are arbitrary. The third moments fix those of the axes in the plane; the third
    # axis is their cross product, so that the frame stays right-handed and nothing is mirrored.
    skew = ((centred @ axes.T) ** 3).sum(0)
    axes = axes * np.where(skew < -1e-9, -1.0, 1.0)[:, None]
    first, second = (0, 1) if wide else (1, 0)
    frame = np.stack([axes[first], axes[second], np.cross(axes[first], axes[second])])
    (cx, cy), (sx, sy) = np.cos(TILT), np.sin(TILT)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    axes_seen: np.ndarray = about_x @ about_y @ frame
    return axes_seen


def _boxes(
    low: np.ndarray, high: np.ndarray, scale: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels of many boxes, one box after another, in flat arrays.

    Args:
        low: ``(n, 2)`` lower corners, Å from the centre of the picture.
        high: ``(n, 2)`` upper corners.
        scale: pixels per Å.
        shape: height and width of the picture.

    Returns:
        ``owner (m,)``, the box of each pixel, ``pixel (m,)``, its flat index, and ``x (m,)``
        and ``y (m,)``, the centre of the pixel in Å.
    """
    middle = np.array([shape[1], shape[0]]) / 2
    first = np.maximum(np.floor(low * scale + middle), 0).astype(np.int32)
    last = np.minimum(np.ceil(high * scale + middle), 2 * middle).astype(np.int32)
    spans = np.maximum(last - first, 0)
    counts = spans.prod(1)
    # The pixels of all boxes without a loop: the owner of each, its rank within its box, and from
    # that its row and column in the box. 32-bit integers, because this is most of the time.
    owner = np.repeat(np.arange(len(low), dtype=np.int32), counts)
    rank = np.arange(len(owner), dtype=np.int32)
    rank -= np.repeat((counts.cumsum() - counts).astype(np.int32), counts)
    row, column = np.divmod(rank, np.repeat(spans[:, 0], counts))
    column += np.repeat(first[:, 0], counts)
    row += np.repeat(first[:, 1], counts)
    x = (column.astype(np.float32) + np.float32(0.5 - middle[0])) * np.float32(1 / scale)
    y = (row.astype(np.float32) + np.float32(0.5 - middle[1])) * np.float32(1 / scale)
    # Rows of a picture are counted from the top, y from the bottom.
    return owner, ((shape[0] - 1 - row) * shape[1] + column).astype(np.intp), x, y


def _spheres(
    centers: np.ndarray,
    radii: np.ndarray,
    colors: np.ndarray,
    scale: float,
    shape: tuple[int, int],
) -> _Samples:
    """Return the samples of spheres, the half that faces the eye."""
    flat = centers[:, :2]
    owner, pixel, x, y = _boxes(flat - radii[:, None], flat + radii[:, None], scale, shape)
    # On a unit sphere, the point above (x, y) is also the normal there.
    x = (x - centers[owner, 0]) / radii[owner]
    y = (y - centers[owner, 1]) / radii[owner]
    height = 1 - x * x - y * y
    seen = height > 0
    owner, up = owner[seen], np.sqrt(height[seen])
    normal = np.stack([x[seen], y[seen], up])
    return _Samples(pixel[seen], centers[owner, 2] + radii[owner] * up, normal, colors.T[:, owner])


def _sticks(
    centers: np.ndarray,
    numbers: np.ndarray,
    bonds: np.ndarray,
    scale: float,
    shape: tuple[int, int],
) -> _Samples:
    """Return the samples of sticks, each half of a bond in the colour of its atom."""
    begin, other = np.concatenate([bonds, bonds[:, ::-1]]).T
    length = np.linalg.norm(centers[begin] - centers[other], axis=-1) / 2
    # Atoms in one place have no axis.
    begin, other, length = (of_bond[length > 1e-6] for of_bond in (begin, other, length))
    start, middle = centers[begin], (centers[begin] + centers[other]) / 2
    low, high = np.minimum(start, middle), np.maximum(start, middle)
    owner, pixel, x, y = _boxes(low[:, :2] - STICK_RADIUS, high[:, :2] + STICK_RADIUS, scale, shape)
    ax, ay, az = ((middle - start) / length[:, None]).T[:, owner]
    x, y = x - start[owner, 0], y - start[owner, 1]
    # Each pixel is a ray along z, at (x, y) from the start of the stick. A point p of it is on the
    # cylinder with unit axis a if its distance from the axis is the radius R, |p|² - (p·a)² = R².
    # With along = x ax + y ay, p·a = along + az z, which gives the quadratic equation
    #   (1 - az²) z² - 2 az along z + (x² + y² - along² - R²) = 0,  1 - az² = ax² + ay² = across.
    # The larger root faces the eye. A stick along the ray (across = 0) shows its end only, which is
    # hidden by the atom.
    along = x * ax + y * ay
    across = np.maximum(ax * ax + ay * ay, 1e-6)
    b = az * along
    c = x * x + y * y - along * along - STICK_RADIUS**2
    root = b * b - across * c
    z = (b + np.sqrt(np.maximum(root, 0))) / across
    reach = along + az * z  # of the point, along the axis
    seen = (root > 0) & (reach >= 0) & (reach <= length[owner])  # between the two ends
    owner, z = owner[seen], z[seen]
    axis = np.stack([ax, ay, az])[:, seen]
    normal = (np.stack([x[seen], y[seen], z]) - reach[seen] * axis) / STICK_RADIUS
    color = (0.93 * jmol_colors[numbers[begin]]).astype(np.float32).T[:, owner]
    return _Samples(pixel[seen], start[owner, 2] + z, normal, color)


def _shade(samples: _Samples, shape: tuple[int, int]) -> np.ndarray:
    """Return the picture: the nearest sample of each pixel, lit, outlined and averaged.

    Args:
        samples: of all shapes.
        shape: height and width of the supersampled picture.

    Returns:
        ``(height / 2, width / 2, 3)`` uint8.
    """
    # The z-buffer: the largest depth of each pixel, and the samples that have it.
    nearest = np.full(shape[0] * shape[1], -FAR, np.float32)
    np.maximum.at(nearest, samples.pixel, samples.depth)
    seen = samples.depth >= nearest[samples.pixel]
    pixel, depth = samples.pixel[seen], samples.depth[seen]
    normal = samples.normal[:, seen]
    # Blinn-Phong shading: diffuse light by the angle to the light, a highlight by that to the
    # halfway vector to the power of 32, a darker rim; far samples fade to white.
    diffuse = np.maximum(LIGHT @ normal, 0)
    shine = np.maximum(HALFWAY @ normal, 0)
    for _ in range(5):
        shine *= shine
    rim = 1 - 0.45 * np.square(1 - normal[2])
    lit = samples.color[:, seen] * ((0.52 + 0.5 * diffuse) * rim) + 0.35 * shine
    front, back = depth.max(initial=-FAR), depth.min(initial=FAR)
    fog = 0.3 * (front - depth) / max(front - back, 4.0)
    lit = np.minimum(lit, 1) * (1 - fog) + fog
    image = np.ones((3, len(nearest)), np.float32)
    image[:, pixel] = np.where(_outline(nearest.reshape(shape)).ravel()[pixel], 0.35 * lit, lit)
    fine = image.reshape(3, *shape)
    small = fine[:, ::2, ::2] + fine[:, 1::2, ::2] + fine[:, ::2, 1::2] + fine[:, 1::2, 1::2]
    coarse: np.ndarray = np.rint(255 / 4 * small).astype(np.uint8).transpose(1, 2, 0).copy()
    return coarse


def _outline(depth: np.ndarray) -> np.ndarray:
    """Return ``(height, width)`` bool: pixels next to one that is much farther away."""
    edge = np.zeros(depth.shape, dtype=bool)
    down, right = depth[1:] - depth[:-1], depth[:, 1:] - depth[:, :-1]
    edge[1:] |= down > OUTLINE_STEP
    edge[:-1] |= down < -OUTLINE_STEP
    edge[:, 1:] |= right > OUTLINE_STEP
    edge[:, :-1] |= right < -OUTLINE_STEP
    return edge


def draw_grid(
    molecules: MoleculeBatch,
    path: Path | str,
    captions: Sequence[str] | None = None,
    n_columns: int = 5,
    title: str = "",
) -> None:
    """Write a PNG with a picture of every molecule of a batch, with the bonds perceived.

    Args:
        molecules: the molecules, in this order; none gives a picture that says so.
        path: the PNG.
        captions: one per molecule, of one or more lines; long ones are wrapped.
        n_columns: pictures in a row.
        title: the title, of one or more lines; long ones are wrapped.

    Raises:
        InputError: if there are captions, but not one per molecule.

    Example:
        >>> draw_grid(molecules, "molecules.png", captions=["CO", "O"])  # doctest: +SKIP
    """
    from molrl.plotting.figures import blank_figure, save_figure  # imports Matplotlib, slow

    n = len(molecules)
    if captions and len(captions) != n:
        raise InputError(f"there are {len(captions)} captions for {n} molecules; give one for each")
    columns = max(1, min(n_columns, n))
    rows = max(1, -(-n // columns))
    below = [_wrapped(caption, CAPTION_WIDTH) for caption in captions or ()]
    lines = max(map(len, below), default=0)
    width = max(PICTURE_WIDTH * columns, 2 * PICTURE_WIDTH)
    headings = _wrapped(title, int(10 * width))
    title_height = 0.25 * (len(headings) + 1) if headings else 0
    figure = blank_figure(width, (1.9 + 0.2 * lines) * rows + title_height)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
        ax.set_anchor("S")  # at the bottom of its place, from which the layout measures the caption
    bonds = bonded_atoms(molecules)
    for i, (numbers, positions) in enumerate(molecules.arrays()):
        picture = draw_molecule(numbers, positions, bonds[i], size=(272, 320))
        axes[i].imshow(picture, interpolation="antialiased")
        if below:
            _write_below(axes[i], "\n".join(below[i]))
    if not n:
        axes[0].text(0.5, 0.5, "no molecules", ha="center", va="center", color="#777777")
    if headings:
        figure.suptitle("\n".join(headings), fontsize=12, color="#222222", parse_math=False)
    save_figure(figure, path)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text, none longer than a width; words longer than it are broken."""
    return [part for line in text.split("\n") for part in wrap(line, width) or [""]] if text else []


def _write_below(ax: "Axes", caption: str) -> None:
    ax.text(
        0.5,
        -0.02,
        caption,
        transform=ax.transAxes,
        ha="center",
        va="top",
        fontsize=9,
        linespacing=1.35,
        parse_math=False,
        color="#333333",
    )

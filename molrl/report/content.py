"""What a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from molrl.errors import InputError, did_you_mean
from molrl.molecules import MoleculeBatch

Value = str | float | None
"""A text, a number, also one of NumPy, or None where there is none; NaN is the same as None."""


@dataclass(frozen=True)
class Table:
    """A table that a click on a heading sorts.

    Whole numbers are written in full, and the fractions of a column with as many decimals as the
    largest of them needs. For another form, such as ``"0.73 ± 0.02"``, give texts.

    Attributes:
        columns: the headings, with units.
        rows: one value per column in each.

    Raises:
        InputError: if a row has another number of values than there are columns.

    Example:
        >>> table = Table(["method", "valid, %"], [["simgen", 91.5], ["random", None]])
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(f"row {i} must have {len(self.columns)} values, not {len(row)}")


@dataclass(frozen=True)
class Picture:
    """A PNG file, which becomes a part of the report.

    Attributes:
        path: the PNG.
        caption: what it shows, below it and for those who cannot see it.

    Raises:
        InputError: if the file cannot be read, or is no PNG.

    Example:
        >>> picture = Picture(
        ...     "curves.png", "distinct molecules over energy calls"
        ... )  # doctest: +SKIP
    """

    path: Path | str
    caption: str

    def __post_init__(self) -> None:
        if not self.read().startswith(b"\x89PNG\r\n\x1a\n"):
            raise InputError(f"{self.path} is not a PNG file; pictures of a report must be")

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            InputError: if it cannot be read.
        """
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read the picture {self.path}: {error.strerror}") from None


@dataclass(frozen=True)
class Entry:
    """A molecule, or an animation of one that is built up.

    Attributes:
        title: its name, such as a SMILES.
        caption: a line below the title; may be empty.
        frames: one molecule, or several that are played one after another; the last is shown
            first. The atoms of the frames may differ, and there may be none.
        values: figures by name, with units in the names; a :class:`Map` has two of them as axes.

    Raises:
        InputError: if there is no frame, or a frame is periodic.

    Example:
        >>> from ase.build import molecule
        >>> water = MoleculeBatch.from_ase(molecule("H2O"))
        >>> entry = Entry("O", "from random search", water, {"strain, eV": 0.02})
    """

    title: str
    caption: str
    frames: MoleculeBatch
    values: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise InputError(f"the entry {self.title!r} must have at least one frame")
        self.frames.require_molecules("a report")


@dataclass(frozen=True)
class Map:
    """A scatter plot of two values of the entries; a click on a point opens its molecule.

    Entries without one of the two are left out.

    Attributes:
        x: the name of the value to the right.
        y: the name of the value upwards.
        color: the name of the text that the colours stand for, such as the method; one colour for
            all if empty.

    Example:
        >>> Map("strain, eV", "energy above best, eV", color="method")
        Map(x='strain, eV', y='energy above best, eV', color='method')
    """

    x: str
    y: str
    color: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a report under one heading; what is left out does not appear.

    Attributes:
        heading: the heading.
        text: paragraphs of plain text, with empty lines between them.
        table: below the text; what its first column has in common with the titles of the entries
            are links that open the molecules.
        picture: below the table.
        entries: the molecules, below the picture.
        map: between the picture and the molecules.

    Raises:
        InputError: if no entry has a value that the map names.

    Example:
        >>> section = Section("Settings", table=Table(["key", "value"], [["seed", 0]]))
    """

    heading: str
    text: str = ""
    table: Table | None = None
    picture: Picture | None = None
    entries: Sequence[Entry] = ()
    map: Map | None = None

    def __post_init__(self) -> None:
        known = {name for entry in self.entries for name in entry.values}
        for name in (self.map.x, self.map.y, self.map.color) if self.map else ():
            if name and name not in known:
                raise InputError(
                    f"no entry of {self.heading!r} has a value {name!r} for the map; "
                    f"{did_you_mean(name, known)}"
                )

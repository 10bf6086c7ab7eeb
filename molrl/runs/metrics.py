"""Metrics of a run: rows in a CSV file and TensorBoard events."""

import csv
import errno
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from molrl.errors import InputError
from molrl.runs.atomic import write_text
from molrl.runs.progress import log_message

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Figure = float | int | None
STEPS = "steps"


class MetricsLog:
    """Rows of metrics, each appended at once to a CSV file and sent to TensorBoard.

    The first row fixes the columns. When a log is opened again, rows later than ``steps`` and a
    row cut short by a crash are dropped, the latter with a line that says so: a resumed run writes
    what an uninterrupted one would have written. A line tells of rows that are missing at the end.

    Args:
        csv_file: the file of the rows.
        tensorboard: folder of the TensorBoard events; none are written if None.
        steps: number of steps done before.
        every: in each span of so many steps a row is due when it is entered.
        first: number of steps done before the first update, of which there is no row.

    Example:
        >>> with MetricsLog(Path("metrics.csv")) as log:  # doctest: +SKIP
        ...     log.append({"steps": 256, "return_fraction": 0.5})
    """

    def __init__(
        self,
        csv_file: Path,
        tensorboard: Path | None = None,
        steps: int = 0,
        every: int = 1,
        first: int = 0,
    ) -> None:
        rows, rest = _read(csv_file)
        if rest:
            log_message(f"{csv_file}: the last row is cut off, and is left out: {rest[:60]}")
        kept = [row for row in rows if (row[STEPS] or 0) <= steps]
        last = int(kept[-1][STEPS] or 0) if kept else first
        if last // every < steps // every:
            log_message(f"{csv_file}: rows are missing after step {last} up to step {steps}")
        self._columns = list(kept[0]) if kept else []
        self._is_found = bool(kept)
        self._path = csv_file
        self._tensorboard = tensorboard
        self._steps = steps
        self._writer: SummaryWriter | None = None
        lines = [self._columns, *(row.values() for row in kept)] if kept else []
        write_text(csv_file, "".join(_line(line) for line in lines))

    def append(self, row: Mapping[str, Figure]) -> None:
        """Add a row.

        Args:
            row: metrics by name, including ``steps``; the same names in every row. None leaves the
                field empty.

        Raises:
            ValueError: if the names differ from those of the first row.
            InputError: if they differ from those of a file that was there before.
        """
        if not self._columns:
            self._columns = [STEPS, *(name for name in row if name != STEPS)]
            self._write(_line(self._columns))
        if set(row) != set(self._columns):
            if self._is_found:
                raise InputError(
                    f"{self._path} has the columns {', '.join(self._columns)}, and the run writes "
                    f"{', '.join(row)}: it is of another run; delete it, and resume again"
                )
            raise ValueError(f"a row holds {sorted(row)}; the columns are {self._columns}")
        self._write(_line([row[name] for name in self._columns]))
        self._send(row)

    def close(self) -> None:
        """Finish the TensorBoard events."""
        if self._writer:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: str) -> None:
        binary = getattr(os, "O_BINARY", 0)  # Windows would change the line breaks
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | binary)
        try:
            data = line.encode()
            written = os.write(handle, data)  # one call, so that a kill cannot cut the row
            os.fsync(handle)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        finally:
            os.close(handle)

    def _send(self, row: Mapping[str, Figure]) -> None:
        if not self._tensorboard:
            return
        if not self._writer:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._tensorboard), purge_step=self._steps + 1)
        for name, value in row.items():
            if name != STEPS and value is not None:
                self._writer.add_scalar(name, value, int(row[STEPS] or 0))
        self._writer.flush()


def write_metrics(csv_file: Path, rows: Sequence[Mapping[str, Figure]]) -> None:
    """Write a metrics file anew.

    Args:
        csv_file: the file.
        rows: all its rows, with the same names, ``steps`` first.
    """
    lines = [list(rows[0]), *(row.values() for row in rows)] if rows else []
    write_text(csv_file, "".join(map(_line, lines)))


def read_metrics(csv_file: Path) -> list[dict[str, Figure]]:
    """Read the complete rows of a metrics file.

    Args:
        csv_file: the file.

    Returns:
        The rows in order; none if the file does not exist.

    Raises:
        InputError: if the file is corrupted anywhere but at its end.
    """
    return _read(csv_file)[0]


def _read(csv_file: Path) -> tuple[list[dict[str, Figure]], str]:
    """Return the complete rows of a metrics file, and what of a row follows them."""
    if not csv_file.is_file():
        return [], ""
    text = csv_file.read_text(encoding="utf-8", errors="replace")
    end = text.rfind("\n") + 1
    try:
        header, *lines = list(csv.reader(io.StringIO(text[:end]))) or [[]]
    except csv.Error as error:
        raise InputError(f"{csv_file} is corrupted: {error}") from None
    rows: list[dict[str, Figure]] = []
    for number, fields in enumerate(lines, start=2):
        try:
            rows.append(dict(zip(header, map(_number, fields), strict=True)))
            assert rows[-1][STEPS] is not None
        except (ValueError, KeyError, AssertionError):
            raise InputError(
                f"{csv_file} line {number} is not a row of metrics; "
                "correct it, or move the file away"
            ) from None
    return rows, text[end:]


def _number(field: str) -> Figure:
    if field == "":
        return None
    return int(field) if field.lstrip("-").isdigit() else float(field)


def _line(fields: object) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(fields)  # type: ignore[arg-type]  # any iterable
    return out.getvalue()

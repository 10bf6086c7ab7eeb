"""Rows of a long benchmark that stay when it is stopped."""

import json
from collections.abc import Callable
from pathlib import Path

Row = dict[str, object]


class KeptRows:
    """Rows in a file of JSON lines, by a key that names all they depend on but the code.

    Args:
        path: the file; one that exists is read and continued. Remove it after a change of what the
            rows are made by. A last line that was cut off is made again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        self._rows: dict[str, list[Row]] = dict(map(json.loads, whole.splitlines()))

    def get(self, key: str, make: Callable[[], list[Row]]) -> list[Row]:
        """Return the rows of a key, which are made and written if there are none."""
        if key not in self._rows:
            self._rows[key] = make()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self._rows[key]]) + "\n")
        return self._rows[key]

    def all(self) -> list[Row]:
        """Return the rows of all keys, in the order in which they were made."""
        return [row for rows in self._rows.values() for row in rows]

"""What a reader has to say about a file: one line for all of its molecules."""

from molrl.runs.progress import log_message


class Notes:
    """Remarks about the molecules of a file, each kept for the first molecule that it holds for.

    Example:
        >>> notes = Notes()
        >>> notes.add(0, "D is read as H")
        >>> notes.add(7, "D is read as H")
        >>> notes.line()
        'D is read as H (molecule 0 and 1 more of the kind)'
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str, set[int]]] = {}

    def add(self, molecule: int, text: str, kind: str | None = None) -> None:
        """Add a remark.

        Args:
            molecule: index of the molecule.
            text: the remark.
            kind: remarks of one kind are said once; the text itself if None.
        """
        first = self._found.setdefault(kind or text, (molecule, text, set()))
        first[2].add(molecule)

    def line(self) -> str:
        """Return all remarks in one line, empty if there are none."""
        parts = []
        for first, text, molecules in self._found.values():
            others = len(molecules) - 1
            more = f" and {others} more of the kind" if others else ""
            parts.append(f"{text} (molecule {first}{more})")
        return "; ".join(parts)

    def log(self, source: object) -> None:
        """Print the line to standard error, if there are remarks.

        Args:
            source: the file that they are about.
        """
        if self._found:
            log_message(f"{source}: {self.line()}")

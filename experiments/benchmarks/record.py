"""What every benchmark writes: figures, the command, the commit and the machine."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

from molrl.runs.folder import versions

RESULTS = Path(__file__).resolve().parents[1] / "results"


def cpu_ms(work: Callable[[], object], repeats: int) -> float:
    """Least CPU time of one call in ms, over ``repeats`` calls after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = process_time()
        work()
        times.append(process_time() - start)
    return 1e3 * min(times)


def record(name: str, title: str, rows: list[dict[str, object]]) -> None:
    """Write ``results/NAME.json`` and ``results/NAME.md``, and print the table.

    Args:
        name: of the files.
        title: one line that says what was measured.
        rows: one dict a line of the table, all with the same keys.
    """
    script = Path(sys.argv[0]).resolve().relative_to(RESULTS.parents[1])
    # Where a user's own file lies says nothing to anybody else; its name does.
    given = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = " ".join(["python", str(script), *given])
    environment = versions()
    data = {"title": title, "command": command, "environment": environment, "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    table = markdown(rows)
    about = ", ".join(f"{key} {value}" for key, value in environment.items())
    text = f"# {title}\n\n{table}\n\n`{command}`\n\n{about}\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{title}\n{table}\n")


def markdown(rows: list[dict[str, object]]) -> str:
    """Rows as a Markdown table."""
    keys = list(rows[0])
    lines = [keys, ["---"] * len(keys), *([_cell(row[key]) for key in keys] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

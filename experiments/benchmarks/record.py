"""What every benchmark writes: figures, the command, the commit and the machine."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import torch

from molrl.energy import EnergyModel
from molrl.runs.folder import versions
from molrl.runs.tables import markdown_table

RESULTS = Path(__file__).resolve().parents[1] / "results"
MEASURED = 1.0  # seconds for which a speed is measured, two calls at least


def seconds(work: Callable[[], object], device: str) -> float:
    """Least time of one call after one that warms up.

    Args:
        work: what is timed.
        device: ``cpu``: CPU time of this process; ``cuda`` or ``workers``: wall time, of a GPU or
            of processes that do the work.
    """
    clock = process_time if device == "cpu" else perf_counter
    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else lambda: None
    work()
    wait()
    times: list[float] = []
    while len(times) < 2 or sum(times) < MEASURED:
        start = clock()
        work()
        wait()
        times.append(clock() - start)
    return min(times)


def named(name: str, model: EnergyModel) -> str:
    """The name of a result that is about one of the models that ship."""
    return name if model.name == "mace" else f"{name}_{model.name}"


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
    table = markdown_table(rows)
    about = ", ".join(f"{key} {value}" for key, value in environment.items())
    text = f"# {title}\n\n{table}\n\n`{command}`\n\n{about}\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{title}\n{table}\n")

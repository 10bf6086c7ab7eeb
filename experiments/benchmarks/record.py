"""Records of benchmarks: the figures, the command, the commit and the machine."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import torch

from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.runs.tables import markdown_table
from molrl.runs.versions import versions

RESULTS = Path(__file__).resolve().parents[1] / "results"
MEASURED = 1.0  # s, duration of the measurement of a speed, for at least two calls


def origin() -> dict[str, object]:
    """Return the commit and the processor, for rows that are recorded beside older ones."""
    environment = versions()
    commit = str(environment["commit"] or "")
    modified = "+" * commit.endswith("+")
    return {"commit": commit[:7] + modified, "cpu": environment["machine"]["cpu"]}


def run_script(main: Callable[[], None]) -> None:
    """Run a benchmark; invalid input ends it with one line and exit code 2.

    Args:
        main: its function.
    """
    try:
        main()
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(2)


def seconds(work: Callable[[], object], device: str) -> float:
    """Return the least time of a call, s, after a warm-up.

    Args:
        work: the call to time.
        device: ``cpu`` for the CPU time of this process; ``cuda`` or ``workers`` for the wall time
            of a GPU or of other processes.
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
    """Return the name of a result for one of the shipped models."""
    return name if model.name == "mace" else f"{name}_{model.name}"


def record(name: str, title: str, rows: list[dict[str, object]]) -> None:
    """Write ``results/NAME.json`` and ``results/NAME.md``, and print the table.

    Args:
        name: name of the files.
        title: what was measured, in one line.
        rows: one dict per row of the table, all with the same keys.
    """
    script = Path(sys.argv[0]).resolve().relative_to(RESULTS.parents[1])
    # The names of files, not where they are on this machine.
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

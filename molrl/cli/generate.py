"""``molrl generate``: molecules of any generator, written to a file."""

from argparse import Namespace
from pathlib import Path

from molrl.chemistry.files import WRITERS, write
from molrl.cli.output import output_file
from molrl.evaluation.table import format_table
from molrl.generation import Generated, load_generator
from molrl.runs.config import read_mapping, read_overrides
from molrl.runs.yaml_text import read_yaml
from molrl.tasks import Task, parse_task


def generate(arguments: Namespace) -> int:
    """Make molecules, write them, and print the cost.

    Args:
        arguments: of the command: ``method``, ``bag`` or ``task``, ``energy``, ``options`` of the
            generator, ``n``, ``seed`` and ``output``.

    Returns:
        The exit code.

    Raises:
        InputError: if the generator is unknown, does not take an option or cannot make the task,
            or the file cannot be written.
    """
    output = output_file(arguments.output, "-o", list(WRITERS))
    task = parse_task(arguments.bag) if arguments.bag else read_task(arguments.task)
    options = read_overrides(arguments.options)
    if arguments.energy:
        options["energy"] = arguments.energy
    made = load_generator(arguments.method, **options).generate(task, arguments.n, arguments.seed)
    write(output, made.molecules)
    print(format_table({"task": str(task), **_cost(made)}))
    print(f"molecules: {output}")
    return 0


def read_task(text: str) -> Task:
    """Return a task that a command line gives.

    Args:
        text: path of a YAML file, or YAML: a formula, or the fields of a task.

    Raises:
        InputError: if it is no task.

    Example:
        >>> read_task("{kind: scaffold, scaffold: '*C', bag: CH3}").bag
        'CH3'
    """
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        return parse_task(read_mapping(path))
    return parse_task(read_yaml(text, "--task"))


def _cost(made: Generated) -> dict[str, float]:
    return {
        "n_molecules": len(made.molecules),
        "attempts": made.attempts,
        "energy_calls": made.energy_calls,
        "network_calls": made.network_calls,
        "seconds": made.seconds,
    }

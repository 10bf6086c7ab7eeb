"""``molrl generate``: molecules of any generator, written to a file."""

from argparse import Namespace

from molrl.chemistry.files import WRITERS, write
from molrl.cli.output import output_file
from molrl.evaluation.table import format_table
from molrl.generation import Generated, load_generator
from molrl.runs.config import read_overrides
from molrl.task import Task


def generate(arguments: Namespace) -> int:
    """Make molecules, write them, and print the cost.

    Args:
        arguments: of the command: ``method``, ``bag``, ``energy``, ``options`` of the generator,
            ``n``, ``seed`` and ``output``.

    Returns:
        The exit code.

    Raises:
        InputError: if the generator is unknown, does not take an option or cannot make the bag,
            or the file cannot be written.
    """
    output = output_file(arguments.output, "-o", list(WRITERS))
    task = Task.of(arguments.bag)
    options = read_overrides(arguments.options)
    if arguments.energy:
        options["energy"] = arguments.energy
    made = load_generator(arguments.method, **options).generate(task, arguments.n, arguments.seed)
    write(output, made.molecules)
    print(format_table({"bag": task.bag.formula, **_cost(made)}))
    print(f"molecules: {output}")
    return 0


def _cost(made: Generated) -> dict[str, float]:
    return {
        "n_molecules": len(made.molecules),
        "attempts": made.attempts,
        "energy_calls": made.energy_calls,
        "network_calls": made.network_calls,
        "seconds": made.seconds,
    }

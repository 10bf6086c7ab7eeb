"""``molrl generate``: molecules of any generator, written to a file."""

from argparse import Namespace

from molrl.cli.configs import mention_invalid, read_task
from molrl.cli.output import MOLECULE_FILES, output_files
from molrl.evaluation.table import format_table
from molrl.generation import load_generator
from molrl.parts import GENERATORS
from molrl.runs.config import read_overrides
from molrl.runs.progress import waiting
from molrl.tasks import parse_task


def generate(arguments: Namespace) -> int:
    """Make molecules, write them with their energy and validity, and print a summary.

    Args:
        arguments: of the command: ``method``, ``bag`` or ``task``, ``energy``, ``options`` of the
            generator, ``n``, ``seed``, ``output`` and ``force``.

    Returns:
        The exit code.

    Raises:
        InputError: if the generator is unknown, does not take an option or cannot make the task,
            or the file exists or cannot be written.
    """
    (output,) = output_files(arguments, {"-o": MOLECULE_FILES})
    assert output  # as required
    task = parse_task(read_task(arguments))
    options = read_overrides(arguments.options)
    GENERATORS.check(arguments.method.partition(":")[0])
    mention_invalid(task, options.get("charge"))
    if arguments.energy:
        options["energy"] = arguments.energy

    with waiting("making molecules"):
        generator = load_generator(arguments.method, **options)
        made = generator.generate(task, arguments.n, arguments.seed)

    from molrl.evaluation.generated import write_generated  # after the checks: it takes seconds

    print(format_table({"task": str(task), **write_generated(output, made)}))
    print(f"molecules: {output}")
    return 0

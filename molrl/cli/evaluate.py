"""``molrl evaluate``: the evaluation of the molecules in a file."""

import json
from argparse import Namespace

from molrl.cli.output import output_file
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.table import format_table
from molrl.files import read_molecules
from molrl.runs.atomic import write_text


def evaluate(arguments: Namespace) -> int:
    """Evaluate the molecules of a file, print the table, and write the figures if asked to.

    Args:
        arguments: of the command: ``file`` and ``json``.

    Returns:
        The exit code.

    Raises:
        InputError: if the file is corrupted, holds an element that the evaluator does not know, or
            the figures cannot be written.
    """
    if arguments.json:
        output_file(arguments.json, "--json")
    molecules = read_molecules(arguments.file)
    summary = evaluate_molecules(molecules).summary()
    print(format_table(summary))
    if arguments.json:
        write_text(arguments.json, json.dumps(summary, indent=2) + "\n")
    return 0

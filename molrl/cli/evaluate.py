"""``molrl evaluate``: the judge's table of a file of molecules."""

import json
import os
from argparse import Namespace

from molrl.errors import InputError
from molrl.evaluation.judge import judge
from molrl.evaluation.table import format_table
from molrl.files import read_molecules
from molrl.runs.atomic import write_text


def evaluate(arguments: Namespace) -> int:
    """Judge the molecules of a file, print the table, and write the figures if asked to.

    Raises:
        InputError: if the file is broken, holds what the judge does not know, or the place of the
            figures is a folder.
    """
    if arguments.json and os.path.isdir(arguments.json):
        raise InputError(f"--json {arguments.json} is a folder; name a file")
    molecules = read_molecules(arguments.file)
    summary = judge(molecules).summary()
    if arguments.json:
        write_text(arguments.json, json.dumps(summary, indent=2) + "\n")
    print(format_table(summary))
    return 0

"""``python -m molrl``: the command line."""

import sys

from molrl.cli.main import run

sys.exit(run())

"""``python -m molrl``: the command line."""

import sys

from molrl.cli.main import run

if __name__ == "__main__":
    sys.exit(run())

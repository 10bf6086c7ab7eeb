"""e3nn and mace-torch, imported without loosening ``torch.load`` for the process.

e3nn 0.4.4 stores a ``slice`` in the constants it loads at import, which torch's safe loader
refuses; mace-torch answers with an environment variable that switches safe loading off for good.
Here the one class is allowed for the duration of the import, and the variable is put back.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import torch

NO_WEIGHTS_ONLY = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextmanager
def contained() -> Iterator[None]:
    """Import e3nn or mace inside; safe loading is as it was afterwards."""
    before = os.environ.get(NO_WEIGHTS_ONLY)
    with (
        torch.serialization.safe_globals([slice]),
        redirect_stdout(io.StringIO()),  # mace prints which accelerations are missing
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # deprecations of torch that their pins cannot heed
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(NO_WEIGHTS_ONLY, None)
            else:
                os.environ[NO_WEIGHTS_ONLY] = before


with contained():
    from e3nn import o3

__all__ = ["NO_WEIGHTS_ONLY", "contained", "o3"]

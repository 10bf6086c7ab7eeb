"""The foundation models of mace-torch by their names there.

mace-torch fetches them, once, from where their authors publish them, and keeps them; they are
pickles, and naming one is trusting its authors. Their licences are their own: MACE-MP-0, MACE-MPA-0
and MACE-ANI are MIT; MACE-OFF23, MACE-OMOL-0, OMAT-0, MATPES and MH have the Academic Software
License, which allows no commercial use. See https://github.com/ACEsuit/mace-foundations.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.errors import InputError, did_you_mean
from molrl.runs.weights import sha256
from molrl.safe_e3nn import contained

with contained():
    from mace.calculators import foundations_models as upstream
    from mace.tools.utils import get_cache_dir

OMOL, ANI = "MACE-omol-0-extra-large-1024.model", "ani500k_large_CC.model"


@dataclass(frozen=True)
class Foundation:
    """A family of foundation models; called, it loads one.

    Attributes:
        name: of the family.
        files: variant to where mace-torch keeps it.
        default: the variant that is meant by no name.
        fetch: has mace-torch fetch the file of a variant, unless it is kept already.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"argument", "device"})

    name: str
    files: Callable[[], Mapping[str, Path]]
    default: str
    fetch: Callable[[str], object]

    def __call__(self, argument: str = "", device: str = "cpu") -> MaceModuleEnergy:
        """Load a variant.

        Args:
            argument: the variant, ``VARIANT@HEAD`` for one of several heads; the default if empty.
            device: where to compute.

        Raises:
            InputError: if there is no such variant, or it can neither be found nor fetched.
        """
        variant, _, head = argument.partition("@")
        variant = variant or self.default
        files = self.files()
        if variant not in files:
            raise InputError(f"{self.name} has no {variant!r}; {did_you_mean(variant, files)}")
        name, file = f"{self.name}:{variant}", files[variant]
        try:
            # Most of these load what they have fetched, which torch's safe loader refuses.
            with contained(), _printing_to_stderr():
                self.fetch(variant)
        except Exception as error:  # of the network, of the disk, of the safe loader
            if not file.is_file():
                raise InputError(
                    f"{name} could not be fetched ({error.__cause__ or error}); where there is no "
                    f"network, put its file at {file}"
                ) from None
        try:
            with contained():
                network = torch.load(file, map_location="cpu", weights_only=False)
        except Exception as error:  # whatever its bytes make the unpickler stumble over
            raise InputError(f"{name} in {file} cannot be loaded: {error}") from None
        return MaceModuleEnergy(network, name, sha256(file.read_bytes()), head or None, device)


@contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """Inside, what ``upstream`` prints, the licence and how far it has come, is no output of ours.

    Its module gets a ``print`` of its own; the standard output of the process stays.
    """
    vars(upstream)["print"] = lambda *values, **how: print(*values, **how | {"file": sys.stderr})
    try:
        yield
    finally:
        vars(upstream).pop("print", None)


def _mp_files() -> dict[str, Path]:
    names = {variant: url.rpartition("/")[2] for variant, url in upstream.mace_mp_urls.items()}
    return {
        variant: get_cache_dir() / "".join(c for c in name if c.isalnum() or c == "_")
        for variant, name in names.items()
    }


def _off_files() -> dict[str, Path]:
    urls = upstream.mace_off_urls.items()
    return {variant: get_cache_dir() / url.rpartition("/")[2] for variant, url in urls}


MACE_MP = Foundation(
    "mace-mp",
    _mp_files,
    "medium-mpa-0",
    upstream.download_mace_mp_checkpoint,
)
MACE_OFF = Foundation(
    "mace-off",
    _off_files,
    "medium",
    lambda variant: upstream.mace_off(model=variant, device="cpu", return_raw_model=True),
)
MACE_OMOL = Foundation(
    "mace-omol",
    lambda: {"extra_large": get_cache_dir() / OMOL},
    "extra_large",
    lambda variant: upstream.mace_omol(model=variant, device="cpu", return_raw_model=True),
)
MACE_ANI = Foundation(
    "mace-anicc",
    lambda: {"large": get_cache_dir() / ANI},
    "large",
    lambda variant: upstream.mace_anicc(
        device="cpu", model_path=str(get_cache_dir() / ANI), return_raw_model=True
    ),
)

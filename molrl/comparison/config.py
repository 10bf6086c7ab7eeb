"""The config of a comparison of generators; it is checked without PyTorch."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from molrl.errors import InputError
from molrl.parts import GENERATORS, check_energy_name
from molrl.runs.config import Config, RunConfig
from molrl.runs.weights import read_json
from molrl.tasks import AnyTask

REAL = "real molecules"
"""The row of the known isomers, which no generator made."""

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_AT_ONCE = 16


class UnitKey(NamedTuple):
    """One run of a comparison.

    Attributes:
        method: the name of its row.
        task: as a string.
        seed: of the run.
    """

    method: str
    task: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where its files are, below the folder of the comparison."""
        return Path("units", slug(self.method), slug(self.task), f"seed-{self.seed}")


def has_finished(folder: Path) -> bool:
    """Return whether a run of a comparison is there, has not crashed, and is not broken.

    Args:
        folder: of the run.
    """
    file = folder / "unit.json"
    try:
        return file.is_file() and not read_json(file).get("crashed")
    except InputError:
        return False


def slug(text: str) -> str:
    """Return a name of a folder for any text; texts that differ have names that differ.

    Args:
        text: such as that of a task.

    Example:
        >>> slug("C3H8O"), slug("scaffold (bag H)")
        ('C3H8O', 'scaffold_bag_H-d382ec')
    """
    plain = re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII).strip("_")[:60]
    if plain == text:
        return plain
    return f"{plain}-{sha256(text.encode()).hexdigest()[:6]}"


def refuse_names_alike(names: Iterable[str]) -> None:
    """Refuse names that would share a folder on a disk that does not tell cases apart.

    Args:
        names: of methods or tasks, all different.

    Raises:
        InputError: if two differ by the case of letters only.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise InputError(
                f"{other!r} and {name!r} differ by case only, and would share a folder on some "
                "disks; use other names"
            )


class MethodConfig(Config):
    """One method of a comparison.

    Attributes:
        generator: name of a generator, perhaps with an argument: ``random-search``,
            ``run:runs/agent``, ``pseudo-force:runs/denoiser``.
        options: of the generator, as ``key=value`` in ``molrl generate``.
        training_energy_calls: energy evaluations of its training; by default those that the summary
            of an agent's run tells, and none for other generators.
    """

    generator: str
    options: Mapping[str, Any] = Field(default_factory=dict)
    training_energy_calls: int | None = Field(None, ge=0)

    @property
    def kind(self) -> str:
        """Name of the generator without its argument."""
        return self.generator.partition(":")[0]

    @model_validator(mode="after")
    def _check(self) -> Self:
        GENERATORS.check(self.kind)
        _, colon, argument = self.generator.partition(":")
        if colon and not argument:
            raise InputError(f"{self.generator!r}: the argument after the colon is missing")
        if self.kind == "run" and not os.path.exists(argument):
            raise InputError(f"{self.generator}: there is no run {argument}; train one first")
        return self


def _named(methods: object) -> object:
    """Return methods as mappings: a name alone is that of the generator."""
    if isinstance(methods, Sequence) and not isinstance(methods, str):
        methods = dict.fromkeys(map(str, methods))
    if not isinstance(methods, Mapping):
        raise InputError(f"give names, such as [random-search], or a section, not {methods!r}")
    return {str(name): _method(str(name), given) for name, given in methods.items()}


def _method(name: str, given: object) -> object:
    if isinstance(given, str):
        return {"generator": given}
    if given is None or isinstance(given, Mapping):
        return {"generator": name, **(given or {})}
    return given


def _check_names(methods: dict[str, MethodConfig]) -> dict[str, MethodConfig]:
    for name in methods:
        if not _NAME.fullmatch(name):
            raise InputError(f"a method is named by letters, digits, - and _, not {name!r}")
    if not methods:
        raise InputError("name at least one method, such as random-search")
    refuse_names_alike(methods)
    return methods


def _counted(seeds: object) -> object:
    """Return the seeds that a number of them means: 0, 1 and so on."""
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 0 < seeds <= 100_000:
        return tuple(range(seeds))
    if not isinstance(seeds, list | tuple):
        raise InputError(f"give a list, or the number of seeds, 1 to 100000, not {seeds!r}")
    return tuple(seeds) if isinstance(seeds, list) else seeds


def _distinct(values: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
    names = [str(value) for value in values]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{info.field_name} must be at least one, each once, not {names}")
    refuse_names_alike(names)
    return values


class CompareConfig(RunConfig):
    """Config of a comparison of generators: every method on every task, with every seed.

    Each method has the same budget for each task and seed: it makes molecules in batches until it
    has made ``n_molecules`` or used ``energy_calls``, whichever is first.

    Attributes:
        run_dir: folder of the comparison.
        tasks: what to make: formulas, or tasks of any kind.
        methods: by the name of the row its ``generator`` and the ``options`` of that. A row named
            after its generator needs neither, and a list of names is enough for such rows:
            ``[random-search, simgen]``. ``agent: run:RUN`` is a trained agent.
        seeds: of the independent runs of each method on each task: a list, or their number.
        n_molecules: molecules after which a run ends; without limit if null. The last batch of a
            structure search may exceed it.
        energy_calls: evaluations of the energy model after which a run ends, the relaxation
            included; without limit if null. What is found with more does not count.
        batch_size: number of molecules that are made and relaxed at the same time.
        relax: whether the molecules are also compared after a relaxation, the same for all.
        force_tolerance: eV/Å, the largest force on an atom of a relaxed molecule.
        energy: energy model of the relaxation, and of the generators that take one.
        within: eV, the energy above the best known isomer that counts as success.
        known: file of real molecules to compare with; the molecules of the package if null.
        amortised_over: number of distinct valid molecules that the costs of a training are spread
            over.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: if there is no budget that ends every run, a generator is unknown, or a run does
            not exist.

    Example:
        >>> CompareConfig(
        ...     run_dir=Path("runs/compare"), tasks=("C3H8O",), methods=["random-search"]
        ... ).methods["random-search"].generator
        'random-search'
    """

    run_dir: Path
    tasks: Annotated[tuple[AnyTask, ...], AfterValidator(_distinct)]
    methods: Annotated[
        dict[str, MethodConfig], BeforeValidator(_named), AfterValidator(_check_names)
    ]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**31)], ...],
        BeforeValidator(_counted),
        AfterValidator(_distinct),
    ] = (0,)
    n_molecules: int | None = Field(None, ge=1, le=1_000_000)
    energy_calls: int | None = Field(2_000, ge=1, le=10**12)
    batch_size: int = Field(_AT_ONCE, ge=1, le=10_000)
    relax: bool = True
    force_tolerance: float = Field(0.1, gt=0, le=10)
    energy: Annotated[str, AfterValidator(check_energy_name)] = "mace"
    within: float = Field(0.15, gt=0, le=10)
    known: Path | None = None
    amortised_over: int = Field(10_000, ge=1, le=10**12)
    device: str = "auto"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_molecules is None and self.energy_calls is None:
            raise InputError("a comparison needs an end; give n_molecules or energy_calls")
        if not self.relax and self.n_molecules is None:
            raise InputError("without relaxation a method may evaluate no energy; give n_molecules")
        if self.known is not None and not self.known.is_file():
            raise InputError(f"known: {self.known} is not a file; give one of molecules")
        return self

    def units(self) -> Iterator[UnitKey]:
        """Yield the runs that the comparison consists of, in their order."""
        for i, seed in enumerate(self.seeds):
            for task in map(str, self.tasks):
                if not i:
                    yield UnitKey(REAL, task, 0)
                yield from (UnitKey(name, task, seed) for name in self.methods)

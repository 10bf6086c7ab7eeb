"""``molrl list``: the parts that configs and commands can name."""

from argparse import Namespace
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import NamedTuple

from molrl.errors import InputError
from molrl.generators.diffusion.shipping import CONFIGS, why_not_shipped
from molrl.parts import ENERGY_FACTS, REGISTRIES
from molrl.registry import Registry


class Part(NamedTuple):
    """A line of the table.

    Attributes:
        kind: ``"energy"``, ``"generator"`` and so on.
        name: the name it is loaded by.
        source: the package that brings it.
        installed: ``"yes"`` or ``"no"``.
        note: the licence of a model, or why it is not installed.
    """

    kind: str
    name: str
    source: str
    installed: str
    note: str


def list_parts(arguments: Namespace) -> int:
    """Print all parts: energies, generators, tasks, reward terms, networks, policies, algorithms.

    Parts of other packages are imported to see whether they can be; those of molrl are not.

    Args:
        arguments: of the command; there are none.

    Returns:
        The exit code.
    """
    rows = [Part("kind", "name", "from", "installed", "licence, or why not")]
    for kind, registry in REGISTRIES.items():
        rows += _parts(kind, registry)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def _parts(kind: str, registry: Registry) -> Iterator[Part]:
    for name in registry:
        source = registry.source(name)
        why, licence = _shipped(kind, name) if source == "molrl" else _foreign(registry, name)
        yield Part(kind, name, source, "no" if why else "yes", why or licence)
    for name, why in registry.refused.items():
        yield Part(kind, name, "", "no", why)


def _shipped(kind: str, name: str) -> tuple[str, str]:
    """Return why a part of molrl is not installed, empty if it is, and its licence."""
    if kind == "generator" and name in CONFIGS:
        why = why_not_shipped(name)
        return why, "" if why else "MIT"
    facts = ENERGY_FACTS.get(name) if kind == "energy" else None
    if facts is None:
        return "", ""
    try:
        if facts.needs:
            version(facts.needs)
    except PackageNotFoundError:
        return f"needs {facts.needs}: {facts.install}", facts.licence
    return "", facts.licence


def _foreign(registry: Registry, name: str) -> tuple[str, str]:
    """Return why a part of somebody else cannot be imported, empty if it can, and its licence."""
    try:
        target = registry.load(name)
    except InputError as error:
        return str(error), ""
    return "", str(getattr(target, "licence", "") or _licence_of(registry.source(name)))


def _licence_of(package: str) -> str:
    """Return the licence that the metadata of a package state in one line; empty if none."""
    try:
        stated = metadata(package)
    except PackageNotFoundError:  # registered in this process
        return ""
    given = [stated[key] for key in ("License-Expression", "License") if key in stated]
    return next((licence for licence in given if len(licence.splitlines()) == 1), "")

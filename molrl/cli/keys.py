"""Help on the keys of configs and on the generators, taken from their docstrings."""

import ast
import importlib
import importlib.util
import inspect
import math
import re
import shutil
import textwrap
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from molrl.cli.experiment import ExperimentConfig
from molrl.evaluation.table import meanings
from molrl.parts import ALGORITHMS, GENERATORS, POLICIES
from molrl.registry import Registry
from molrl.tasks import TASKS, Task
from molrl.tasks.registry import task_class
from molrl.validation import models_of

_LABEL = 26  # columns; what is longer has its text on the next line


EXAMPLES = {
    "molrl train": [
        "molrl train --bag C2H6O total_steps=200000 run_dir=runs/ethanol",
        "molrl train experiments/quickstart.yaml seed=1 'env.reward={energy: 1.0, valid: 5.0}'",
    ],
    "molrl resume": [
        "molrl resume runs/quickstart",
        "molrl resume runs/quickstart total_steps=200000",
    ],
    "molrl launch": [
        "molrl launch --slurm experiments/quickstart.yaml --seeds 5",
        "molrl launch --slurm experiments/quickstart.yaml algorithm.learning_rate=1e-3,3e-4",
    ],
    "molrl generate": [
        "molrl generate --method run:runs/quickstart --bag CH4O -n 50 -o made.sdf",
        "molrl generate --method random --task '{kind: scaffold, bag: H}' -o made.extxyz",
    ],
    "molrl search": [
        "molrl search C3H8O --energy-calls 5000",
        "molrl search C4H7N --minutes 5 --with 'C#N' --rings 0",
        "molrl search C2H8N --charge 1 --energy gfn2 run_dir=runs/ammonium",
    ],
    "molrl compare": [
        "molrl compare experiments/compare_quick.yaml",
        "molrl compare experiments/compare.yaml 'seeds=[0, 1]' run_dir=runs/two",
        "molrl launch --slurm --command compare experiments/compare.yaml --seeds 5",
        "molrl compare --merge runs/compare-seed* run_dir=runs/compare",
    ],
    "molrl evaluate": ["molrl evaluate made.sdf --valid --unique --csv made.csv -o best.sdf"],
    "molrl energy data": ["molrl energy data experiments/energy/data.yaml"],
    "molrl energy molecules": ["molrl energy molecules experiments/energy/molecules.yaml"],
    "molrl energy fit": ["molrl energy fit data=mine.extxyz start=mace run_dir=runs/mine"],
    "molrl energy learn": ["molrl energy learn experiments/energy/learn.yaml"],
    "molrl relax": ["molrl relax made.sdf --model gfn2 -o relaxed.sdf"],
    "molrl energy evaluate": ["molrl energy evaluate made.extxyz --model mace --csv errors.csv"],
    "molrl energy convert": ["molrl energy convert theirs.model mine.json --trust"],
}


def describe_examples(program: str) -> str:
    """Return examples of a command.

    Args:
        program: the command, ``"molrl train"``.
    """
    return "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES.get(program, [program]))])


def describe_keys(schema: str) -> str:
    """Return a list of the keys of a config, with their defaults and what they mean.

    Args:
        schema: import string of the class of the config; the text is that of the ``Attributes`` in
            its docstring.
    """
    module, _, name = schema.partition(":")
    found = getattr(importlib.import_module(module), name)
    return _listed("keys of the config, and their defaults", _key_rows(found, ""))


def describe_alternatives() -> str:
    """Return a list of the policies and algorithms that are not the default.

    Each is listed with the keys that the default does not have, or has with another value.
    """
    title = "other policies and algorithms, and how their keys differ"
    sections = {"policy": POLICIES, "algorithm": ALGORITHMS}
    return _listed(title, chain.from_iterable(map(_alternative_rows, sections, sections.values())))


def describe_tasks() -> str:
    """Return a list of the kinds of tasks, each with its fields and their defaults."""
    return _listed("kinds of tasks, and their defaults", _task_rows())


def describe_generators() -> str:
    """Return a list of the generators with their options, from docstrings; none is imported."""
    title = "methods, and their options (the first may follow a colon, as in random:gfn2)"
    return _listed(title, _part_rows(GENERATORS))


def describe_figures() -> str:
    """Return a list of the figures in the tables, each with its unit and what it means."""
    return _listed("figures of the table", ((label, text) for label, text in meanings() if text))


def _listed(title: str, rows: Iterator[tuple[str, str]]) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    lines = [f"{title}:"]
    for label, text in rows:
        indent = " " * (_LABEL + 4)
        wrapped = textwrap.wrap(
            text,
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if len(label) <= _LABEL and wrapped:
            lines.append(f"  {label:<{_LABEL}}  {wrapped.pop(0).strip()}")
        else:
            lines.append(f"  {label}")
        lines += wrapped
    return "\n".join(lines)


def _key_rows(schema: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    documented = _attributes(schema)
    for name, field in schema.model_fields.items():
        key, section = f"{prefix}{name}", _section(field)
        if section is None:
            default = "" if field.is_required() else f"={_as_yaml(_default(field))}"
            yield f"{key}{default}", documented.get(name, field.description or "")
        else:
            yield f"{key}.", documented.get(name, "")
            yield from _key_rows(section, f"{key}.")


def _alternative_rows(section: str, registry: Registry) -> Iterator[tuple[str, str]]:
    default = ExperimentConfig.model_fields[section].get_default(call_default_factory=True)
    own = {*_key_rows(type(default), "")}
    for name in registry:
        schema = registry.load(name)
        if schema is type(default):
            continue
        yield f"{name} ({section})", _first_paragraph(inspect.getdoc(schema) or "")
        for key, meaning in _key_rows(schema, ""):
            if (key, meaning) not in own and not key.startswith("name="):
                yield f"  {section}.{key}", meaning


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the class of the keys below a key; None if its value has no fixed keys."""
    default = field.get_default(call_default_factory=True)
    found = type(default) if isinstance(default, BaseModel) else next(models_of(field), None)
    return None if found is None or issubclass(found, Task) else found


def _task_rows() -> Iterator[tuple[str, str]]:
    for kind in TASKS:
        schema = task_class(kind)
        given = {
            name: "..." if field.is_required() else _default(field)
            for name, field in schema.model_fields.items()
        }
        text = _first_paragraph(inspect.getdoc(schema) or "")
        yield kind, f"{text} {_as_yaml({**given, 'kind': kind})}"


def _default(field: FieldInfo) -> Any:  # noqa: ANN401 - plain data
    return to_jsonable_python(field.get_default(call_default_factory=True))


def _as_yaml(value: object) -> str:
    """Return plain data as YAML in one line, as an override has them."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("...\n").strip()


def _attributes(schema: type) -> dict[str, str]:
    """Return what the ``Attributes`` of a class and its bases say, by name."""
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        found |= _entries(inspect.cleandoc(base.__doc__ or ""), "Attributes")
    return found


def _part_rows(registry: Registry) -> Iterator[tuple[str, str]]:
    for name in registry:
        text = _docstring(registry.target(name))
        yield name, _first_paragraph(text)
        for option, meaning in _entries(text, "Args").items():
            yield "  NAME=" if option.startswith("**") else f"  {option}=", meaning


def _docstring(target: object) -> str:
    """Return the docstring of an object, or of what an import string names, which is not run."""
    if not isinstance(target, str):
        return inspect.getdoc(target) or ""
    module, _, name = target.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or not (spec.origin or "").endswith(".py"):
        return ""
    body = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8")).body
    named = (node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    return next((ast.get_docstring(node) or "" for node in named if node.name == name), "")


def _entries(text: str, section: str) -> dict[str, str]:
    """Return the entries of a section of a docstring by name."""
    found = re.search(rf"^{section}:\n((?:[ ].*\n?|\n)*)", text, re.MULTILINE)
    body = textwrap.dedent(found[1]) if found else ""
    entries = re.findall(r"^([*\w]+): (.*(?:\n[ ]+.*)*)", body, re.MULTILINE)
    return {name: _plain(entry) for name, entry in entries}


def _first_paragraph(text: str) -> str:
    return _plain(text.partition("\n\n")[0])


def _plain(text: str) -> str:
    """Return text in one line, without the markup of code and references."""
    return re.sub(r"(?::\w+:)?`+~?([^`]*)`+", r"\1", " ".join(text.split()))

"""The kinds of tasks by name, and tasks from plain data."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError

from molrl.bags import Bag
from molrl.errors import InputError, did_you_mean
from molrl.parts import TASKS
from molrl.tasks.interface import Task
from molrl.validation import one_line

DEFAULT_KIND = "bag"


def kind_of(task: object) -> object:
    """Return the kind that a task has, or would have; it may be unknown.

    Args:
        task: as for :func:`parse_task`.
    """
    if isinstance(task, Task):
        return task.kind
    fields = fields_of(task)
    return DEFAULT_KIND if fields is None else fields.get("kind", DEFAULT_KIND)


def fields_of(task: object) -> Mapping[str, Any] | None:
    """Return a task that is given as the mapping of its fields; None: it is given otherwise.

    Args:
        task: as for :func:`parse_task`.
    """
    # A bag is a mapping, too.
    return task if isinstance(task, Mapping) and not isinstance(task, Bag) else None


def task_class(kind: object) -> type[Task]:
    """Return the class of a kind of task.

    Args:
        kind: its name.

    Raises:
        InputError: if it is unknown, or what is registered is no task.
    """
    if not isinstance(kind, str):
        raise InputError(f"a kind of task must be a name such as bag, not {kind!r}")
    found: type[Task] = TASKS.load(kind)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise InputError(f"the task {kind!r} must be a subclass of molrl.Task, not {found!r}")
    return found


def parse_task(task: object) -> Task:
    """Return a task from plain data.

    Args:
        task: a task; the mapping of its fields, of kind ``bag`` unless it has another ``kind``; or
            a formula or a bag, of whose atoms one molecule is made.

    Raises:
        InputError: if the kind or a field is unknown, or a value does not fit.

    Example:
        >>> parse_task("CH4O") == parse_task({"bag": "CH4O"})
        True
        >>> parse_task({"kind": "scaffold", "scaffold": "*C", "bag": "CH3"}).instance.n_atoms
        8
    """
    data = {"bag": task} if isinstance(task, str | Bag) else task
    try:
        return _parse(data)
    except ValidationError as error:
        assert isinstance(data, Mapping)
        raise InputError(f"task: {one_line(error, data, task_class(kind_of(data)))}") from None


def _parse(task: object) -> Task:
    """Return a task; as part of a config, a ValidationError keeps the key of what is wrong."""
    if isinstance(task, Task):
        return task
    if isinstance(task, str | Bag):
        task = {"bag": task}
    if not isinstance(task, Mapping):
        raise InputError(
            f"a task must be a formula such as CH4O, or a mapping such as "
            f"{{kind: scaffold, ...}}, not {task!r}"
        )
    data: dict[str, Any] = dict(task)
    schema = task_class(data.setdefault("kind", DEFAULT_KIND))
    for key in data:
        if key not in schema.model_fields:
            hint = did_you_mean(str(key), schema.model_fields)
            raise InputError(f"unknown key {key!r} of a task of kind {data['kind']}; {hint}")
    return schema.model_validate(data)


AnyTask = Annotated[SerializeAsAny[Task], BeforeValidator(_parse)]

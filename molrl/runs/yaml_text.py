"""The subset of YAML that configs use, with plain values read as in YAML 1.2.

PyYAML reads YAML 1.1, where ``NO`` is false, ``1e-3`` a string, ``010`` eight and ``1:30`` ninety.
A formula may be ``NO`` and a learning rate ``1e-3``, so plain values are read as in YAML 1.2. A
whole number may have an exponent: ``1e5`` and ``1.5e5`` are integers, which a float takes too.
Tags, aliases (and with them alias bombs), duplicate keys and deep nesting are refused.
"""

import re
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode

from molrl.errors import InputError

MAX_BYTES = 50_000
MAX_DEPTH = 20
MAX_EXACT = 2**53  # up to which every whole number is a float
_MEANINGS = {  # of what PyYAML says
    "but found another document": "a second document begins; write one, without a line of ---",
    "found character '\\t' that cannot start any token": "a tab; indent with spaces",
}

_CORE_SCHEMA = [  # (tag, pattern, first characters), YAML 1.2.2, section 10.3.2
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - declared by PyYAML, not a ClassVar there
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:  # noqa: ANN401 - PyYAML's
        event = self.peek_event()  # type: ignore[no-untyped-call]  # untyped in its stub
        if self.check_event(yaml.AliasEvent):
            raise ConstructorError(
                None, None, "aliases are not allowed; write the value out", event.start_mark
            )
        if self.depth > MAX_DEPTH:
            raise ConstructorError(
                None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def mapping(self, node: MappingNode) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ConstructorError(
                    None, None, f"a key must be a word, not {key!r}", key_node.start_mark
                )
            if key in out:
                raise ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            out[key] = self.construct_object(value_node, deep=True)
        return out

    def integer(self, node: ScalarNode) -> int:
        if len(node.value) > 40:
            raise ConstructorError(None, None, "a number of more than 40 digits", node.start_mark)
        return int(node.value)

    def number(self, node: ScalarNode) -> int | float:
        value = float(self.construct_yaml_float(node))
        exact = value.is_integer() and abs(value) <= MAX_EXACT
        return int(value) if "e" in node.value.lower() and exact else value

    def refuse(self, node: Node) -> None:
        raise ConstructorError(None, None, f"the tag {node.tag} is not allowed", node.start_mark)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - declared by PyYAML, not a ClassVar there


for _tag, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first
        )
for _tag, _constructor in {
    "null": _Loader.construct_yaml_null,
    "bool": _Loader.construct_yaml_bool,
    "int": _Loader.integer,
    "float": _Loader.number,
    "str": _Loader.construct_yaml_str,
    "seq": lambda loader, node: loader.construct_sequence(node, deep=True),
    "map": _Loader.mapping,
}.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _constructor)
_Loader.add_constructor(None, _Loader.refuse)  # every other tag


def read_yaml(text: str, where: str) -> Any:  # noqa: ANN401 - whatever the text says
    """Read YAML.

    Args:
        text: the YAML.
        where: what error messages call the text.

    Returns:
        Plain data.

    Raises:
        InputError: if it is not valid YAML, too long, nested too deep, or outside of the subset.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{where} is longer than {MAX_BYTES} characters, the limit for a config")
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context or ""
        raise InputError(f"{where}{line}: {_MEANINGS.get(problem, problem)}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where} is not valid YAML: {error}") from None


def write_yaml(data: Any) -> str:  # noqa: ANN401 - any plain data
    """Return plain data as YAML that :func:`read_yaml` reads back unchanged."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)

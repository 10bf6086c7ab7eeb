"""Configs: read back unchanged, and errors in one line that names the key."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from molrl.errors import InputError
from molrl.runs.config import Config, RunConfig, dump_config, load_config, parse_config
from molrl.runs.yaml_text import MAX_BYTES, read_yaml, write_yaml


class Section(Config):
    num_envs: int = Field(8, ge=1)
    rate: float = Field(1e-3, gt=0)
    span: tuple[float, float] = (0.7, 2.0)
    kind: Literal["a", "b"] = "a"


class Schema(Config):
    seed: int
    path: Path = Path("runs/x")
    name: str = "x"
    section: Section = Section()
    maybe: Section | None = None
    several: list[Section] = []  # noqa: RUF012 - pydantic copies it
    either: str | Section = "x"


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "c.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_load_config_reads_yaml_1_2(config):
    text = "name: NO\nseed: 010\nsection: {rate: 1e-3, span: [1, 2.5]}"
    read = load_config(config(text), [], Schema)
    assert (read.name, read.seed) == ("NO", 10)
    assert (read.section.rate, read.section.span) == (1e-3, (1.0, 2.5))


def test_load_config_applies_overrides_in_sections(config):
    overrides = ["seed=3", "section.rate=2e-4", "maybe.kind=b", "maybe.span=[1, 2]", "name=ON"]
    read = load_config(config("seed: 1\nsection: {num_envs: 2}"), overrides, Schema)
    assert (read.seed, read.name) == (3, "ON")
    assert (read.section.num_envs, read.section.rate) == (2, 2e-4)
    assert read.maybe == Section(kind="b", span=(1, 2))


@pytest.mark.parametrize(
    ("text", "wanted"), [("1e5", 100_000), ("1.5e5", 150_000), ("2E+3", 2000), ("-20e-1", -2)]
)
def test_load_config_reads_whole_numbers_with_an_exponent(config, text, wanted):
    assert load_config(config("name: x"), [f"seed={text}"], Schema).seed == wanted
    assert load_config(config("seed: 1"), ["section.rate=1e3"], Schema).section.rate == 1000.0


def test_load_config_blames_the_command_line_for_overrides_alone(config):
    with pytest.raises(InputError, match=r"^command line: unknown key 'section.x'"):
        load_config(config("seed: 1"), ["section={x: 1}"], Schema)
    path = config("seed: 1\nname: 5")
    with pytest.raises(InputError, match=rf"^{path}: .*name .*section.x"):
        load_config(path, ["section={x: 1}"], Schema)


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ('seed: 1\nname: "\\ud800"', [], "c.yaml: name holds '.ud800', which is no Unicode"),
        ('"\\ud800": 1', [], "c.yaml: it holds '.ud800', which is no Unicode"),
        ("seed: 1", ['several=[{kind: "\\udc00"}]'], "command line: several.0.kind holds '.udc00'"),
    ],
)
def test_load_config_names_the_key_of_half_a_surrogate_pair(config, text, overrides, said):
    with pytest.raises(InputError, match=said):
        load_config(config(text), overrides, Schema)


class Run(RunConfig):
    run_dir: Path


class RunAsText(RunConfig):
    run_dir: str


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "a\0", "\x7f", "\x85"])
def test_run_config_refuses_control_characters_in_the_folder(text):
    with pytest.raises(InputError, match=r"^test: run_dir must hold no control characters, not '"):
        parse_config({"run_dir": text}, Run, where="test")
    assert parse_config({"run_dir": "läufe α/1"}, Run, where="test").run_dir == Path("läufe α/1")


def test_run_config_takes_the_home_folder_for_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert parse_config({"run_dir": "~/a"}, Run, where="test").run_dir == tmp_path / "a"
    assert parse_config({"run_dir": "~/a"}, RunAsText, where="test").run_dir == str(tmp_path / "a")


def test_dump_config_reads_back_unchanged(config):
    first = load_config(config("seed: 1\nname: '1e5'"), ["several=[{}]", "path=a/b"], Schema)
    assert load_config(config(dump_config(first)), [], Schema) == first


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["NO", "on", "1e5", "0x1f", "1:30", "2020-01-01", "~", "null", "=", "<<"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_write_yaml_reads_back_unchanged(data):
    assert read_yaml(write_yaml({"key": data}), "test") == {"key": data}


BAD = {
    "an unknown key": ("seed: 1\nnmae: x", [], "unknown key 'nmae'; did you mean 'name'?"),
    "an unknown key of a section": (
        "seed: 1\nsection: {num_env: 3}",
        [],
        "unknown key 'section.num_env'; did you mean 'section.num_envs'?",
    ),
    "an unknown key of an optional section": (
        "seed: 1\nmaybe: {zzz: 3}",
        [],
        "unknown key 'maybe.zzz'; known are: kind, num_envs, rate, span",
    ),
    "an unknown key of an item": (
        "seed: 1\nseveral: [{num_env: 3}]",
        [],
        "unknown key 'several.0.num_env'; did you mean 'several.0.num_envs'?",
    ),
    "an unknown key by override": ("seed: 1", ["secton.rate=1"], "did you mean 'section'?"),
    "a missing key": ("name: x", [], "seed is missing"),
    "a string for a number": ("seed: one", [], "seed must be a valid integer, not 'one'"),
    "a boolean for a number": ("seed: true", [], "seed must be a valid integer, not True"),
    "a fraction for a count": ("seed: 1.5", [], "seed must be a valid integer, not 1.5"),
    "out of range": (
        "seed: 1\nsection: {num_envs: 0}",
        [],
        "section.num_envs must be greater than or equal to 1, not 0",
    ),
    "NaN": ("seed: 1", ["section.rate=.nan"], "section.rate must be a finite number, not nan"),
    "infinity": ("seed: 1", ["section.rate=.inf"], "section.rate must be a finite number"),
    "no choice": ("seed: 1", ["section.kind=c"], "section.kind must be 'a' or 'b', not 'c'"),
    "a value for a section": ("seed: 1", ["section=5"], "section must be a section of keys, not 5"),
    "neither of two": ("seed: 1", ["either=5"], "either must be a valid string, not 5"),
    "an override through a value": ("seed: 1", ["seed.x=5"], "'seed.x=5': seed is not a section"),
    "an override that the shell has split": (
        "seed: 1",
        ["section={kind:", "a,", "num_envs:", "3}", "seed=2"],
        "; quote it for the shell: 'section={kind: a, num_envs: 3}'",
    ),
    "a key of a section at the top": ("seed: 1", ["span=[1, 2]"], "did you mean 'section.span'?"),
    "a key of the top in a section": ("seed: 1", ["section.name=y"], "did you mean 'name'?"),
    "two documents": ("seed: 1\n---\nseed: 2", [], "line 2: a second document begins; write one"),
    "a tab": ("section:\n\tkind: a", [], "line 2: a tab; indent with spaces"),
    "a large number that is not whole": ("seed: 1", ["seed=1e30"], "seed must be a valid integer"),
    "no override": ("seed: 1", ["seed"], "invalid override 'seed'; write key.sub=value"),
    "a nameless override": ("seed: 1", [".x=1"], "write key.sub=value"),
    "an override that is no YAML": ("seed: 1", ["name=[1"], "override 'name=[1'"),
    "no YAML": ("seed: [1", [], "line 1: "),
    "no mapping": ("- 1", [], "holds no keys"),
    "nothing": ("", [], "holds no keys"),
    "a key twice": ("seed: 1\nseed: 2", [], "line 2: duplicate key 'seed'"),
    "a number for a key": ("1: 2", [], "a key must be a word, not 1"),
    "an alias bomb": ("a: &a [1, 1]\nb: [*a, *a]", [], "aliases are not allowed"),
    "a tag that makes an object": (
        "seed: !!python/object/apply:os.getpid []",
        [],
        "os.getpid is not allowed",
    ),
    "a tag that makes bytes": ("seed: !!binary aGk=", [], "binary is not allowed"),
    "nesting": ("[" * 30_000, [], "nested deeper than 20 levels"),
    "a long number": ("seed: " + "9" * 5000, [], "more than 40 digits"),
    "a control character": ("seed: \x00", [], "is not valid YAML"),
    "no text": (b"\xff\xfe\x00seed", [], "is not a text file"),
    "too much": ("#" * (MAX_BYTES + 1), [], "is larger than"),
}


@pytest.mark.parametrize("name", BAD)
def test_load_config_refuses_an_invalid_config_in_one_line(name, config):
    text, overrides, wanted = BAD[name]
    with pytest.raises(InputError) as refused:
        load_config(config(text), overrides, Schema)
    assert wanted in str(refused.value)
    assert "\n" not in str(refused.value)


def test_load_config_names_a_missing_file(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(InputError, match=f"{path} is not a file"):
            load_config(path, [], Schema)


def test_parse_config_reports_all_errors_up_to_a_limit():
    with pytest.raises(InputError, match=r"^it: seed .*; name .*") as refused:
        parse_config({"seed": "x", "name": 5}, Schema, "it")
    assert str(refused.value).count("must be") == 2
    with pytest.raises(InputError, match="and 96 more"):
        parse_config({"seed": 1} | {f"k{i}": i for i in range(101)}, Schema, "it")


def test_parse_config_takes_the_numbers_of_numpy_and_refuses_what_is_no_plain_data():
    section = {"num_envs": np.int64(4), "rate": np.float32(0.5), "span": np.array([1.0, 2.0])}
    parsed = parse_config({"seed": np.int32(3), "section": section}, Schema, "it")
    assert (parsed.seed, parsed.section) == (3, Section(num_envs=4, rate=0.5, span=(1.0, 2.0)))
    with pytest.raises(InputError, match=r"^it: \{1\} is no plain data; give a number, a text"):
        parse_config({"seed": {1}}, Schema, "it")


def test_parse_config_shows_the_message_of_a_validator():
    from pydantic import field_validator

    class Strict(Config):
        bag: str

        @field_validator("bag")
        @classmethod
        def refuse(cls, value: str) -> str:
            raise InputError(f"{value!r} is wrong")

    with pytest.raises(InputError, match=r"^it: bag: 'x' is wrong$"):
        parse_config({"bag": "x"}, Strict, "it")

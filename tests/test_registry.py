"""Names of parts: registered, of installed packages, refused."""

import sys

import pytest

import molrl
from molrl.errors import InputError
from molrl.parts import ENERGY_MODELS, GENERATORS
from molrl.registry import Registry


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """``packages(name, entry points)`` installs a package of the group molrl.test."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, points):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "\n".join(f"{key} = {value}" for key, value in points.items())
        (folder / "entry_points.txt").write_text(f"[molrl.test]\n{lines}\n")

    return install


def test_register_adds_a_name_once_unless_it_replaces(monkeypatch):
    monkeypatch.setattr(ENERGY_MODELS, "_entries", dict(ENERGY_MODELS._entries))  # forgotten again
    molrl.register("energy", "of_a-test", "package.module:Class")
    assert "of_a-test" in ENERGY_MODELS
    assert ENERGY_MODELS.source("of_a-test") == "registered"
    with pytest.raises(InputError, match="'of_a-test' already exists; pass replace=True"):
        molrl.register("energy", "of_a-test", int)
    molrl.register("energy", "of_a-test", int, replace=True)
    assert ENERGY_MODELS.load("of_a-test") is int


@pytest.mark.parametrize(
    ("kind", "name", "target", "message"),
    [
        ("agent", "x", int, "'agent' is no kind of part; known are: algorithm, energy, generator"),
        ("energi", "x", int, "did you mean 'energy'"),
        ("energy", "a:b", int, "energy model: a name is letters, digits, - and _, not 'a:b'"),
        ("energy", "mace", int, "the energy model 'mace' already exists"),
        ("generator", "x", 3, "a class, a function or an import string is registered, not 3"),
        ("generator", "x", "no colon", "'no colon' is no import string; write package.module:Cl"),
    ],
)
def test_register_refuses_in_one_line(kind, name, target, message):
    with pytest.raises(InputError, match=message):
        molrl.register(kind, name, target)
    assert "x" not in GENERATORS


def test_registry_of_parts_tells_how_others_are_registered():
    with pytest.raises(InputError, match=r"known are: .*; plugins=\[MODULE\] or MOLRL_PLUGINS="):
        GENERATORS.check("xyz")
    with pytest.raises(InputError, match=r"unknown number 'xyz'; known are: pi$"):
        Registry("number", {"pi": "math:pi"}).check("xyz")


def test_registry_reads_entry_points_when_a_name_is_missing(packages):
    packages("more-numbers", {"tau": "math:tau", "pi": "math:e", "a b": "math:e"})
    registry = Registry("number", {"pi": "math:pi"}, "molrl.test")
    assert registry.load("pi") == pytest.approx(3.14159, abs=1e-5)
    assert registry.refused == {}
    assert registry.load("tau") == pytest.approx(6.28319, abs=1e-5)
    assert list(registry) == ["pi", "tau"]
    assert registry.source("tau") == "more-numbers"
    assert registry.refused["pi"] == "of more-numbers: the name is taken by molrl"
    assert "letters, digits" in registry.refused["a b"]


def test_registry_names_an_entry_point_that_cannot_be_imported(packages):
    packages("broken", {"one": "no_such_module:x", "two": "math:no_such"})
    packages("more-numbers", {"tau": "math:tau"})
    registry = Registry("number", {}, "molrl.test")
    with pytest.raises(InputError, match="the number 'one' of broken cannot be imported: Module"):
        registry.load("one")
    with pytest.raises(InputError, match="'two' of broken cannot be imported: AttributeError"):
        registry.load("two")
    assert registry.load("tau") > 6
    assert "no_such_module" not in sys.modules

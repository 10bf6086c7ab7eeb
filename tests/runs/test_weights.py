"""Weights: two files with SHA-256 sums, refused unless they are exactly what was written."""

import json
import os
import pickle
import sys

import pytest
import torch

from molrl.errors import InputError
from molrl.runs.weights import load_weights, save_weights

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(2, dtype=torch.int64),
    "empty": torch.zeros(0, 3, dtype=torch.float64),
}
HEADER = {"kind": "test", "config": {"x": 0.1, "widths": [1, 2]}}


@pytest.fixture
def path(tmp_path):
    save_weights(tmp_path / "w.json", TENSORS, HEADER)
    return tmp_path / "w.json"


def test_weights_read_back_unchanged(path):
    tensors, header = load_weights(path, "test")
    assert {**header, **HEADER} == header
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_save_weights_writes_transposed_and_shared_tensors(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    save_weights(tmp_path / "w.json", {"t": shared.T, "s": shared[0], "r": shared}, HEADER)
    tensors, _ = load_weights(tmp_path / "w.json", "test")
    assert torch.equal(tensors["t"], shared.T)
    assert torch.equal(tensors["s"], shared[0])


def test_load_weights_accepts_header_keys_that_json_turns_into_strings(tmp_path):
    save_weights(tmp_path / "w.json", TENSORS, {"kind": "test", "table": {2: 1.0, 10: (1, 2)}})
    _, header = load_weights(tmp_path / "w.json", "test")
    assert header["table"] == {"2": 1.0, "10": [1, 2]}


def test_save_weights_is_deterministic(path, tmp_path):
    save_weights(tmp_path / "again" / "w.json", dict(reversed(TENSORS.items())), HEADER)
    for ending in (".json", ".safetensors"):
        again = (tmp_path / "again" / "w").with_suffix(ending)
        assert again.read_bytes() == path.with_suffix(ending).read_bytes()


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_load_weights_refuses_every_flipped_bit_and_truncation(path, ending):
    broken = path.with_suffix(ending)
    content = broken.read_bytes()
    for i in range(len(content)):
        flipped = bytearray(content)
        flipped[i] ^= 1 << (i % 8)
        for corrupted in (bytes(flipped), content[:i]):
            broken.write_bytes(corrupted)
            if ending == ".json" and _same_json(corrupted, content):
                continue  # a difference in white space
            with pytest.raises(InputError) as refused:
                load_weights(path, "test")
            assert "w." in str(refused.value)


def _same_json(one, other):
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_load_weights_refuses_swapped_tensors(path, tmp_path):
    save_weights(tmp_path / "other.json", {"a": torch.ones(2, 3)}, HEADER)
    path.with_suffix(".safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"w\.safetensors is corrupted"):
        load_weights(path, "test")


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_load_weights_refuses_a_pickle_without_executing_it(path, ending):
    path.with_suffix(ending).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        load_weights(path, "test")


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"format": 1}', "\x00"])
def test_load_weights_refuses_foreign_json(path, text):
    path.write_text(text)
    with pytest.raises(InputError, match=r"w\.json"):
        load_weights(path, "test")


def test_load_weights_refuses_other_kinds_missing_files_and_other_suffixes(path, tmp_path):
    with pytest.raises(InputError, match="of kind 'test', not 'mace'"):
        load_weights(path, "mace")
    with pytest.raises(InputError, match=r"absent\.json does not exist"):
        load_weights(tmp_path / "absent.json", "test")
    with pytest.raises(InputError, match=r"give the \.json"):
        load_weights(path.with_suffix(".safetensors"), "test")
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(InputError, match=r"w\.safetensors does not exist"):
        load_weights(path, "test")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no umask")
def test_save_weights_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save_weights(tmp_path / "w.json", TENSORS, HEADER)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o640"}

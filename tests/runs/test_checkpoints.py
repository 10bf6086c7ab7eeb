"""Checkpoints: complete or absent, and refused unless they are exactly what was written."""

import contextlib
import itertools
import os
import pickle
import random
import shutil
import sys
from pathlib import Path

import pytest
import torch

from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint, Checkpoints


def moment(step):
    tensors = {"w": torch.full((4,), float(step)), "rng": torch.get_rng_state()}
    return Checkpoint(step, tensors, {"step": step, "loss": 0.1 * step, "big": 2**80})


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=3)


def test_checkpoints_load_what_they_saved(checkpoints):
    saved = moment(7)
    checkpoints.save(saved)
    loaded = checkpoints.load(7)
    assert (loaded.step, loaded.state) == (saved.step, saved.state)
    for name, tensor in saved.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)


def test_checkpoints_keep_only_the_latest(checkpoints):
    for step in (1, 2, 3, 100, 20):
        checkpoints.save(moment(step))
    assert checkpoints.steps() == [3, 20, 100]
    assert checkpoints.load_latest(pytest.fail).step == 100


def test_load_latest_without_checkpoints_is_none(checkpoints):
    assert checkpoints.load_latest(pytest.fail) is None


def test_save_replaces_the_checkpoint_of_the_same_step(checkpoints):
    checkpoints.save(moment(5))
    checkpoints.save(Checkpoint(5, {"w": torch.zeros(1)}, {}))
    assert checkpoints.load(5).tensors["w"].tolist() == [0.0]
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-000000000005"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_save_replaces_and_deletes_what_is_no_folder(checkpoints, kind):
    checkpoints.save(moment(1))
    for step in (2, 5):
        if kind == "file":
            checkpoints.path(step).write_text("x")
        else:
            checkpoints.path(step).symlink_to("absent")
    checkpoints.keep = 2
    checkpoints.save(moment(5))  # in place of one
    checkpoints.save(moment(6))  # the others are beyond what is kept
    assert checkpoints.load_latest(pytest.fail).step == 6
    assert checkpoints.steps() == [5, 6]
    assert checkpoints.load(5).step == 5
    assert len(list(checkpoints.folder.iterdir())) == 2


def test_load_latest_skips_and_reports_a_corrupted_checkpoint(checkpoints):
    for step in (1, 2):
        checkpoints.save(moment(step))
    (checkpoints.path(2) / "state.json").write_text("{}")
    said = []
    assert checkpoints.load_latest(said.append).step == 1
    assert len(said) == 1
    assert str(checkpoints.path(2) / "state.json") in said[0]
    assert "\n" not in said[0]


def test_load_latest_refuses_if_no_checkpoint_is_valid(checkpoints):
    checkpoints.save(moment(1))
    (checkpoints.path(1) / "manifest.json").unlink()
    with pytest.raises(InputError, match="holds no valid checkpoint"):
        checkpoints.load_latest(lambda line: None)


def test_load_refuses_bit_flips_truncations_and_swaps(checkpoints):
    for step in (1, 2):
        checkpoints.save(moment(step))
    draw = random.Random(0)
    for file in sorted(checkpoints.path(2).iterdir()):
        content = file.read_bytes()
        other = (checkpoints.path(1) / file.name).read_bytes()
        flipped = []
        for _ in range(60):
            corrupted = bytearray(content)
            corrupted[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            flipped.append(bytes(corrupted))
        cut = [content[: draw.randrange(len(content))] for _ in range(30)]
        for corrupted in (*flipped, *cut, other, content + b"\0"):
            file.write_bytes(corrupted)
            with pytest.raises(InputError, match=str(checkpoints.path(2))):
                checkpoints.load(2)
        file.write_bytes(content)
    assert checkpoints.load(2).step == 2


def test_load_refuses_the_checkpoint_of_another_step(checkpoints):
    checkpoints.save(moment(1))
    shutil.copytree(checkpoints.path(1), checkpoints.path(9))
    with pytest.raises(InputError, match="is not the manifest of step 9"):
        checkpoints.load(9)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_load_refuses_a_pickle_without_executing_it(checkpoints, name):
    checkpoints.save(moment(1))
    (checkpoints.path(1) / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        checkpoints.load(1)


def test_save_that_fails_keeps_the_checkpoints_before(checkpoints):
    checkpoints.save(moment(1))
    with pytest.raises(TypeError):
        checkpoints.save(Checkpoint(2, {}, {"no": object()}))
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-000000000001"]
    assert checkpoints.load_latest(pytest.fail).step == 1


class Killed(BaseException):
    """The process was killed."""


# The operations that write a checkpoint: (owner, name).
OPERATIONS = [
    *((os, name) for name in ("mkdir", "rename", "unlink", "rmdir", "fsync")),
    (Path, "write_bytes"),
]


def kill_at(monkeypatch, moment):
    """Stop at the operation of this number: it writes only half, and the later ones nothing."""
    done = itertools.count()

    def fail_from_then_on(operation):
        def wrapped(*arguments, **options):
            number = next(done)
            if number == moment and operation is WRITE:
                WRITE(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if number >= moment:
                raise Killed
            return operation(*arguments, **options)

        return wrapped

    for owner, name in OPERATIONS:
        monkeypatch.setattr(owner, name, fail_from_then_on(getattr(owner, name)))
    return done


WRITE = Path.write_bytes


@pytest.mark.parametrize(("last", "valid"), [(3, {2, 3}), (2, {1, 2})], ids=["new", "existing"])
def test_save_killed_at_any_operation_keeps_a_valid_checkpoint_and_no_leftovers(
    checkpoints, last, valid
):
    """An existing last step is saved again only if it was corrupted."""
    checkpoints.keep = 2
    for at in itertools.count():
        for step in (1, 2):
            checkpoints.save(moment(step))
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            done = kill_at(patch, at)
            checkpoints.save(moment(last))
        if next(done) <= at:  # it was not killed
            break
        latest = checkpoints.load_latest(pytest.fail)
        assert latest.step in valid
        assert latest.tensors["w"].unique().tolist() == [float(latest.step)]
        checkpoints.save(moment(4))
        assert checkpoints.load_latest(pytest.fail).step == 4
        assert all(path.name.startswith("step-") for path in checkpoints.folder.iterdir())
        assert len(checkpoints.steps()) <= 2
        shutil.rmtree(checkpoints.folder)
    assert at > 10
    assert checkpoints.load_latest(pytest.fail).step == last


@pytest.mark.skipif(sys.platform == "win32", reason="it has no umask")
def test_save_follows_the_umask(checkpoints):
    before = os.umask(0o027)
    try:
        checkpoints.save(moment(1))
    finally:
        os.umask(before)
    paths = [checkpoints.folder, *checkpoints.folder.rglob("*")]
    modes = {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()}
    assert modes == {"0o640"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o750"}

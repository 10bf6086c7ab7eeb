"""``molrl resume`` of folders whose files were changed: one line that names the file."""

import json

import pytest

from molrl.cli.main import main
from molrl.runs.config import Config
from molrl.runs.folder import RunFolder


def test_resume_shows_a_finished_training_whose_config_is_of_another_version(tmp_path, capsys):
    folder = RunFolder.create(tmp_path / "run", Config(), "train")  # lacks every key
    folder.summary_file.write_text('{"n_molecules": 3}')
    assert main(["resume", str(folder.path)]) == 0
    assert "to go on, give total_steps=N" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "printed"),
    [
        ({"kind": "bag", "bag": "CH4O"}, "CH4O"),
        ({"kind": "forgotten", "bag": "CH4O"}, "{'kind': 'forgotten', 'bag': 'CH4O'}"),
    ],
)
def test_resume_prints_the_task_as_the_training_did(tmp_path, capsys, task, printed):
    folder = RunFolder.create(tmp_path / "run", Config(), "train")
    folder.summary_file.write_text(json.dumps({"task": task, "n_molecules": 3}))
    assert main(["resume", str(folder.path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split(maxsplit=1) == ["task", printed]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("train", '{"seconds": {"a": 1}}'),
        ("train", '{"n_molecules": 1.5}'),
        ("energy fit", "[]"),
        ("search", "{"),
    ],
)
def test_resume_refuses_a_summary_of_other_content_and_says_what_to_do(
    tmp_path, capsys, command, text
):
    folder = RunFolder.create(tmp_path / "run", Config(), command)
    with folder.lock():
        pass
    folder.summary_file.write_text(text)
    assert main(["resume", str(folder.path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"molrl: error: {folder.summary_file} is ")
    assert line.endswith(f"; delete it, and `molrl resume {folder.path}` writes it again")

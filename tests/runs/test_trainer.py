"""The loop of training, on a trainable that counts and draws random numbers."""

import signal

import pytest
import torch

from molrl.runs.checkpoints import Checkpoint, Checkpoints
from molrl.runs.config import RunConfig
from molrl.runs.failures import RunFailed
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics
from molrl.runs.ranks import Ranks
from molrl.runs.signals import Stopped
from molrl.runs.trainer import Closing, Trainable, restore_latest, train, train_saving


class Sum(Trainable):
    """Adds random numbers: three steps an update."""

    heading = "summing"

    def __init__(self, total_steps=12, evaluate_every=0):
        self.config, self.ranks = RunConfig(), Ranks()
        self.total_steps, self.checkpoint_every = total_steps, 5
        self.evaluate_every = evaluate_every
        self.total, self.done = torch.zeros(1), 0
        self.random = torch.Generator().manual_seed(0)

    @property
    def steps(self):
        return self.done

    def run(self, on_update):
        while self.done < self.total_steps:
            self.total += torch.rand(1, generator=self.random)
            self.done += 3
            on_update(self.done, {"total": float(self.total)})

    def snapshot(self):
        tensors = {"total": self.total.clone(), "random": self.random.get_state()}
        return Checkpoint(self.done, tensors, {})

    def restore(self, checkpoint):
        self.done = checkpoint.step
        self.total = checkpoint.tensors["total"]
        self.random.set_state(checkpoint.tensors["random"])

    def evaluate(self):
        return {"double": 2 * float(self.total)}

    def write_weights(self, folder):
        (folder / "sum.txt").write_text(str(float(self.total)))


class Stopping(Sum):
    """Is asked to stop, or fails, in an update."""

    def row(self, step, figures):
        if step == 6:
            signal.raise_signal(signal.SIGTERM)
        return super().row(step, figures)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def files(folder):
    names = ("metrics.csv", "evaluations.csv", "sum.txt", "summary.json")
    return {name: (folder.path / name).read_text() for name in names}


def test_train_writes_the_files_of_a_run(folder, capsys):
    closing = train(Sum(evaluate_every=6), folder)
    assert capsys.readouterr().out == "summing\n"
    rows, evaluations = (
        read_metrics(file) for file in (folder.metrics_file, folder.evaluations_file)
    )
    assert [row["steps"] for row in rows] == [3, 6, 9, 12]
    assert [row["steps"] for row in evaluations] == [6, 12]
    assert evaluations[-1]["double"] == 2 * rows[-1]["total"]
    assert folder.checkpoints.steps() == [6, 12]
    assert closing == Closing(rows[-1], rows[-1])
    assert folder.read_summary() == rows[-1]
    assert float((folder.path / "sum.txt").read_text()) == rows[-1]["total"]


def test_train_goes_on_when_the_heading_cannot_be_printed(folder, closed_pipe, monkeypatch):
    monkeypatch.setattr("sys.stdout", closed_pipe())
    assert train(Sum(), folder).table["steps"] == 12
    assert not folder.log_file.exists()


def test_train_evaluates_at_the_end_whatever_the_interval(folder):
    train(Sum(evaluate_every=100), folder)
    assert [row["steps"] for row in read_metrics(folder.evaluations_file)] == [12]


def test_train_without_evaluations_writes_none(folder):
    train(Sum(), folder)
    assert not folder.evaluations_file.exists()


def test_train_that_is_stopped_saves_and_continues_as_if_it_never_was(tmp_path):
    stopped, whole = RunFolder(tmp_path / "stopped"), RunFolder(tmp_path / "whole")
    for run in (stopped, whole):
        run.path.mkdir()
    train(Sum(evaluate_every=3), whole)
    with pytest.raises(Stopped, match=r"saved at step 6; resume with `molrl resume"):
        train(Stopping(evaluate_every=3), stopped)
    assert stopped.read_summary() is None
    (stopped.path / "metrics.csv").open("a").write("9,0.5\n")  # later than the checkpoint
    resumed = Sum(evaluate_every=3)
    restore_latest(resumed, stopped.path, print)
    assert resumed.steps == 6
    train(resumed, stopped)
    assert files(stopped) == files(whole)


@pytest.mark.parametrize("lost", [(), ("metrics.csv", "evaluations.csv")])
def test_train_tells_of_lost_rows_and_of_no_others(folder, lost, capsys):
    class Rare(Stopping):
        """Has a row after each other update."""

        row_every = 4

        def row(self, step, figures):
            row = super().row(step, figures)
            return row if step % 2 == 0 else None

    with pytest.raises(Stopped):
        train(Rare(evaluate_every=4), folder)
    for name in lost:
        (folder.path / name).unlink()
    resumed = Rare(evaluate_every=4)
    restore_latest(resumed, folder.path, print)
    capsys.readouterr()
    train(resumed, folder)
    assert capsys.readouterr().err.splitlines() == [
        f"molrl: {folder.path / name}: rows are missing after step 0 up to step 6" for name in lost
    ]


def test_train_that_begins_after_some_steps_lacks_no_rows(folder, capsys):
    class Prepared(Sum):
        """Has done two steps before the first update."""

        first_step = 2

        def __init__(self):
            super().__init__()
            self.done = 2

    train(Prepared(), folder)
    assert capsys.readouterr().err == ""
    for file in (folder.metrics_file, folder.summary_file):
        file.unlink()
    resumed = Prepared()
    restore_latest(resumed, folder.path, print)
    train(resumed, folder)
    assert "rows are missing after step 2 up to step 14" in capsys.readouterr().err


def test_train_that_fails_leaves_the_traceback(folder):
    class Failing(Sum):
        def row(self, step, figures):
            raise ValueError("no row")

    with pytest.raises(RunFailed, match=r"error\.log"):
        train(Failing(), folder)
    assert "no row" in folder.log_file.read_text()
    assert not folder.log_file.with_name("summary.json").exists()


def test_train_saving_reports_an_update_before_it_is_saved(tmp_path):
    seen = []
    train_saving(
        Sum(),
        tmp_path,
        lambda step, _: seen.append((step, Checkpoints(tmp_path / "checkpoints").steps())),
    )
    assert seen == [(3, []), (6, []), (9, [6]), (12, [6])]


def test_train_of_another_rank_writes_nothing(folder):
    class Other(Sum):
        def __init__(self):
            super().__init__(total_steps=3)
            self.ranks = Silent(1, 2)

    class Silent(Ranks):
        """A rank whose others agree."""

        def gather(self, value):
            return [value, value]

        def all_reduce_max(self, value):
            return value

    assert train(Other(), folder) is None
    assert list(folder.path.iterdir()) == []

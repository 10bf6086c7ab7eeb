"""The metrics log: complete rows, one header, and a resumed log like an uninterrupted one."""

import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from molrl.errors import InputError
from molrl.runs.metrics import MetricsLog, read_metrics


def rows(*steps):
    return [{"steps": s, "return_fraction": s / 7, "valid": None if s < 2 else 0.5} for s in steps]


def write(path, chosen, steps=0):
    log = MetricsLog(path, steps=steps)
    for row in chosen:
        log.append(row)


def test_metrics_log_rows_read_back_unchanged(tmp_path):
    write(tmp_path / "m.csv", rows(1, 2, 3))
    assert read_metrics(tmp_path / "m.csv") == rows(1, 2, 3)
    assert (tmp_path / "m.csv").read_text().startswith("steps,return_fraction,valid\n1,")


def test_metrics_log_keeps_nan_and_infinity(tmp_path):
    write(tmp_path / "m.csv", [{"steps": 1, "a": math.nan, "b": -math.inf, "c": 1e-300}])
    (row,) = read_metrics(tmp_path / "m.csv")
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (-math.inf, 1e-300)


def test_metrics_log_refuses_a_row_of_other_columns(tmp_path):
    log = MetricsLog(tmp_path / "m.csv")
    log.append({"steps": 1, "a": 1.0})
    for row in ({"steps": 2}, {"steps": 2, "b": 1.0}, {"steps": 2, "a": 1.0, "b": 1.0}):
        with pytest.raises(ValueError, match="the columns are"):
            log.append(row)
    assert len(read_metrics(tmp_path / "m.csv")) == 1


@pytest.mark.parametrize("cut", range(1, 12))
def test_metrics_log_resumed_equals_an_uninterrupted_one(tmp_path, cut, capsys):
    write(tmp_path / "whole.csv", rows(1, 2, 3, 4))
    write(tmp_path / "m.csv", rows(1, 2, 3))
    content = (tmp_path / "m.csv").read_bytes()
    (tmp_path / "m.csv").write_bytes(content[:-cut])
    assert len(read_metrics(tmp_path / "m.csv")) == 2
    write(tmp_path / "m.csv", rows(2, 3, 4), steps=1)
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert "the last row is cut off" in capsys.readouterr().err


def test_metrics_log_resumed_refuses_rows_of_other_columns_than_the_file(tmp_path):
    (tmp_path / "m.csv").write_text("steps,a\n48,1\n")
    log = MetricsLog(tmp_path / "m.csv", steps=48)
    with pytest.raises(InputError, match=r"m\.csv has the columns steps, a, and .* steps, b: .*"):
        log.append({"steps": 96, "b": 1.0})


@pytest.mark.parametrize(
    ("kept", "steps", "every", "missing"),
    [
        ((), 3, 1, "after step 0 up to step 3"),
        ((1, 2), 3, 1, "after step 2 up to step 3"),
        ((1, 2, 3), 3, 1, ""),
        ((), 0, 1, ""),
        ((), 99, 100, ""),
        ((105, 206), 299, 100, ""),
        ((105, 206), 300, 100, "after step 206 up to step 300"),
    ],
)
def test_metrics_log_resumed_tells_of_missing_rows(tmp_path, kept, steps, every, missing, capsys):
    write(tmp_path / "m.csv", rows(*kept))
    MetricsLog(tmp_path / "m.csv", steps=steps, every=every)
    line = f"molrl: {tmp_path / 'm.csv'}: rows are missing {missing}\n"
    assert capsys.readouterr().err == (line if missing else "")


@pytest.mark.parametrize("text", ["steps,a\n1\n", "steps,a\n1,x\n", "a,b\n1,2\n", "steps,a\n,2\n"])
def test_read_metrics_refuses_a_corrupted_file(tmp_path, text):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=r"m\.csv line 2 is not a row of metrics; correct it"):
        read_metrics(tmp_path / "m.csv")


def test_metrics_log_sends_the_same_values_to_tensorboard(tmp_path):
    with MetricsLog(tmp_path / "m.csv", tmp_path / "tensorboard") as log:
        for row in rows(1, 2, 3):
            log.append(row)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("return_fraction")] == [
        (s, pytest.approx(s / 7)) for s in (1, 2, 3)
    ]
    assert [e.step for e in events.Scalars("valid")] == [2, 3]

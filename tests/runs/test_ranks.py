import pytest
import torch
from torch import distributed

from molrl.runs.ranks import process_group


@pytest.mark.parametrize(
    ("gpus", "processes", "backend"),
    [
        (2, "2", "cpu:gloo,cuda:nccl"),
        (1, "2", "gloo"),
        (0, "2", "gloo"),
        (1, None, "cpu:gloo,cuda:nccl"),
    ],
)
def test_process_group_uses_nccl_only_where_each_process_has_a_gpu(
    monkeypatch, gpus, processes, backend
):
    used = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: used.append(index))
    monkeypatch.setattr(distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(distributed, "init_process_group", used.append)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    with process_group() as ranks:
        assert (ranks.rank, ranks.size) == (1, 2)
    assert used == [*([1 % gpus] if gpus else []), backend]

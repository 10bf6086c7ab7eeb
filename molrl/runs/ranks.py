"""Ranks: the processes that share one training.

They are started by ``torchrun``, or by anything that sets ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``,
``MASTER_ADDR`` and ``MASTER_PORT``. ``LOCAL_WORLD_SIZE``, the number of processes of a node, tells
whether they share its GPUs. A single process is rank 0 of 1.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


class Ranks:
    """This process among those that share a training.

    Every method must be called by all ranks, in the same order.

    Args:
        rank: index of this process, from 0.
        size: number of processes.

    Attributes:
        rank: as given.
        size: as given.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, by rank; any picklable object."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # all_gather_object fills in all of them

    def all_reduce_max(self, value: int) -> int:
        """Return the largest value of all ranks."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value])
        distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
        return int(tensor)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, in one all-reduce."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace each ``grad`` by its mean over the ranks; a missing one counts as 0."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average([p.grad for p in parameters if p.grad is not None])

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by that of rank 0."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.detach(), src=0)


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Join the process group of the other ranks, if there are any, and leave it at the end.

    Yields:
        This process among the ranks.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    distributed.init_process_group(_backend())
    yield Ranks(distributed.get_rank(), size)
    distributed.destroy_process_group()  # not after an error: others might wait for this one


def _backend() -> str:
    """Return the backend: NCCL between GPUs, where each process of the node has one of its own.

    NCCL refuses two processes on one GPU. Windows has no NCCL.
    """
    own = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= torch.cuda.device_count()
    nccl = torch.cuda.is_available() and own and distributed.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if nccl else "gloo"

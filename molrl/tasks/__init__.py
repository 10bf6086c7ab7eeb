"""Tasks: what to make, for environments, generators and the command line alike."""

from molrl.parts import TASKS
from molrl.tasks.interface import FixedTask, Instance, InstanceSampler, Task
from molrl.tasks.registry import AnyTask, parse_task

__all__ = [
    "TASKS",
    "AnyTask",
    "FixedTask",
    "Instance",
    "InstanceSampler",
    "Task",
    "parse_task",
]

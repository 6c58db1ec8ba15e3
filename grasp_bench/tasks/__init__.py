"""Frozen task sets, and the demonstrations that tasks are cut from."""

from grasp_bench.tasks.task_set import TaskSet, load_tasks, write_tasks

__all__ = ["TaskSet", "load_tasks", "write_tasks"]

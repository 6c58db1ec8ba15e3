"""Prepares what a configuration asks for: checks it, loads the model and the tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from grasp_bench.core.errors import UserError
from grasp_bench.core.system import usable_cores
from grasp_bench.core.version import PROTOCOL_VERSION
from grasp_bench.models import LoadedModel, is_plugin, load_model
from grasp_bench.run.config import RunConfig
from grasp_bench.run.executors import EXECUTORS, Failure, ResourceLimits
from grasp_bench.run.executors.supervised import Processes
from grasp_bench.run.schema import identifying_columns
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial.model_check import check_model
from grasp_bench.trial.protocol import TrialProtocol

_MOST_PER_CORE = 16  # threads of all workers
# Wall time after which a trial is given up: to start with, and per unit of the budget.
_START_SECONDS, _SECONDS_PER_SECOND, _SECONDS_PER_CANDIDATE = 120.0, 20.0, 60.0


@dataclass(frozen=True)
class Prepared:
    """A configuration whose world model and tasks are there.

    Attributes:
        config: as asked for.
        loaded: the world model.
        task_sets: by horizon, cut to the tasks to run.
        settings: that all trials share, by column of the results.
        workers: processes beside each other.
    """

    config: RunConfig
    loaded: LoadedModel
    task_sets: dict[int, TaskSet]
    settings: Mapping[str, Any]
    workers: int

    def digest(self) -> str:
        """Names the settings by ten hexadecimal digits; the model counts by its weights."""
        names = identifying_columns(self.settings["model_file_sha256"] is None)
        identity = {name: self.settings[name] for name in names}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]


def prepare(config: RunConfig) -> Prepared:
    """Loads the model and the tasks of a configuration.

    Raises:
        UserError: something about it is wrong. Nothing has been computed then.
    """
    EXECUTORS.get(config.executor)
    workers = _workers(config)
    # The process that drives a cluster may be on a machine without its GPUs.
    device = config.protocol.device if config.executor == "local" else "cpu"
    if is_plugin(config.model):
        try_apart(config, device)
    loaded, task_sets = _loaded(config, device)
    any_set = next(iter(task_sets.values()))
    if not is_plugin(config.model):
        check_model(loaded, any_set, config.protocol)
    settings = run_settings(loaded, any_set, config.protocol)
    return Prepared(config, loaded, task_sets, settings, workers)


def try_apart(config: RunConfig, device: str) -> None:
    """Tries a user's model in a process of its own, which it may hang, fill or kill.

    Raises:
        UserError: it did, or it is not what it should be.
    """
    work, limits = partial(_try_model, config), replace(resource_limits(config), attempts=1)
    for found in Processes(work, 1, config.protocol.threads, limits).run([device]):
        if isinstance(found, Failure):
            raise UserError(f"world model '{config.model}' cannot be tried: {found.reason}")


def _try_model(config: RunConfig, device: str) -> None:
    loaded, task_sets = _loaded(config, device)
    check_model(loaded, next(iter(task_sets.values())), config.protocol)


def _loaded(config: RunConfig, device: str) -> tuple[LoadedModel, dict[int, TaskSet]]:
    """Loads the model and the tasks by horizon, cut to those to run."""
    loaded = load_model(config.model, device)
    for horizon in config.horizons:
        check_horizon(horizon, loaded.model.frameskip)
    return loaded, {
        horizon: load_tasks(config.tasks, horizon, config.trials) for horizon in config.horizons
    }


def run_settings(loaded: LoadedModel, task_set: TaskSet, protocol: TrialProtocol) -> dict[str, Any]:
    """Gives the columns of the results that all trials of a run share."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "environment": task_set.environment.name,
        "model": loaded.name,
        "model_sha256": loaded.sha256,
        "model_source": loaded.source,
        "model_file_sha256": loaded.file_sha256,
        "tasks": task_set.name,
        "task_set_sha256": task_set.sha256,
        **asdict(protocol),
    }


def resource_limits(config: RunConfig) -> ResourceLimits:
    """Returns what a unit may take; by default a multiple of the budget, however it is counted."""
    protocol = config.protocol
    per = _SECONDS_PER_SECOND if protocol.clock == "wall" else _SECONDS_PER_CANDIDATE
    seconds = config.trial_timeout or _START_SECONDS + per * protocol.budget
    return ResourceLimits(seconds, config.trial_memory, gpus=config.gpus, address=config.address)


def check_horizon(horizon: int, frameskip: int) -> None:
    """Raises UserError unless the horizon is a whole number of model steps."""
    if horizon < 1 or horizon % frameskip:
        raise UserError(
            f"horizon {horizon} is not a multiple of the model's frameskip {frameskip}: "
            f"--horizon counts environment steps, {frameskip} to a model step"
        )


def _workers(config: RunConfig) -> int:
    cores, protocol = usable_cores(), config.protocol
    if config.executor != "local":
        if config.workers is None:
            raise UserError(
                f"--executor {config.executor} needs --workers: how many beside another"
            )
        return config.workers
    on_cpu = protocol.device == "cpu"
    workers = config.workers or (max(1, cores // protocol.threads) if on_cpu else 1)
    if workers * protocol.threads > _MOST_PER_CORE * cores:
        raise UserError(
            f"{workers} worker(s) of {protocol.threads} thread(s) are too many for {cores} "
            f"core(s): ask for {_MOST_PER_CORE} per core at most"
        )
    if protocol.clock == "wall" and workers > 1 and workers * protocol.threads > cores:
        raise UserError(
            f"{workers} workers of {protocol.threads} thread(s) on {cores} core(s) would time "
            "planners against each other: ask for fewer --workers, or --clock iterations"
        )
    if protocol.clock == "wall" and workers > 1 and not on_cpu:
        raise UserError(
            f"{workers} workers on one {protocol.device} device would time planners against "
            "each other: use --workers 1, or --clock iterations"
        )
    return workers

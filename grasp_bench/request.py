"""What a command line asks for, as data; importing it costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grasp_bench.errors import UserError
from grasp_bench.seeds import TaskSplit
from grasp_bench.settings import ClockKind, Protocol, StopRule


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run or a sweep, as asked for; None where a default depends on the rest.

    Attributes:
        planners: hyperparameters to override, by planner.
        horizons: environment steps.
        trials: tasks per horizon, the first N of the set.
        model: name of a world model, or path of its checkpoint.
        workers: processes; by default as many as the cores and threads allow.
        out: run folder; by default one named after the settings.
        replan_every: model steps executed of a plan in closed loop; by default one.
        line_per_trial: print one line for every trial.
    """

    planners: Mapping[str, Mapping[str, str]]
    horizons: list[int]
    trials: int
    tasks: TaskSplit
    model: str
    device: str
    clock: ClockKind
    budget: float | None
    max_iterations: int | None
    stop: StopRule
    protocol: Protocol
    replan_every: int | None
    batch: int
    seed: int
    workers: int | None
    threads: int
    out: Path | None
    line_per_trial: bool


def parse_names(text: str) -> list[str]:
    """Names separated by commas, each once.

    Raises:
        UserError: there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"'{text}' names nothing: expected names separated by commas")
    return list(dict.fromkeys(names))


def parse_horizons(text: str) -> list[int]:
    """Whole numbers separated by commas.

    Raises:
        UserError: something else.
    """
    try:
        return [int(part) for part in parse_names(text)]
    except ValueError as error:
        raise UserError(
            f"--horizons {text}: expected whole numbers separated by commas, as 40,50"
        ) from error


def parse_overrides(settings: Iterable[str]) -> dict[str, str]:
    """`key=value` texts as a mapping.

    Raises:
        UserError: a text is not of that form.
    """
    overrides = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UserError(f"--set {text}: expected key=value")
        overrides[key] = value
    return overrides


def parse_planners(names: str, settings: Iterable[str]) -> dict[str, dict[str, str]]:
    """Planners separated by commas, with the `planner.key=value` that are theirs.

    Raises:
        UserError: a setting is not of that form, or names a planner that is not there.
    """
    planners: dict[str, dict[str, str]] = {name: {} for name in parse_names(names)}
    for key, value in parse_overrides(settings).items():
        name, _, parameter = key.partition(".")
        if name not in planners or not parameter:
            raise UserError(
                f"--set {key}={value}: expected planner.key=value, with one of the planners "
                f"{', '.join(planners)}"
            )
        planners[name][parameter] = value
    return planners

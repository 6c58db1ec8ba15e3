"""Holds what a run is asked for, parsed and checked once; importing it costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from grasp_bench.core.errors import UserError
from grasp_bench.run.presets import PlannerChoice, Preset, get_preset
from grasp_bench.trial.protocol import TrialProtocol

# Where hyperparameters start from: the model's tuned ones; the defaults, and a label that says
# so; or the defaults because a preset wants them.
Start = Literal["tuned", "untuned", "pinned"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run or a sweep.

    Attributes:
        planners: names, `file.py:Class` or `module:Class`, each with the hyperparameters to
            override; one may come twice.
        start: what the overrides are on top of.
        horizons: environment steps.
        trials: tasks per horizon, the first N of the set.
        tasks: name or path of a task set.
        model: name or path of a world model, `file.py:make_model` or `module:make_model`.
        protocol: how a trial is run.
        workers: processes; None for as many as the cores and threads allow.
        out: run folder; None for one named after the settings.
        shard: (i, n) runs the i-th of n parts, which share no trial.
        executor: where trials run, by its name.
        trial_timeout: wall seconds after which a trial is given up; None for a multiple of the
            budget.
        trial_memory: MiB of memory at which it is given up; None for no limit.
        gpus: that each worker of a cluster is given, or a share of one.
        address: of a cluster; None for one that is started here.
    """

    planners: Sequence[PlannerChoice]
    start: Start = "tuned"
    horizons: Sequence[int]
    trials: int
    tasks: str = "eval"
    model: str = "pusht-compact"
    protocol: TrialProtocol
    workers: int | None = None
    out: Path | None = None
    shard: tuple[int, int] = (1, 1)
    executor: str = "local"
    trial_timeout: float | None = None
    trial_memory: int | None = None
    gpus: float = 0.0
    address: str | None = None


def parse_names(text: str) -> list[str]:
    """Reads names separated by commas, each once.

    Raises:
        UserError: there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"'{text}' names nothing: expected names separated by commas")
    return list(dict.fromkeys(names))


def parse_horizons(text: str) -> list[int]:
    """Reads whole numbers separated by commas.

    Raises:
        UserError: something else.
    """
    try:
        return [int(part) for part in parse_names(text)]
    except ValueError as error:
        raise UserError(
            f"--horizons {text}: expected whole numbers separated by commas, as 40,50"
        ) from error


def parse_shard(text: str) -> tuple[int, int]:
    """Reads `i/n`, the i-th of n parts.

    Raises:
        UserError: something else.
    """
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts) <= 10**6):
        raise UserError(f"--shard {text}: expected i/n with i from 1 to n, as 2/8")
    return int(number), int(parts)


def parse_overrides(texts: Iterable[str]) -> dict[str, str]:
    """Reads `key=value` texts as a mapping.

    Raises:
        UserError: a text is not of that form.
    """
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UserError(f"--set {text}: expected key=value")
        overrides[key] = value
    return overrides


def choose_sweep(
    preset: str | None, planners: str | None, horizons: str | None, overrides: Iterable[str]
) -> Preset:
    """Decides the planners and horizons of a sweep: a preset's, or as given.

    Args:
        preset: its name.
        planners: names separated by commas, in the place of a preset.
        horizons: whole numbers separated by commas; they may replace a preset's.
        overrides: `planner.key=value`, on top of what a preset sets.

    Raises:
        UserError: neither or both of preset and planners, or a text of another form.
    """
    if (preset is None) == (planners is None):
        raise UserError("a sweep needs either --planners or --preset")
    if preset is None and horizons is None:
        raise UserError("a sweep of --planners needs --horizons")
    if preset is not None:
        chosen = get_preset(preset)
    else:
        chosen = Preset([(name, {}) for name in parse_names(planners or "")], [])
    return replace(
        chosen,
        planners=_with_overrides(chosen.planners, parse_overrides(overrides)),
        horizons=chosen.horizons if horizons is None else parse_horizons(horizons),
    )


def _with_overrides(
    planners: Sequence[PlannerChoice], overrides: Mapping[str, str]
) -> list[PlannerChoice]:
    """Gives each planner the `planner.key=value` that are its own."""
    by_planner: dict[str, dict[str, str]] = {source: {} for source, _ in planners}
    for key, value in overrides.items():
        # A file's name holds dots, a hyperparameter's does not.
        source, _, parameter = key.rpartition(".")
        if source not in by_planner or not parameter:
            raise UserError(
                f"--set {key}={value}: expected planner.key=value, with one of the planners "
                f"{', '.join(by_planner)}"
            )
        by_planner[source][parameter] = value
    return [(source, {**own, **by_planner[source]}) for source, own in planners]

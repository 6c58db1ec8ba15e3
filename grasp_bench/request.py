"""What a command line asks for, as data; importing it costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from grasp_bench.errors import UserError
from grasp_bench.presets import Configuration, Preset, get_preset
from grasp_bench.seeds import TaskSplit
from grasp_bench.settings import ClockKind, Protocol, StopRule

# Where settings start from: the model's tuned ones, or the defaults, of which the label says
# that others would have been there, or the defaults because a preset wants them.
SettingsChoice = Literal["tuned", "untuned", "pinned"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run or a sweep, as asked for; None where a default depends on the rest.

    Attributes:
        planners: names, each with the hyperparameters to override; a name may come twice.
        settings: what the overrides are on top of.
        horizons: environment steps.
        trials: tasks per horizon, the first N of the set.
        model: name of a world model, or path of its checkpoint.
        workers: processes; by default as many as the cores and threads allow.
        out: run folder; by default one named after the settings.
        replan_every: model steps executed of a plan in closed loop; by default one.
        line_per_trial: print one line for every trial.
    """

    planners: Sequence[Configuration]
    settings: SettingsChoice
    horizons: Sequence[int]
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


@dataclass(frozen=True, kw_only=True)
class TuningRequest:
    """Settings to look for.

    Attributes:
        run: planners, model, horizons, tasks, clock and budget of every trial.
        settings: to try per planner and horizon, the default included.
        write: where the best go; by default into the run folder.
    """

    run: Request
    settings: int
    write: Path | None

    @property
    def planners(self) -> list[str]:
        """Their names."""
        return [name for name, _ in self.run.planners]


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


def choose_sweep(
    preset: str | None, planners: str | None, horizons: str | None, settings: Iterable[str]
) -> Preset:
    """Planners and horizons of a sweep: a preset's, or as given.

    Args:
        preset: its name.
        planners: names separated by commas, in the place of a preset.
        horizons: whole numbers separated by commas; they may replace a preset's.
        settings: `planner.key=value`, on top of what a preset sets.

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
        configurations=with_settings(chosen.configurations, settings),
        horizons=chosen.horizons if horizons is None else parse_horizons(horizons),
    )


def with_settings(
    configurations: Sequence[Configuration], settings: Iterable[str]
) -> list[Configuration]:
    """Configurations with the `planner.key=value` that are theirs.

    Raises:
        UserError: a setting is not of that form, or names a planner that is not there.
    """
    planners: dict[str, dict[str, str]] = {name: {} for name, _ in configurations}
    for key, value in parse_overrides(settings).items():
        name, _, parameter = key.partition(".")
        if name not in planners or not parameter:
            raise UserError(
                f"--set {key}={value}: expected planner.key=value, with one of the planners "
                f"{', '.join(planners)}"
            )
        planners[name][parameter] = value
    return [(name, {**own, **planners[name]}) for name, own in configurations]

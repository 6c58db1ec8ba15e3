"""Declares the options that several commands share, each once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from grasp_bench.analysis import Format
from grasp_bench.run.config import RunConfig, Start, parse_shard
from grasp_bench.run.presets import PlannerChoice
from grasp_bench.trial.protocol import (
    DEFAULT,
    MOST,
    ClockKind,
    ProtocolKind,
    StopRule,
    TrialProtocol,
)

PLANNER_HELP = "A name of `grasp-bench planners`, file.py:Class or module:Class."
MODEL_HELP = (
    "World model: a name, a path, file.py:make_model or module:make_model. Also "
    "NAME@bfloat16 and NAME@bfloat16-samples; of compact and pose NAME@int8-samples; of dino-wm "
    "and lewm NAME@checkpointing and NAME@one-frame."
)

Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Device = Annotated[str, typer.Option(help="Torch device.")]
Clock = Annotated[ClockKind, typer.Option(help="Planner seconds, or candidates (deterministic).")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Master seed.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="cores")]
Threads = Annotated[
    int, typer.Option(min=1, max=MOST["threads"], help="Torch threads per process.")
]
Executor = Annotated[str, typer.Option(help="Where trials run: local, ray, or a plugin's.")]
Address = Annotated[
    str | None,
    typer.Option(help="Of a Ray cluster.", show_default="RAY_ADDRESS, or one that is started here"),
]
Gpus = Annotated[float, typer.Option(min=0, help="GPUs that each worker of a cluster is given.")]
TrialTimeout = Annotated[
    float | None,
    typer.Option(min=1, help="Seconds after which a trial is given up.", show_default="20 budgets"),
]
TrialMemory = Annotated[int | None, typer.Option(min=64, help="MiB at which a trial is given up.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A hyperparameter; repeatable."),
]
Form = Annotated[Format, typer.Option("--format", help="How to write it.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write it here.")]
Results = Annotated[Path, typer.Argument(help="Results file or run folder.")]
ResultsPaths = Annotated[list[Path], typer.Argument(help="Results files or run folders.")]
Trial = Annotated[
    str, typer.Argument(help="Its trial_key, or a pattern that fits one: 'grasp-*-h80-0003'.")
]
RowModel = Annotated[
    str | None, typer.Option("--model", help=MODEL_HELP, show_default="by the row's hash")
]
RowDevice = Annotated[
    str | None, typer.Option("--device", help="Torch device.", show_default="the row's")
]


@dataclass(frozen=True)
class RunOptions:
    """Holds what `run` and `sweep` may be told about their trials."""

    trials: Annotated[
        int, typer.Option(min=1, help="Tasks per horizon: the first N of the set.")
    ] = 50
    untuned: Annotated[
        bool, typer.Option("--untuned", help="The planners' defaults, not the model's tuned ones.")
    ] = False
    tasks: Annotated[
        str,
        typer.Option(help="Task set: a name of `grasp-bench tasks list`, or a file."),
    ] = "eval"
    model: Model = "pusht-compact"
    device: Device = "cpu"
    clock: Clock = "wall"
    budget: Annotated[
        float | None,
        typer.Option(help="Planner time per trial.", show_default="5 seconds or 100 candidates"),
    ] = None
    max_iterations: Annotated[
        int | None, typer.Option(min=1, help="Planner iterations per trial.")
    ] = None
    stop: Annotated[
        StopRule, typer.Option(help="End a trial at its first success, or at its budget.")
    ] = "first-success"
    protocol: Annotated[
        ProtocolKind, typer.Option(help="One plan, or replan from the simulator's state (MPC).")
    ] = "open-loop"
    replan_every: Annotated[
        int | None,
        typer.Option(min=1, help="Model steps executed of a plan, with mpc.", show_default="1"),
    ] = None
    action_limits: Annotated[
        bool, typer.Option(help="Tell planners the environment's action limits.")
    ] = True
    proprio_weight: Annotated[
        float, typer.Option(min=0, help="Weight of proprioception in the goal distance.")
    ] = 1.0
    goal_steps: Annotated[
        int, typer.Option(min=1, help="Last model steps that the goal distance is averaged over.")
    ] = 1
    batch: Annotated[int, typer.Option(min=1, help="Tasks planned together; 1 for times.")] = 1
    master_seed: Seed = 0
    workers: Workers = None
    threads: Threads = 1
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder.", show_default="results/runs/ and a digest of the settings"),
    ] = None
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="The I-th of N parts, each with an --out of its own.")
    ] = "1/1"
    executor: Executor = "local"
    address: Address = None
    gpus: Gpus = 0.0
    trial_timeout: TrialTimeout = None
    trial_memory: TrialMemory = None

    def config(
        self, planners: Sequence[PlannerChoice], horizons: Sequence[int], start: Start | None = None
    ) -> RunConfig:
        """Makes the configuration of these planners at these horizons."""
        protocol: dict[str, Any] = {
            f.name: getattr(self, f.name, f.default) for f in fields(TrialProtocol)
        }
        if self.budget is None:
            protocol["budget"] = DEFAULT
        return RunConfig(
            planners=planners,
            start=start or ("untuned" if self.untuned else "tuned"),
            horizons=horizons,
            trials=self.trials,
            tasks=self.tasks,
            model=self.model,
            protocol=TrialProtocol(**protocol),
            workers=self.workers,
            out=self.out,
            shard=parse_shard(self.shard),
            executor=self.executor,
            trial_timeout=self.trial_timeout,
            trial_memory=self.trial_memory,
            gpus=self.gpus,
            address=self.address,
        )


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the fields of `RunOptions` as options, in the place of `options`."""
    own, shared = (
        [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(target, eval_str=True).parameters.values()
            if parameter.name != "options"
        ]
        for target in (command, RunOptions)
    )

    def run(**given: Any) -> None:
        chosen = {parameter.name: given.pop(parameter.name) for parameter in shared}
        command(**given, options=RunOptions(**chosen))

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
    return run

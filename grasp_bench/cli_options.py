"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.seeds import TaskSplit
from grasp_bench.settings import ClockKind, Protocol, StopRule

Trials = Annotated[int, typer.Option(min=1, help="Tasks per horizon: the first N of the set.")]
Tasks = Annotated[TaskSplit, typer.Option(help="Task set; choose hyperparameters on `tune` only.")]
Model = Annotated[str, typer.Option(help="World model, by name or path of its checkpoint.")]
Device = Annotated[str, typer.Option(help="Torch device.")]
Clock = Annotated[ClockKind, typer.Option(help="Planner seconds, or candidates (deterministic).")]
Budget = Annotated[
    float | None,
    typer.Option(help="Planner time per trial.", show_default="5 seconds or 100 candidates"),
]
MaxIterations = Annotated[int | None, typer.Option(min=1, help="Planner iterations per trial.")]
Stop = Annotated[StopRule, typer.Option(help="End a trial at its first success, or at its budget.")]
ProtocolOption = Annotated[
    Protocol,
    typer.Option("--protocol", help="One plan, or replan from the simulator's state (MPC)."),
]
ReplanEvery = Annotated[
    int | None,
    typer.Option(min=1, help="Model steps executed of a plan, with mpc.", show_default="1"),
]
Batch = Annotated[int, typer.Option(min=1, help="Tasks planned together; 1 for times.")]
Untuned = Annotated[
    bool,
    typer.Option("--untuned", help="The planners' defaults, not the model's tuned settings."),
]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Master seed.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="cores")]
Threads = Annotated[int, typer.Option(min=1, help="Torch threads per process.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Run folder.", show_default="results/runs/ and a digest of the settings"),
]

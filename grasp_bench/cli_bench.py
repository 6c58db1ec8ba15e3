"""`grasp-bench bench`: how fast the planners are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.report import Format, console


def bench(
    model: Annotated[str, typer.Option(help="World model, by name or path.")] = "pusht-compact",
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Torch threads.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds of every measurement.")] = 15,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = "rich",
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")] = Path(
        "results/bench.parquet"
    ),
) -> None:
    """Time the planners' iterations as ratios: to the floor, to a loop over t, over T and batch."""
    import torch

    from grasp_bench.models import load_model
    from grasp_bench.report.writers import render, rich_sheets
    from grasp_bench.speed.measure import Bench
    from grasp_bench.speed.rows import machine_context, speed_frame, speed_sheets

    torch.set_num_threads(threads)
    loaded = load_model(model, device)
    measured = list(
        Bench(loaded.model, device, repeats).rows(lambda part: typer.echo(part, err=True))
    )
    context = machine_context(loaded.name, loaded.sha256, device, threads)
    frame = speed_frame(measured, repeats=repeats, **context)
    output.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(output)
    sheets = speed_sheets(frame)
    if form == "rich":
        console().print(rich_sheets(sheets))
    else:
        typer.echo(render(sheets, form), nl=False)
    typer.echo(output, err=True)

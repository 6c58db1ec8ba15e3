"""Declares the commands that train world models and action priors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grasp_bench.cli.bars import progress_bars
from grasp_bench.cli.options import Device, Threads

if TYPE_CHECKING:
    from rich.progress import TaskID

TrainingData = Annotated[Path, typer.Option("--data", help="Training demonstrations.")]
HeldOutData = Annotated[
    Path, typer.Option("--held-out", help="Demonstrations for the card's report.")
]


def train(
    recipe: Annotated[
        str,
        typer.Option(help="compact, dino-wm-small, pose; smoke, dino-wm-smoke, pose-smoke."),
    ] = "compact",
    data: TrainingData = Path("data/train"),
    held_out: HeldOutData = Path("data/held-out"),
    run: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the run's state.", show_default="runs/RECIPE"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to write.", show_default="checkpoints/pusht-RECIPE.safetensors"
        ),
    ] = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Train a world model; the same command again resumes a stopped run."""
    import torch

    from grasp_bench.training.catalogue import get_recipe
    from grasp_bench.training.pipeline import train_world_model

    torch.set_num_threads(threads)
    chosen = get_recipe(recipe)
    run = run or Path("runs") / recipe
    out = out or Path("checkpoints") / f"pusht-{recipe}.safetensors"
    with _stages() as report:
        card = train_world_model(
            chosen, data, held_out, run, out, _command(), device=device, report=report
        )
    print(f"{out} sha256 {card['sha256']}")
    for name, errors in card["held_out"]["probes"].items():
        figures = ", ".join(f"{key} {value}" for key, value in errors.items())
        print(f"{name} probe: {figures}")


def train_prior(
    model: Annotated[str, typer.Option(help="Checkpoint, by name or path.")],
    run: Annotated[Path, typer.Option(help="Folder that keeps the run's state.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="priors/ beside the checkpoint"),
    ] = None,
    data: TrainingData = Path("data/train"),
    held_out: HeldOutData = Path("data/held-out"),
    episodes: Annotated[int, typer.Option(min=1, help="Training episodes.")] = 24_000,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 6_000,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Train a model's action prior, which grasp-plus proposes plans from; resumable."""
    import torch

    from grasp_bench.training.action_prior import PriorRecipe
    from grasp_bench.training.action_prior import train_prior as train_action_prior

    torch.set_num_threads(threads)
    schedule = replace(PriorRecipe().schedule, steps=steps)
    recipe = PriorRecipe(episodes=episodes, schedule=schedule)
    with _stages() as report:
        path, card = train_action_prior(
            model, recipe, data, held_out, run, _command(), out=out, device=device, report=report
        )
    nats = ", ".join(f"{name} {value}" for name, value in card["held_out"].items())
    print(f"{path} sha256 {card['sha256']}\nheld-out nats per action: {nats}")


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """Shows a progress bar per stage of training; prints lines where there is no terminal."""
    with progress_bars() as progress:
        bars: dict[str, TaskID] = {}

        def report(stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
            note = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=steps, note=note)
            progress.update(bars[stage], completed=step, note=note)
            if not progress.console.is_terminal:
                print(f"{stage} {step}/{steps} {note}")

        yield report


def _command() -> str:
    return "grasp-bench " + " ".join(sys.argv[1:])

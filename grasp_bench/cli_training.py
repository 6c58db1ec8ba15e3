"""The commands that make things: demonstrations, task sets, world models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

data_app = typer.Typer(no_args_is_help=True, help="Demonstrations to train on.")
tasks_app = typer.Typer(no_args_is_help=True, help="The frozen task sets.")


def _progress() -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """A progress bar per stage of training; lines where there is no terminal."""
    with _progress() as progress:
        bars: dict[str, TaskID] = {}

        def report(stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
            note = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=steps, note=note)
            progress.update(bars[stage], completed=step, note=note)
            if not progress.console.is_terminal:
                typer.echo(f"{stage} {step}/{steps} {note}")

        yield report


def _command() -> str:
    return "grasp-bench " + " ".join(sys.argv[1:])


def _echo_card(out: Path, card: dict[str, Any]) -> None:
    typer.echo(f"{out} sha256 {card['sha256']}")
    for name, errors in card["held_out"]["probes"].items():
        figures = ", ".join(f"{key} {value}" for key, value in errors.items())
        typer.echo(f"{name} probe: {figures}")


@data_app.command()
def collect(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the dataset.", show_default="data/ and the split"),
    ] = None,
    split: Annotated[
        Literal["train", "held-out"], typer.Option(help="Which random streams to use.")
    ] = "train",
    episodes: Annotated[int, typer.Option(min=1, help="In whole shards of 500.")] = 24_000,
    steps: Annotated[int, typer.Option(min=20, help="Environment steps an episode.")] = 100,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Collect demonstrations; shards that are already there are kept."""
    from grasp_bench.training.data import SHARD_EPISODES
    from grasp_bench.training.data import collect as collect_demonstrations

    folder = out or Path("data") / split
    total = -(-episodes // SHARD_EPISODES) * SHARD_EPISODES
    with _progress() as progress:
        bar = progress.add_task(f"{split} episodes", total=total, note="")
        collect_demonstrations(
            folder, split, episodes, steps, workers, lambda done: progress.advance(bar, done)
        )
    typer.echo(f"{total} episodes of {steps} steps in {folder}")


@tasks_app.command()
def make(
    split: Annotated[Literal["eval", "tune"], typer.Argument(help="Which task set.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
) -> None:
    """Make a frozen task set anew; with the pinned packages its bytes are the shipped ones."""
    from grasp_bench.tasks import HORIZONS, TASK_SHA256, TASKS_PER_HORIZON, make_tasks

    out.parent.mkdir(parents=True, exist_ok=True)
    out.touch()
    with _progress() as progress:
        bar = progress.add_task("tasks", total=TASKS_PER_HORIZON[split] * len(HORIZONS), note="")
        digest = make_tasks(split, out, lambda done: progress.advance(bar, done))
    same = "as shipped" if digest == TASK_SHA256[split] else f"shipped: {TASK_SHA256[split]}"
    typer.echo(f"{out} sha256 {digest} ({same})")


def train(
    recipe: Annotated[
        str,
        typer.Option(
            help="compact, equivariant, patch, pose, jepa, jepa-straight; "
            "smoke, patch-smoke, jepa-smoke."
        ),
    ] = "compact",
    data: Annotated[Path, typer.Option(help="Training demonstrations.")] = Path("data/train"),
    held_out: Annotated[Path, typer.Option(help="Demonstrations for the card's report.")] = Path(
        "data/held-out"
    ),
    run: Annotated[Path, typer.Option(help="Folder that keeps the run's state.")] = Path(
        "runs/compact"
    ),
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")] = Path(
        "checkpoints/pusht-compact.safetensors"
    ),
    dinov2: Annotated[
        str | None,
        typer.Option(help="DINOv2 weights for the patch recipe: a name on the hub, or a folder."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train a world model; the same command again resumes a stopped run."""
    import torch

    from grasp_bench.training.pipeline import train_world_model
    from grasp_bench.training.recipe import get_recipe, with_dinov2

    torch.set_num_threads(threads)
    chosen = get_recipe(recipe)
    if dinov2 is not None:
        chosen = with_dinov2(chosen, dinov2)
    with _stages() as report:
        card = train_world_model(
            chosen,
            data,
            held_out,
            run,
            out,
            _command(),
            device,
            report,
        )
    _echo_card(out, card)


def finetune(
    model: Annotated[str, typer.Option(help="Checkpoint to start from, by name or path.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    run: Annotated[Path, typer.Option(help="Folder that keeps the run's state.")],
    recipe: Annotated[str, typer.Option(help="online, online-try or online-smoke.")] = "online",
    data: Annotated[Path, typer.Option(help="Training demonstrations.")] = Path("data/train"),
    held_out: Annotated[Path, typer.Option(help="Demonstrations for gap and report.")] = Path(
        "data/held-out"
    ),
    rounds: Annotated[int | None, typer.Option(min=1, help="Of planning and training.")] = None,
    tasks: Annotated[
        int | None, typer.Option(min=1, help="Of each round, planner and horizon.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps a round.")] = None,
    unroll: Annotated[int | None, typer.Option(min=1, help="Model steps of the loss.")] = None,
    input_noise: Annotated[
        float | None, typer.Option(min=0, help="On the first latent, latent units.")
    ] = None,
    attack: Annotated[
        float | None, typer.Option(min=0, help="Radius of adversarial training; 0 for none.")
    ] = None,
    ensemble: Annotated[
        int | None, typer.Option(min=1, help="Predictors, trained apart; their mean answers.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of tasks, plans and samples.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train a model's predictor on plans made with it and executed, in rounds; resumable."""
    import torch

    from grasp_bench.training.online import finetune as finetune_model
    from grasp_bench.training.online_recipe import get_online_recipe

    torch.set_num_threads(threads)
    chosen = get_online_recipe(recipe).changed(
        rounds=rounds,
        tasks=tasks,
        steps=steps,
        unroll=unroll,
        input_noise=input_noise,
        attack=attack,
        ensemble=ensemble,
        seed=seed,
    )
    with _stages() as report:
        card = finetune_model(model, chosen, data, held_out, run, out, _command(), device, report)
    _echo_card(out, card)


def train_prior(
    model: Annotated[str, typer.Option(help="Checkpoint, by name or path.")],
    run: Annotated[Path, typer.Option(help="Folder that keeps the run's state.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="priors/ beside the checkpoint"),
    ] = None,
    data: Annotated[Path, typer.Option(help="Training demonstrations.")] = Path("data/train"),
    held_out: Annotated[Path, typer.Option(help="Demonstrations for the card's report.")] = Path(
        "data/held-out"
    ),
    episodes: Annotated[int | None, typer.Option(min=1, help="Training episodes.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train a model's action prior, which grasp-plus proposes plans from; resumable."""
    import torch

    from grasp_bench.training.prior import PriorRecipe
    from grasp_bench.training.prior import train_prior as train_action_prior

    torch.set_num_threads(threads)
    recipe = PriorRecipe().changed(episodes=episodes, steps=steps)
    with _stages() as report:
        path, card = train_action_prior(
            model, recipe, data, held_out, run, _command(), out, device, report
        )
    nats = ", ".join(f"{name} {value}" for name, value in card["held_out"].items())
    typer.echo(f"{path} sha256 {card['sha256']}\nheld-out nats per action: {nats}")

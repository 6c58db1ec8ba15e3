"""Declares the commands that list world models and measure what one knows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from grasp_bench.cli import printing
from grasp_bench.cli.options import MODEL_HELP, Device, Form, Output, Threads
from grasp_bench.core.errors import UserError, one_line
from grasp_bench.core.registry import did_you_mean
from grasp_bench.diagnostics import SECTIONS, Section
from grasp_bench.run.config import parse_names

Foreign = Literal["dino-wm", "lewm"]

models_app = typer.Typer(
    name="models", help="List world models, import others' and measure what one knows."
)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the world models; `eval` measures what one knows."""
    if context.invoked_subcommand is not None:
        return
    from grasp_bench.models import list_models

    found = [(one, one.problem()) for one in list_models()]
    printing.show_list(
        ["model", "kind", "where"],
        [
            (one.name, one.kind, str(one.path or "an installed package"))
            for one, problem in found
            if problem is None
        ],
    )
    for one, problem in found:
        if problem is not None:
            print(f"grasp-bench: {one_line(f'{one.name}: {problem}')}", file=sys.stderr)


@models_app.command("import")
def import_model(
    kind: Annotated[Foreign, typer.Argument(help="Whose checkpoint it is.")],
    path: Annotated[Path, typer.Argument(help="The checkpoint: a folder or a file.")],
    backbone: Annotated[
        str, typer.Option(help="DINO-WM's encoder: a name on the hub, or a folder.")
    ] = "facebook/dinov2-small",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="checkpoints/KIND.safetensors"),
    ] = None,
) -> None:
    """Convert another project's checkpoint; nothing in it is executed."""
    from grasp_bench.models.importing.conversion import import_checkpoint

    out = out or Path("checkpoints") / f"{kind}.safetensors"
    command = f"grasp-bench models import {kind} {path}"
    card = import_checkpoint(kind, path, out, command, backbone)
    print(f"{out} sha256 {card['sha256']}")
    if card["left_out"]:
        print(f"left out: {', '.join(card['left_out'])}")


@models_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Published checkpoint: lewm-pusht.")],
    revision: Annotated[
        str | None,
        typer.Option(help="Commit or branch on the hub.", show_default="the pinned or newest"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="checkpoints/NAME.safetensors"),
    ] = None,
) -> None:
    """Download a published checkpoint from the Hugging Face hub and convert it."""
    from grasp_bench.models.importing.published import fetch_model

    out = out or Path("checkpoints") / f"{name}.safetensors"
    card = fetch_model(name, out, f"grasp-bench models fetch {name}", revision)
    print(f"{out} sha256 {card['sha256']}")


@models_app.command("eval")
def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    data: Annotated[Path, typer.Option(help="Training demonstrations, to fit probes on.")] = Path(
        "data/train"
    ),
    held_out: Annotated[Path, typer.Option(help="Demonstrations to measure on.")] = Path(
        "data/held-out"
    ),
    sections: Annotated[str, typer.Option(help="What to measure, separated by commas.")] = ",".join(
        SECTIONS
    ),
    horizon: Annotated[
        int, typer.Option(min=1, max=10_000, help="Environment steps of a task.")
    ] = 80,
    tasks: Annotated[
        int, typer.Option(min=1, max=10_000, help="Held-out tasks to rank plans on.")
    ] = 50,
    brittleness_tasks: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, help="The first of them, to look for adversarial states on."
        ),
    ] = 32,
    alternatives: Annotated[
        int, typer.Option(min=20, max=100_000, help="Plans to rank among, a task.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of every draw.")] = 0,
    device: Device = "cpu",
    threads: Threads = 1,
    form: Form = "rich",
    output: Output = None,
    figures: Annotated[Path | None, typer.Option(help="Folder to draw figures into.")] = None,
    update_card: Annotated[
        bool, typer.Option("--update-card", help="Put it into the checkpoint's card.")
    ] = False,
    keep_probe: Annotated[
        bool,
        typer.Option(
            "--store-probe",
            help="Keep the best probe beside the checkpoint, for the criterion in_model.",
        ),
    ] = False,
) -> None:
    """Measure what a world model knows, on held-out demonstrations and without a planner."""
    chosen = _sections(sections)
    if keep_probe and "probes" not in chosen:
        raise UserError("--store-probe needs the section probes")

    import torch
    from rich.console import Console

    from grasp_bench.diagnostics.model_report import evaluate_model, store_probe
    from grasp_bench.diagnostics.report_settings import EvaluationSettings
    from grasp_bench.diagnostics.report_sheets import render_report, report_sheets
    from grasp_bench.models import load_model
    from grasp_bench.models.checkpoint import find_checkpoint
    from grasp_bench.models.checkpoint import update_card as update_card_of
    from grasp_bench.tasks.demonstrations import load_demonstrations

    torch.set_num_threads(threads)
    loaded = load_model(model, device)
    if update_card or keep_probe:
        find_checkpoint(model)  # refuses a plugin, which has no card, before the work
    unseen = load_demonstrations(held_out, "held-out")
    train = load_demonstrations(data, "train")
    settings = EvaluationSettings(
        horizon=horizon, tasks=tasks, brittleness_tasks=brittleness_tasks,
        alternatives=alternatives, seed=seed,
    )  # fmt: skip
    with Console(stderr=True).status("cutting tasks") as status:
        evaluation = evaluate_model(loaded.model, train, unseen, settings, chosen, status.update)
    if update_card:
        print(update_card_of(model, loaded.sha256, evaluation.report), file=sys.stderr)
    if keep_probe:
        print(store_probe(evaluation, find_checkpoint(model), loaded.sha256), file=sys.stderr)
    if figures is not None:
        from grasp_bench.diagnostics.model_figures import write_figures

        for file in write_figures(loaded.model, evaluation, unseen, figures):
            print(file, file=sys.stderr)
    if form == "json":
        printing.emit(render_report(evaluation.report, form), output)
    else:
        printing.show(report_sheets(evaluation.report), form, output)


def _sections(text: str) -> list[Section]:
    names = parse_names(text)
    for name in names:
        if name not in SECTIONS:
            raise UserError(f"--sections: unknown section '{name}': {did_you_mean(name, SECTIONS)}")
    return [section for section in SECTIONS if section in names]

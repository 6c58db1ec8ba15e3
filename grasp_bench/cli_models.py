"""The commands about world models: what there is, and what one knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.errors import UserError
from grasp_bench.evaluation import SECTIONS, Section
from grasp_bench.report import Format, console

models_app = typer.Typer(help="The world models there are, and what one knows.")


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """The world models there are; `eval` reports what one knows."""
    if context.invoked_subcommand is not None:
        return
    from rich.markup import escape
    from rich.table import Table

    from grasp_bench.models import list_models

    listing = Table("model", "kind", "where")
    for summary in list_models():
        where = str(summary.path or "an installed package")
        listing.add_row(escape(summary.name), escape(summary.kind), escape(where))
    console().print(listing)


@models_app.command("eval")
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="World model, by name or path.")],
    data: Annotated[Path, typer.Option(help="Training demonstrations, to fit probes on.")] = Path(
        "data/train"
    ),
    held_out: Annotated[Path, typer.Option(help="Demonstrations to measure on.")] = Path(
        "data/held-out"
    ),
    sections: Annotated[str, typer.Option(help="What to measure, separated by commas.")] = ",".join(
        SECTIONS
    ),
    horizon: Annotated[int, typer.Option(min=1, help="Environment steps of a task.")] = 80,
    tasks: Annotated[int, typer.Option(min=1, help="Held-out tasks to rank plans on.")] = 50,
    brittleness_tasks: Annotated[
        int, typer.Option(min=1, help="The first of them, to look for adversarial states on.")
    ] = 32,
    alternatives: Annotated[int, typer.Option(min=20, help="Plans to rank among, a task.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of every draw.")] = 0,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = "rich",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it here.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder to draw figures into.")] = None,
    update_card: Annotated[
        bool, typer.Option("--update-card", help="Put it into the checkpoint's card.")
    ] = False,
) -> None:
    """What a world model knows, on held-out demonstrations with no planner involved."""
    chosen = _sections(sections)

    import torch
    from rich.console import Console

    from grasp_bench.evaluation.report import evaluate_model
    from grasp_bench.evaluation.settings import EvaluationSettings
    from grasp_bench.evaluation.sheets import render_report, report_sheets
    from grasp_bench.models import load_model
    from grasp_bench.models.checkpoint import find_checkpoint
    from grasp_bench.models.checkpoint import update_card as update_card_of
    from grasp_bench.report.writers import rich_sheets
    from grasp_bench.training.data import load_demonstrations

    torch.set_num_threads(threads)
    loaded = load_model(checkpoint, device)
    if update_card:
        find_checkpoint(checkpoint)  # a plugin has no card: better said before than after
    unseen = load_demonstrations(held_out, "held-out")
    train = load_demonstrations(data, "train")
    status = Console(stderr=True).status("cutting tasks")
    with status:
        evaluation = evaluate_model(
            loaded.model,
            train,
            unseen,
            EvaluationSettings(
                horizon=horizon,
                tasks=tasks,
                brittleness_tasks=brittleness_tasks,
                alternatives=alternatives,
                seed=seed,
            ),
            chosen,
            status.update,
        )
    if update_card:
        typer.echo(update_card_of(checkpoint, loaded.sha256, evaluation.report), err=True)
    if figures is not None:
        from grasp_bench.evaluation.figures import write_figures

        for file in write_figures(loaded.model, evaluation, unseen, figures):
            typer.echo(file, err=True)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(render_report(evaluation.report, form), encoding="utf-8")
        typer.echo(output)
    elif form == "rich":
        console().print(rich_sheets(report_sheets(evaluation.report)))
    else:
        typer.echo(render_report(evaluation.report, form), nl=False)


def _sections(text: str) -> list[Section]:
    from grasp_bench.registry import did_you_mean

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in SECTIONS:
            raise UserError(f"--sections: unknown section '{name}': {did_you_mean(name, SECTIONS)}")
    if not names:
        raise UserError(f"--sections names nothing: there are {', '.join(SECTIONS)}")
    return [section for section in SECTIONS if section in names]

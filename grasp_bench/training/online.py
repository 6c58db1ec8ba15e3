"""Online fine-tuning: plan with the model, execute, train on what happened, a few rounds.

A model trained on demonstrations is wrong where planners go ("Closing the Train-Test Gap in
World Models for Gradient-Based Planning", arXiv 2512.09929). Encoder and normalisation stay
as they are; the predictor learns. Every shard of plans, every latent and every training step
is kept in the run's folder; the same command again goes on where the last one stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from grasp_bench.errors import UserError
from grasp_bench.evaluation.report import model_report
from grasp_bench.machine import describe_machine
from grasp_bench.models.checkpoint import LoadedModel, load_model, save_checkpoint
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.results import write_atomically
from grasp_bench.training.data import load_demonstrations, read_shard, write_shard
from grasp_bench.training.dynamics import LatentEpisodes, encode_phases
from grasp_bench.training.loop import Trained
from grasp_bench.training.online_checks import exploitation_gap, open_loop_distance
from grasp_bench.training.online_plans import demonstration_tasks, executed_plans
from grasp_bench.training.online_predictor import OnlineRun, as_ensemble, train_predictor
from grasp_bench.training.online_recipe import OnlineRecipe
from grasp_bench.training.pipeline import agree
from grasp_bench.training.stages import Report, silent

_GAP_ROUND = 0  # names the random stream of the gap's tasks; rounds count from one


def finetune(
    model_name: str,
    recipe: OnlineRecipe,
    data_folder: Path,
    held_out_folder: Path,
    folder: Path,
    output: Path,
    command: str,
    device: str = "cpu",
    report: Report = silent,
) -> dict[str, Any]:
    """Fine-tune a world model's predictor on executed plans; writes a checkpoint; resumable.

    Args:
        model_name: the parent, by checkpoint name or path.
        recipe: what to do.
        data_folder: training demonstrations; tasks are cut from them.
        held_out_folder: demonstrations for the exploitation gap and the card's report.
        folder: where the run keeps its state.
        output: the checkpoint to write, `.safetensors`.
        command: how the user started the run, for the card.
        device: "cpu" or "cuda".
        report: called as stages proceed.

    Returns:
        The checkpoint's card.

    Raises:
        UserError: missing data, a model without a trainable predictor, or `folder` holds
            another run.
    """
    if output.suffix != ".safetensors":
        raise UserError(f"--out {output}: a checkpoint's name ends in .safetensors")
    parent = load_model(model_name, device)
    model = parent.model
    if not isinstance(model, LatentWorldModel):
        raise UserError(f"'{model_name}' comes from an installed package: it cannot be trained")
    model = as_ensemble(model, recipe.ensemble)
    data = load_demonstrations(data_folder, "train", recipe.episodes)
    held_out = load_demonstrations(held_out_folder, "held-out")
    _check_unroll(recipe, model.frameskip)
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {"train": data.fingerprint(), "held-out": held_out.fingerprint()}
    # A finished run may be taken further: the same command with more rounds.
    settings = {k: v for k, v in recipe.to_json().items() if k != "rounds"}
    agree(folder / "run.json", {"recipe": settings, "parent": parent.sha256, "data": hashes})

    run = OnlineRun(
        data=data,
        folder=folder,
        device=model.visual_mean.device,
        report=report,
        model=model,
        recipe=recipe,
        held_out=held_out,
    )
    begin = time.monotonic()
    checks = [_checks(run, folder)]
    demonstrations = run.encode(model, recipe.seed)
    plans: list[LatentEpisodes] = []
    stages: dict[str, Trained] = {}
    for number in range(1, recipe.rounds + 1):
        home = folder / f"round-{number}"
        home.mkdir(exist_ok=True)
        plans += _plan(run, number, home)
        stages |= train_predictor(run, number, demonstrations, plans)
        checks.append(_checks(run, home))
    report("evaluation", 0, 1, {})
    evaluation = model_report(model, data, held_out)
    report("evaluation", 1, 1, {})
    card = _card(parent, run, stages, checks, hashes) | {
        "command": command,
        "held_out": evaluation,
        "last_session_seconds": round(time.monotonic() - begin),
        "environment": asdict(describe_machine(device)),
    }
    return save_checkpoint(model, output, card)


def _check_unroll(recipe: OnlineRecipe, frameskip: int) -> None:
    # Cut at every phase, a plan of H steps has H / frameskip frames, one transition less.
    longest = min(recipe.horizons) // frameskip - 1
    if recipe.rollout.unroll > longest:
        raise UserError(
            f"plans of {min(recipe.horizons)} steps can be unrolled {longest} model steps, "
            f"not {recipe.rollout.unroll}: choose a shorter unroll or longer horizons"
        )


def _plan(run: OnlineRun, number: int, home: Path) -> list[LatentEpisodes]:
    """The encoded plans of a round, one set a horizon and planner."""
    recipe = run.recipe
    cells = [(source, horizon) for horizon in recipe.horizons for source in recipe.sources]
    encoded = []
    for index, (source, horizon) in enumerate(cells):
        shard = home / f"shard-{index:05d}.npz"
        if not shard.exists():
            generator = np.random.default_rng((recipe.seed, number, index))
            prefix = f"train-{number}-{source.planner}-h{horizon}"
            tasks = demonstration_tasks(run.data, horizon, recipe.tasks, generator, prefix)
            episodes = executed_plans(run.model, source, tasks, recipe.seed)
            write_shard(shard, episodes.states, episodes.actions)
        episodes = read_shard(shard)
        encoded.append(encode_phases(run.model, episodes, home / f"latents-{index:05d}.npz"))
        run.report(f"plans {number}", index + 1, len(cells), {})
    return encoded


def _checks(run: OnlineRun, home: Path) -> dict[str, Any]:
    """Gaps and open-loop errors of the model as it is, measured once and kept in `home`."""
    return {
        "exploitation_gap": _kept(home / "gaps.json", lambda: _gaps(run)),
        "open_loop": _kept(
            home / "open-loop.json", lambda: open_loop_distance(run.model, run.held_out)
        ),
    }


def _kept(path: Path, measure: Callable[[], Any]) -> Any:
    if not path.exists():
        write_atomically(path, json.dumps(measure(), indent=1).encode())
    return json.loads(path.read_text())


def _gaps(run: OnlineRun) -> list[dict[str, Any]]:
    """The exploitation gap of every planner at every horizon, on the same held-out tasks."""
    recipe, found = run.recipe, []
    for horizon in recipe.gap_horizons:
        generator = np.random.default_rng((recipe.seed, _GAP_ROUND, horizon))
        count, prefix = recipe.gap_tasks, f"held-out-h{horizon}"
        tasks = demonstration_tasks(run.held_out, horizon, count, generator, prefix)
        for source in recipe.sources:
            gap = exploitation_gap(run.model, source, tasks, recipe.seed)
            found.append(asdict(gap))
            costs = {"predicted": gap.predicted, "realised": gap.realised}
            run.report(f"gap of {source.planner} at H={horizon}", 1, 1, costs)
    return found


def _card(
    parent: LoadedModel,
    run: OnlineRun,
    stages: dict[str, Trained],
    checks: list[dict[str, Any]],
    hashes: dict[str, str],
) -> dict[str, Any]:
    """What the parent's card says, and what fine-tuning adds and replaces."""
    card = parent.card
    history = {
        key: card[key]
        for key in ("command", "recipe", "training_seconds", "curves", "parent")
        if key in card
    }
    return {
        "supervision": card.get("supervision"),
        "parent": {"name": parent.name, "sha256": parent.sha256} | history,
        "recipe": run.recipe.to_json(),
        "data": {
            "episodes": len(run.data.states),
            "steps": run.data.actions.shape[1],
            "split": "train",
            "sha256": hashes["train"],
            "held_out_sha256": hashes["held-out"],
        },
        "normalisation": card.get("normalisation"),
        "training_seconds": {name: round(done.seconds) for name, done in stages.items()},
        "rounds": {str(number): found for number, found in enumerate(checks)},
        "curves": {name: done.curve for name, done in stages.items()},
    }

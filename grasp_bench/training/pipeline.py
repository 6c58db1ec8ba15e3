"""A whole training run: its stages, a report on held-out data, the checkpoint with its card.

Every stage keeps its state in the run's folder, so that the same command resumes a stopped run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grasp_bench.core.errors import UserError
from grasp_bench.diagnostics.model_report import evaluate_model, store_probe
from grasp_bench.diagnostics.report_settings import QUICK_PROBES, EvaluationSettings
from grasp_bench.models.checkpoint import save_checkpoint
from grasp_bench.tasks.demonstrations import load_demonstrations
from grasp_bench.training.training_run import Recipe, Report, TrainingRun, silent


def train_world_model(
    recipe: Recipe,
    data_folder: Path,
    held_out_folder: Path,
    folder: Path,
    output: Path,
    command: str,
    device: str = "cpu",
    report: Report = silent,
) -> dict[str, Any]:
    """Trains a world model and writes its checkpoint and probe; resumes a stopped run.

    Args:
        recipe: what to train.
        data_folder: training demonstrations, from `collect`.
        held_out_folder: demonstrations for the report in the card.
        folder: where the run keeps its state.
        output: the checkpoint to write, `.safetensors`.
        command: how the user started the run, for the card.
        device: "cpu" or "cuda".
        report: called as stages proceed.

    Returns:
        The checkpoint's card.

    Raises:
        UserError: data is missing, there is no such device, or `folder` holds another run.
    """
    if output.suffix != ".safetensors":
        raise UserError(f"--out {output}: a checkpoint's name ends in .safetensors")
    held_out = load_demonstrations(held_out_folder, "held-out")
    run = TrainingRun.open(recipe, data_folder, folder, device, report)
    trained = recipe.train(run)
    model = trained.model.eval().requires_grad_(False)
    report("evaluation", 0, 1, {})
    settings = EvaluationSettings(probes=QUICK_PROBES)
    evaluation = evaluate_model(model, run.data, held_out, settings, ["probes"])
    report("evaluation", 1, 1, {})
    statistics = {
        name: value.tolist()
        for name, value in model.named_buffers()
        if name.endswith(("_mean", "_std"))
    }
    card = {
        "supervision": trained.supervision,
        **run.facts(command),
        "normalisation": statistics,
        "held_out": evaluation.report,
        "training_seconds": {name: round(stage.seconds) for name, stage in trained.stages.items()},
        "curves": {name: stage.curve for name, stage in trained.stages.items()},
    }
    saved = save_checkpoint(model, output, card)
    store_probe(evaluation, output, saved["sha256"])
    return saved

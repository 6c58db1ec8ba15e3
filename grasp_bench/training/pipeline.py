"""The whole training run: stages, a report on held-out data, the checkpoint with its card.

Every stage keeps its state in the run's folder; the same command again goes on where the
last one stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from grasp_bench.errors import UserError
from grasp_bench.evaluation.report import model_report
from grasp_bench.evaluation.settings import QUICK_PROBES, ProbeSettings
from grasp_bench.machine import describe_machine
from grasp_bench.models.checkpoint import find_device, save_checkpoint
from grasp_bench.results import write_atomically
from grasp_bench.training.data import load_demonstrations
from grasp_bench.training.recipe import AnyRecipe
from grasp_bench.training.stages import Report, TrainingRun, silent, train_stages


def train_world_model(
    recipe: AnyRecipe,
    data_folder: Path,
    held_out_folder: Path,
    folder: Path,
    output: Path,
    command: str,
    device: str = "cpu",
    report: Report = silent,
    probes: ProbeSettings = QUICK_PROBES,
) -> dict[str, Any]:
    """Train a world model and write its checkpoint; resumable.

    Args:
        recipe: what to train.
        data_folder: training demonstrations, from `collect`.
        held_out_folder: demonstrations for the report in the card.
        folder: where the run keeps its state.
        output: the checkpoint to write, `.safetensors`.
        command: how the user started the run, for the card.
        device: "cpu" or "cuda".
        report: called as stages proceed.
        probes: how the report in the card is made.

    Returns:
        The checkpoint's card.

    Raises:
        UserError: missing data, no such device, or `folder` holds another run.
    """
    target = find_device(device)
    if output.suffix != ".safetensors":
        raise UserError(f"--out {output}: a checkpoint's name ends in .safetensors")
    data = load_demonstrations(data_folder, "train", recipe.episodes)
    held_out = load_demonstrations(held_out_folder, "held-out")
    output.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    agree(folder / "run.json", {"recipe": recipe.to_json(), "data": data.fingerprint()})

    torch.manual_seed(recipe.seed)
    begin = time.monotonic()
    model, supervision, stages = train_stages(recipe, TrainingRun(data, folder, target, report))
    report("evaluation", 0, 1, {})
    model.eval().requires_grad_(False)
    evaluation = model_report(model, data, held_out, probes)
    report("evaluation", 1, 1, {})
    card = {
        "supervision": supervision,
        "command": command,
        "recipe": recipe.to_json(),
        "data": {
            "episodes": len(data.states),
            "steps": data.actions.shape[1],
            "split": "train",
            "sha256": data.fingerprint(),
        },
        "normalisation": {
            name: value.tolist()
            for name, value in model.named_buffers()
            if name.endswith(("_mean", "_std"))
        },
        "held_out": evaluation,
        "training_seconds": {name: round(stage.seconds) for name, stage in stages.items()},
        "last_session_seconds": round(time.monotonic() - begin),
        "environment": asdict(describe_machine(device)),
        "curves": {name: stage.curve for name, stage in stages.items()},
    }
    return save_checkpoint(model, output, card)


def agree(path: Path, run: dict[str, Any]) -> None:
    """Hold a run against the one its folder was begun with, or write it down in a new one."""
    wanted = json.dumps(run, indent=1).encode()
    if not path.exists():
        write_atomically(path, wanted)
    elif path.read_bytes() != wanted:
        raise UserError(
            f"{path.parent} holds a run of another recipe or data: train into another folder"
        )

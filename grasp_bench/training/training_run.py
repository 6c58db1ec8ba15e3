"""What a recipe is, and what its stages share: data, the run's folder, a way to report."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.core.system import describe_system
from grasp_bench.models.dino_wm import DinoWM
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.loading import find_device
from grasp_bench.tasks.demonstrations import Demonstrations, load_demonstrations
from grasp_bench.tasks.published_data import licence_of
from grasp_bench.training.dynamics import (
    LatentEpisodes,
    dynamics_loss,
    encode_episodes,
    set_statistics,
)
from grasp_bench.training.loop import LossFunction, Schedule, Trained, train

# Takes stage, step, steps and losses.
Report = Callable[[str, int, int, dict[str, float]], None]


def silent(stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
    """Reports nothing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Holds everything that decides what a training run produces, as frozen data.

    Attributes:
        episodes: training episodes.
        seed: of initialisation and of every sample.
    """

    episodes: int = 24_000
    seed: int = 0


@dataclass(frozen=True)
class TrainingRun:
    """Holds what every stage needs beside its settings.

    Attributes:
        settings: decide what is trained.
        data: training demonstrations.
        folder: where the run keeps its state.
        device: where the model lives.
        report: called as stages proceed.
        begun: when this session began, by the monotonic clock.
    """

    settings: Settings
    data: Demonstrations
    folder: Path
    device: torch.device
    report: Report = silent
    begun: float = field(default_factory=time.monotonic)

    @classmethod
    def open(
        cls, settings: Settings, data: Path, folder: Path, device: str, report: Report, **facts: str
    ) -> TrainingRun:
        """Reads the demonstrations in `data`, and begins a run in `folder` or resumes it.

        Raises:
            UserError: data is missing, there is no such device, or the folder holds a run with
                other settings, data or facts.
        """
        found = load_demonstrations(data, "train", settings.episodes)
        run = {"recipe": asdict(settings), **facts, "data": found.fingerprint()}
        target, wanted, record = find_device(device), json.dumps(run, indent=1), folder / "run.json"
        folder.mkdir(parents=True, exist_ok=True)
        if not record.exists():
            write_atomically(record, wanted.encode())
        elif record.read_text() != wanted:
            raise UserError(
                f"{folder} holds a run of another recipe or data: train into another folder"
            )
        torch.manual_seed(settings.seed)
        return cls(settings, found, folder, target, report)

    def facts(self, command: str) -> dict[str, Any]:
        """Returns what the card of whatever was trained says of the run."""
        origin, source = dict(self.data.origin), self.data.origin.get("source")
        if isinstance(source, dict) and (licence := licence_of(str(source.get("sha256")))):
            origin["licence"] = licence
        return {
            "command": command,
            "recipe": asdict(self.settings),
            "data": {
                **origin,
                "episodes": len(self.data.states),
                "steps": self.data.actions.shape[1],
                "split": "train",
                "sha256": self.data.fingerprint(),
            },
            "last_session_seconds": round(time.monotonic() - self.begun),
            "environment": asdict(describe_system(str(self.device))),
        }

    def train(
        self, stage: str, learner: nn.Module, loss: LossFunction, schedule: Schedule, seed: int
    ) -> Trained:
        """Trains the learner in place, with its state in the run's folder."""
        state = self.folder / f"{stage}.pt"
        return train(learner, loss, schedule, state, seed, partial(self.report, stage))

    def train_dynamics(
        self,
        stage: str,
        model: LatentWorldModel,
        episodes: LatentEpisodes,
        schedule: Schedule,
        unroll: int,
        seed: int,
    ) -> Trained:
        """Sets the model's normalisation from the episodes and trains its predictor in place."""
        set_statistics(model, episodes)
        loss = dynamics_loss(model, episodes, schedule.batch, unroll)
        return self.train(stage, model.predictor, loss, schedule, seed)

    def random_frames(self, count: int, seed: int) -> np.ndarray:
        """Returns the states [count, 7] of random frames; fewer if the data has fewer."""
        states = self.data.states.reshape(-1, self.data.states.shape[-1])
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(states), min(count, len(states)), replace=False)
        return np.asarray(states[np.sort(rows)])

    def encode(self, model: LatentWorldModel | DinoWM, seed: int) -> LatentEpisodes:
        """Encodes the episodes once and keeps the features in the run's folder."""
        self.report("latents", 0, 1, {})
        episodes = encode_episodes(model, self.data, self.folder / "latents.safetensors", seed)
        self.report("latents", 1, 1, {})
        return episodes


@dataclass(frozen=True)
class TrainedModel:
    """Holds what a recipe's stages leave behind.

    Attributes:
        model: the trained model.
        supervision: one sentence about the labels it was trained with.
        stages: seconds and loss curve of each stage.
    """

    model: LatentWorldModel | DinoWM
    supervision: str
    stages: dict[str, Trained]


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings, ABC):
    """Holds the settings of a kind of world model, and trains one."""

    @abstractmethod
    def train(self, run: TrainingRun) -> TrainedModel:
        """Runs the stages; each resumes in the run's folder."""

"""Settings of a model report: with the data they decide its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProbeSettings:
    """Holds how probes are fitted.

    Attributes:
        frames: training frames that the linear and the MLP probe are fitted on.
        steps: optimiser steps of the MLP probe.
        batch: frames per step of the MLP probe.
        hidden: width of its two hidden layers.
        token_frames: training frames that the token probe is fitted on.
        token_steps: optimiser steps of the token probe.
        token_batch: frames per step of the token probe.
        token_hidden: width of its hidden layers.
        token_votes: points that its tokens vote for.
        choice_frames: further training frames that decide which probe reads a quantity.
        held_out_frames: frames that the probes are measured on.
    """

    frames: int = 20_000
    steps: int = 3_000
    batch: int = 512
    hidden: int = 256
    token_frames: int = 100_000
    token_steps: int = 6_000
    token_batch: int = 128
    token_hidden: int = 128
    token_votes: int = 16
    choice_frames: int = 2_000
    held_out_frames: int = 4_000


# For the report at the end of a training.
QUICK_PROBES = ProbeSettings(token_frames=20_000, token_steps=1_000)


@dataclass(frozen=True)
class EvaluationSettings:
    """Holds the settings of a model report.

    Attributes:
        probes: settings of the probes.
        rollout_episodes: held-out episodes of the open-loop errors.
        horizon: environment steps from a task's start to its goal.
        tasks: held-out tasks of the ranking and of smoothness.
        brittleness_tasks: the first of them that brittleness is measured on.
        alternatives: plans per task that the demonstration is ranked among.
        seed: of every draw.
    """

    probes: ProbeSettings = field(default_factory=ProbeSettings)
    rollout_episodes: int = 500
    horizon: int = 80
    tasks: int = 50
    brittleness_tasks: int = 32
    alternatives: int = 1_000
    seed: int = 0

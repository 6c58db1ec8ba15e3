"""The recipe of a DINO-WM: a frozen encoder without labels, then one step of tokens ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.patch_encoder import PatchDecoder, PatchEncoder
from grasp_bench.training.dynamics import LatentEpisodes, set_motion_statistics
from grasp_bench.training.loop import LossFunction, Schedule, mixed_precision
from grasp_bench.training.picture_loss import picture_loss
from grasp_bench.training.training_run import Recipe, TrainedModel, TrainingRun

# 4 x 4 tokens of 96 numbers: 76 of the encoder, 10 of proprioception, 10 of the action.
SMALL = DinoWMConfig(
    side=4,
    features=76,
    depth=3,
    heads=3,
    head_width=32,
    hidden=384,
    image_size=64,
    encoder_size=64,
    style="default",
)


@dataclass(frozen=True, kw_only=True)
class DinoWMRecipe(Recipe):
    """Holds and runs the training of a small DINO-WM (arXiv 2411.04983, section 3).

    Encoder and predictor know no pose, no label and no rollout. Unlike the original, the encoder
    is pretrained here, on pictures of the same data, and there is no dropout.

    Attributes:
        architecture: the model.
        pool_frames: frames that the encoder is pretrained on.
        vision: schedule of the encoder, which learns by masked prediction.
        dynamics: schedule of the predictor, with the embeddings of actions and proprioception.
    """

    architecture: DinoWMConfig = SMALL
    episodes: int = 12_000
    pool_frames: int = 200_000
    vision: Schedule = Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.995)
    dynamics: Schedule = Schedule(
        steps=24_000, batch=64, learning_rate=6e-4, weight_decay=1e-2, warmup=500, average=0.999
    )

    def train(self, run: TrainingRun) -> TrainedModel:
        """Trains the encoder, freezes it, then trains the predictor on its tokens."""
        model = DinoWM(self.architecture).to(run.device)
        encoder = model.encoder
        assert isinstance(encoder, PatchEncoder)
        decoder = PatchDecoder(
            self.architecture.features, self.architecture.encoder_width, cell=encoder.cell
        )
        parts = nn.ModuleList([encoder, decoder.to(run.device)])
        parts.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pixels = PUSHT.observe(run.random_frames(self.pool_frames, self.seed), model.view).pixels
        loss = picture_loss(encoder, decoder, pixels, self.vision.batch)
        vision = run.train("vision", parts, loss, self.vision, self.seed)
        encoder.requires_grad_(False)
        episodes = run.encode(model, self.seed)
        set_motion_statistics(model, episodes)
        learner = nn.ModuleList([model.predictor, model.embed_action, model.embed_proprio])
        loss = one_step_loss(model, episodes, self.dynamics.batch)
        dynamics = run.train("dynamics", learner, loss, self.dynamics, self.seed + 1)
        supervision = (
            "self-supervised: the encoder learned by masked prediction of pictures, the predictor "
            "to predict the next tokens; neither saw a state or a label"
        )
        return TrainedModel(model, supervision, {"vision": vision, "dynamics": dynamics})


def one_step_loss(model: DinoWM, episodes: LatentEpisodes, batch: int) -> LossFunction:
    """Returns the squared error of the next latents, teacher forced, as DINO-WM is trained.

        (1 / n) Σ_t ‖F(z_{t-k} .. z_t, a_{t-k} .. a_t) - z_{t+1}‖²,  t = 1 .. n,  k = t - 1

    The windows of n = `frames` steps begin at random frames. Among the losses shown are the error
    of the encoder's part and what keeping the last frame would have.
    """
    device, (config, tokens) = model.proprio_mean.device, (model.config, model.latent_shape[0])
    actions = model.normalise_actions(episodes.actions.to(device)).cpu()
    last_start = actions.shape[1] - config.frames
    if last_start < 0:
        raise ValueError(f"episodes of {actions.shape[1]} model steps: {config.frames} are needed")

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        episode = torch.randint(len(actions), (batch, 1), generator=generator)
        begin = torch.randint(last_start + 1, (batch, 1), generator=generator)
        steps = begin + torch.arange(config.frames + 1)
        features = episodes.features[episode, steps].to(device).float()
        proprio = episodes.proprio[episode, steps].to(device)
        features = features.view(-1, tokens, config.features)
        latents = model.latent(features, proprio.flatten(0, 1)).view(*steps.shape, tokens, -1)
        with mixed_precision(device):
            predicted = model.successors(
                latents[:, :-1], actions[episode, steps[:, :-1]].to(device)
            )
        targets = latents[:, 1:].detach()
        error = (predicted.float() - targets).square()
        visual = (..., slice(config.features))
        kept = (targets[visual] - latents[:, :-1][visual].detach()).square().mean()
        return error.mean(), {
            "tokens": round(float(error[visual].detach().mean()), 5),
            "copy": round(float(kept), 5),
        }

    return loss

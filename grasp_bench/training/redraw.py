"""Stages 3 and 4 of the patch model: tokens through a short code, and how the code moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grasp_bench.models.latent import PROPRIO_DIM, LatentWorldModel
from grasp_bench.models.patch import PatchWorldModel
from grasp_bench.models.redraw import RedrawPredictor
from grasp_bench.training.dynamics import LatentEpisodes
from grasp_bench.training.loop import LossFunction

_READ_EPISODES = 100


class TokenAutoencoder(nn.Module):
    """The predictor's reader and drawer, which learn together before anything moves."""

    def __init__(self, predictor: RedrawPredictor) -> None:
        super().__init__()
        self.reader, self.drawer = predictor.reader, predictor.drawer

    def forward(self, tokens: Tensor, agent: Tensor) -> Tensor:
        """Tokens [N, V] drawn anew from their code and the agent's place [N, 2]."""
        redrawn: Tensor = self.drawer(self.reader(tokens), agent)
        return redrawn


def redraw_loss(
    autoencoder: TokenAutoencoder,
    model: PatchWorldModel,
    episodes: LatentEpisodes,
    batch: int,
    noise: float,
) -> LossFunction:
    """Squared error of frames' tokens drawn anew from the code of noisy ones.

    Each frame's noise has a standard deviation drawn uniformly from nothing to `noise`, in
    units of standardised tokens: what is drawn must be read again at the next model step.
    """
    device = model.visual_mean.device
    count, frames = episodes.features.shape[:2]

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        episode = torch.randint(count, (batch,), generator=generator)
        frame = torch.randint(frames, (batch,), generator=generator)
        latent = model.latent(
            episodes.features[episode, frame].to(device).float(),
            episodes.proprio[episode, frame].to(device),
        )
        tokens, proprio = latent[:, :-PROPRIO_DIM], latent[:, -PROPRIO_DIM:]
        level = noise * torch.rand(batch, 1, generator=generator)
        noisy = tokens + (level * torch.randn(tokens.shape, generator=generator)).to(device)
        return (autoencoder(noisy, proprio[:, :2]) - tokens).square().mean(), {}

    return loss


class CodeModel(LatentWorldModel):
    """The predictor's codes as a latent of their own, in which long rollouts are cheap."""

    kind = "code"

    def __init__(self, model: PatchWorldModel) -> None:
        predictor = model.predictor
        super().__init__(model.config, predictor.code_size)
        self.predictor = predictor.dynamics
        self._coordinates = predictor.coordinates

    def features(self, pixels: Tensor) -> Tensor:
        """Codes are read from tokens, not from pixels."""
        raise NotImplementedError("codes are read from tokens: see `codes`")

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One scale for the points, one for the rest."""
        deviations = features.std(0)
        points, rest = (
            deviations[: self._coordinates].mean(),
            deviations[self._coordinates :].mean(),
        )
        scale = torch.where(torch.arange(len(deviations)) < self._coordinates, points, rest)
        return features.mean(0), scale


@torch.no_grad()
def codes(model: PatchWorldModel, tokens: LatentEpisodes) -> LatentEpisodes:
    """Episodes whose features are the predictor's codes, from episodes of tokens."""
    reader, device = model.predictor.reader, model.visual_mean.device
    parts = []
    for features in torch.split(tokens.features, _READ_EPISODES):
        visual = (features.to(device).float() - model.visual_mean) / model.visual_std
        parts.append(reader(visual.flatten(0, 1)).unflatten(0, visual.shape[:2]).cpu())
    return LatentEpisodes(torch.cat(parts), tokens.proprio, tokens.actions)

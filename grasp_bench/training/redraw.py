"""Stages of the patch model's predictor: what a picture's tokens hold, learnt without labels.

First tokens pass through a code of a place and some free numbers, and come out the same. The
free numbers then hold how the block is turned, along some bent curve; `unfold` makes a
direction of them. With that as a hint at first, the predictor's own reader and drawer learn to
pass tokens through a place and a direction alone. (Without a hint the direction stays fixed.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from grasp_bench.models.latent import PROPRIO_DIM
from grasp_bench.models.patch import PatchWorldModel
from grasp_bench.models.redraw import TokenDrawer, TokenReader
from grasp_bench.training.dynamics import LatentEpisodes
from grasp_bench.training.loop import LossFunction
from grasp_bench.training.unfold import directions

_READ_EPISODES = 100


@dataclass(frozen=True)
class Redrawing:
    """How reader and drawer learn.

    Attributes:
        scene_code: free numbers of the first code.
        noise: largest standard deviation of the noise on tokens that are read, in units of
            standardised tokens: what is drawn must be read again at the next model step.
        landmarks: codes that directions are computed from.
        sure: hints count where the neighbours agree at least this much (`unfold.directions`).
        agreement: weight of the pose that is read again from what was drawn, while reader and
            drawer learn together.
        final_agreement: the same while the drawer learns on alone.
    """

    scene_code: int = 32
    noise: float = 0.3
    landmarks: int = 12_000
    sure: float = 0.5
    agreement: float = 30.0
    final_agreement: float = 1000.0


class TokenAutoencoder(nn.Module):
    """A reader and a drawer."""

    def __init__(self, reader: TokenReader, drawer: TokenDrawer) -> None:
        super().__init__()
        self.reader, self.drawer = reader, drawer


def scene_autoencoder(model: PatchWorldModel, redrawing: Redrawing) -> TokenAutoencoder:
    """One whose codes hold a place and `scene_code` free numbers; freshly drawn weights."""
    grid, _, channels = model.grid_shape
    width = model.predictor.reader.vote.in_features
    shape = (grid, channels, redrawing.scene_code, width)
    return TokenAutoencoder(TokenReader(*shape), TokenDrawer(*shape)).to(model.visual_mean.device)


def pose_autoencoder(model: PatchWorldModel, scene: TokenAutoencoder) -> TokenAutoencoder:
    """The predictor's reader and drawer; the reader begins with what the scene's has learnt."""
    predictor = model.predictor
    for part in ("look", "vote", "attention"):
        getattr(predictor.reader, part).load_state_dict(getattr(scene.reader, part).state_dict())
    return TokenAutoencoder(predictor.reader, predictor.drawer)


def hints(
    scene: TokenAutoencoder,
    model: PatchWorldModel,
    episodes: LatentEpisodes,
    redrawing: Redrawing,
    cache: Path,
    seed: int,
) -> Tensor:
    """Directions [N, M + 1, 2] of all frames; zero where the neighbours disagree.

    `cache` is read if it exists.
    """
    if not cache.exists():
        features = codes(scene.reader, model, episodes).features
        turned, sure = directions(features.flatten(0, 1)[:, 2:], redrawing.landmarks, seed)
        turned = turned * (sure > redrawing.sure)[:, None]
        temporary = cache.with_name("directions.tmp.npy")
        np.save(temporary, turned.reshape(*features.shape[:2], 2).numpy())
        temporary.replace(cache)
    return torch.from_numpy(np.load(cache, allow_pickle=False))


def redraw_loss(
    autoencoder: TokenAutoencoder,
    model: PatchWorldModel,
    episodes: LatentEpisodes,
    batch: int,
    noise: float,
    agreement: float = 0.0,
) -> LossFunction:
    """Squared error of frames' tokens, drawn anew from the codes of noisy ones.

    And `agreement` times the squared error of the codes that are read again from what was drawn.
    """

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        error, code, redrawn, _ = _redraw(autoencoder, model, episodes, batch, noise, generator)
        if agreement == 0:
            return error, {}
        off = (autoencoder.reader(redrawn) - code.detach()).square().mean()
        return error + agreement * off, _parts(error, off)

    return loss


def hinted_loss(
    autoencoder: TokenAutoencoder,
    model: PatchWorldModel,
    episodes: LatentEpisodes,
    batch: int,
    noise: float,
    hinted: Tensor,
) -> LossFunction:
    """`redraw_loss`, and the squared error of directions from their hints [N, M + 1, 2]."""

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        error, code, _, rows = _redraw(autoencoder, model, episodes, batch, noise, generator)
        hint = hinted[rows].to(code.device)
        given = hint.square().sum(-1, keepdim=True) > 0
        off = ((code[:, 2:] - hint) * given).square().mean()
        return error + off, {"redraw": round(float(error.detach()), 5)}

    return loss


def agreement_loss(
    autoencoder: TokenAutoencoder,
    model: PatchWorldModel,
    episodes: LatentEpisodes,
    batch: int,
    weight: float,
) -> LossFunction:
    """`redraw_loss` without noise, and `weight` times the squared error of the pose read again.

    The drawer learns alone: in a rollout the reader sees what was drawn, and what it reads
    there should be what was meant.
    """

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        tokens, proprio, _ = _frames(model, episodes, batch, generator)
        with torch.no_grad():
            pose = autoencoder.reader(tokens)
        redrawn = autoencoder.drawer(pose, proprio[:, :2])
        error = (redrawn - tokens).square().mean()
        off = (autoencoder.reader(redrawn) - pose).square().mean()
        return error + weight * off, _parts(error, off)

    return loss


def _parts(error: Tensor, off: Tensor) -> dict[str, float]:
    return {"redraw": round(float(error.detach()), 5), "pose": round(float(off.detach()), 6)}


def _redraw(
    autoencoder: TokenAutoencoder,
    model: PatchWorldModel,
    episodes: LatentEpisodes,
    batch: int,
    noise: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    # The error, the codes [batch, 2 + R], the tokens, and which frames they are of.
    tokens, proprio, rows = _frames(model, episodes, batch, generator)
    level = noise * torch.rand(batch, 1, generator=generator)
    noisy = tokens + (level * torch.randn(tokens.shape, generator=generator)).to(tokens)
    code = autoencoder.reader(noisy)
    redrawn = autoencoder.drawer(code, proprio[:, :2])
    return (redrawn - tokens).square().mean(), code, redrawn, rows


def _frames(
    model: PatchWorldModel, episodes: LatentEpisodes, batch: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    # Tokens [batch, V] and proprioception [batch, 4] of random frames, and which these are.
    device = model.visual_mean.device
    count, frames = episodes.features.shape[:2]
    rows = (
        torch.randint(count, (batch,), generator=generator),
        torch.randint(frames, (batch,), generator=generator),
    )
    latent = model.latent(
        episodes.features[rows].to(device).float(), episodes.proprio[rows].to(device)
    )
    return latent[:, :-PROPRIO_DIM], latent[:, -PROPRIO_DIM:], rows


@torch.no_grad()
def codes(reader: TokenReader, model: PatchWorldModel, tokens: LatentEpisodes) -> LatentEpisodes:
    """Episodes whose features are a reader's codes, from episodes of tokens."""
    device = model.visual_mean.device
    parts = []
    for features in torch.split(tokens.features, _READ_EPISODES):
        visual = (features.to(device).float() - model.visual_mean) / model.visual_std
        parts.append(reader(visual.flatten(0, 1)).reshape(*visual.shape[:2], -1).cpu())
    return LatentEpisodes(torch.cat(parts), tokens.proprio, tokens.actions)

"""Learns, without labels, to read a pose from tokens and to draw tokens of a pose.

A first autoencoder passes tokens through a code of a place and some free numbers. The free
numbers then hold the block's orientation along a bent curve, from which `orientation` recovers
a direction. With that direction as a hint at first, the pose model's own reader and drawer learn
to pass tokens through a place and a direction alone. Without a hint the direction stays fixed.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from grasp_bench.core.files import write_atomically
from grasp_bench.models.latent import PROPRIO_DIM
from grasp_bench.models.pose import PoseWorldModel
from grasp_bench.models.token_codes import TokenDrawer, TokenReader
from grasp_bench.training.dynamics import LatentEpisodes
from grasp_bench.training.loop import LossFunction
from grasp_bench.training.pose.orientation import directions
from grasp_bench.training.pose.token_model import TokenModel

# Largest standard deviation of the noise on tokens that are read, in units of standardised
# tokens. The reader must also read what the drawer draws.
_NOISE = 0.3
_SURE = 0.5  # hints count where the neighbours agree at least this much
_READ_EPISODES = 100


class TokenAutoencoder(nn.Module):
    """Holds a reader and a drawer that learn together."""

    def __init__(self, reader: TokenReader, drawer: TokenDrawer) -> None:
        super().__init__()
        self.reader, self.drawer = reader, drawer


def scene_autoencoder(model: PoseWorldModel, free: int) -> TokenAutoencoder:
    """Returns an untrained autoencoder of codes with a place and `free` further numbers."""
    shape = (model.config.grid, model.config.channels, free, model.config.token_width)
    return TokenAutoencoder(TokenReader(*shape), TokenDrawer(*shape)).to(model.visual_mean.device)


def pose_autoencoder(model: PoseWorldModel, scene: TokenAutoencoder) -> TokenAutoencoder:
    """Returns the model's reader and drawer; the reader starts from the scene's weights."""
    for part in ("look", "vote", "attention"):
        getattr(model.reader, part).load_state_dict(getattr(scene.reader, part).state_dict())
    return TokenAutoencoder(model.reader, model.drawer)


def hints(
    scene: TokenAutoencoder,
    model: TokenModel,
    episodes: LatentEpisodes,
    landmarks: int,
    cache: Path,
    seed: int,
) -> Tensor:
    """Returns directions [N, M + 1, 2] of all frames, zero where the neighbours disagree.

    They are computed from `landmarks` codes. `cache` (`.safetensors`) is read if it exists, else
    written.
    """
    if not cache.exists():
        features = codes(scene.reader, model, episodes).features
        turned, sure = directions(features.flatten(0, 1)[:, 2:], landmarks, seed)
        turned = turned * (sure > _SURE)[:, None]
        write_atomically(cache, save({"hints": turned.reshape(*features.shape[:2], 2)}))
    return load_file(cache)["hints"]


def redraw_loss(
    autoencoder: TokenAutoencoder,
    model: TokenModel,
    episodes: LatentEpisodes,
    batch: int,
    agreement: float = 0.0,
    hinted: Tensor | None = None,
) -> LossFunction:
    """Returns the squared error of tokens that are drawn from the codes of noisy tokens.

    Args:
        autoencoder: the part that learns.
        model: standardises tokens.
        episodes: tokens to draw batches from.
        batch: frames a step.
        agreement: weight of the squared error of the codes read from the drawn tokens.
        hinted: [N, M + 1, 2] directions whose squared error is added; zero for none.
    """
    device = model.visual_mean.device
    count, frames = episodes.features.shape[:2]

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        episode = torch.randint(count, (batch,), generator=generator)
        frame = torch.randint(frames, (batch,), generator=generator)
        latents = episodes.latents(model, episode, frame)
        tokens, proprio = latents[:, :-PROPRIO_DIM], latents[:, -PROPRIO_DIM:]
        level = _NOISE * torch.rand(batch, 1, generator=generator)
        noisy = tokens + (level * torch.randn(tokens.shape, generator=generator)).to(tokens)
        code = autoencoder.reader(noisy)
        redrawn = autoencoder.drawer(code, proprio[:, :2])
        error = (redrawn - tokens).square().mean()
        parts = {"redraw": round(float(error.detach()), 5)}
        if hinted is not None:
            hint = hinted[episode, frame].to(device)
            given = hint.square().sum(-1, keepdim=True) > 0
            error = error + ((code[:, 2:] - hint) * given).square().mean()
        if agreement > 0:
            off = (autoencoder.reader(redrawn) - code.detach()).square().mean()
            error = error + agreement * off
            parts["pose"] = round(float(off.detach()), 6)
        return error, parts

    return loss


@torch.no_grad()
def codes(reader: TokenReader, model: TokenModel, tokens: LatentEpisodes) -> LatentEpisodes:
    """Replaces the tokens of episodes by the codes that a reader reads from them."""
    parts = []
    for rows in torch.split(torch.arange(len(tokens.features)), _READ_EPISODES):
        visual = tokens.latents(model, rows)[..., :-PROPRIO_DIM]
        parts.append(reader(visual.flatten(0, 1)).reshape(*visual.shape[:2], -1).cpu())
    return LatentEpisodes(torch.cat(parts), tokens.proprio, tokens.actions)

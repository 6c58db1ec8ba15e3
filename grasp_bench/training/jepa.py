"""A vector latent by joint-embedding prediction: what a picture holds beside the agent.

Features of a frame and a short rollout from the first frame's are trained together: the
rollout must meet the features of the later frames, while a VICReg regulariser keeps the
features apart and at unit variance. Proprioception tells the agent's place exactly, so a
latent free to choose holds the agent, which is easy to predict, and nothing of the block.
The regulariser therefore looks at what is left of the features after regressing them on
functions of the agent's place: only what else is in the picture can meet it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from grasp_bench.models.jepa import JepaWorldModel, PoolingHead
from grasp_bench.training.dynamics import LatentEpisodes
from grasp_bench.training.loop import LossFunction

_RIDGE = 1e-3
_POOLED_EPISODES = 32  # at a time
_HARMONICS = 2  # of the agent's place, in each direction


@dataclass(frozen=True)
class JepaObjective:
    """The terms of the joint-embedding loss.

    Attributes:
        unroll: model steps of the rollout.
        prediction: weight of the rollout's error.
        variance, covariance: weights of VICReg's terms.
        straightening: weight of the turn between successive changes of the features,
            1 - cos(z_{t+2} - z_{t+1}, z_{t+1} - z_t) (temporal straightening).
    """

    unroll: int = 2
    prediction: float = 10.0
    variance: float = 10.0
    covariance: float = 10.0
    straightening: float = 0.0


class JointEmbedding(nn.Module):
    """The head and the predictor that are trained together."""

    def __init__(self, head: PoolingHead, predictor: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.predictor = predictor


def joint_embedding_loss(
    model: JepaWorldModel, tokens: LatentEpisodes, batch: int, objective: JepaObjective
) -> LossFunction:
    """Rollout error, VICReg on what the agent does not explain, straightness.

    Args:
        model: its head and predictor learn; proprioception and actions must be standardised.
        tokens: episodes whose features are the encoder's tokens, cell by cell.
        batch: windows of `unroll + 1` frames a step.
        objective: the terms.
    """
    device = model.visual_mean.device
    actions = model.normalise_actions(tokens.actions.to(device)).cpu()
    last_start = tokens.features.shape[1] - 1 - objective.unroll
    channels = model.head.token_mean.shape[0]

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        episode = torch.randint(len(tokens.features), (batch, 1), generator=generator)
        begin = torch.randint(last_start + 1, (batch, 1), generator=generator)
        steps = begin + torch.arange(objective.unroll + 1)
        frames = tokens.features[episode, steps].to(device).float()
        features = model.head(frames.reshape(*frames.shape[:2], -1, channels))
        proprio = tokens.proprio[episode, steps].to(device)
        proprio = (proprio - model.proprio_mean) / model.proprio_std
        state, errors = torch.cat([features[:, 0], proprio[:, 0]], -1), []
        for t in range(objective.unroll):
            state = model.predictor(state, actions[episode[:, 0], steps[:, t]].to(device))
            errors.append((state[:, : model.visual_dim] - features[:, t + 1]).square().mean())
            errors.append((state[:, model.visual_dim :] - proprio[:, t + 1]).square().mean())
        prediction = torch.stack(errors).sum() / objective.unroll
        rest = unexplained(features.flatten(0, 1), agent_functions(proprio.flatten(0, 1)[:, :2]))
        variance, covariance = isotropy(rest)
        total = (
            objective.prediction * prediction
            + objective.variance * variance
            + objective.covariance * covariance
        )
        if objective.straightening > 0:
            total = total + objective.straightening * turning(features)
        return total, {
            "prediction": round(float(prediction.detach()), 5),
            "variance": round(float(variance.detach()), 5),
            "covariance": round(float(covariance.detach()), 5),
        }

    return loss


@torch.no_grad()
def pooled(model: JepaWorldModel, tokens: LatentEpisodes) -> LatentEpisodes:
    """Episodes whose features are the head's, from episodes of tokens."""
    device, channels = model.visual_mean.device, model.head.token_mean.shape[0]
    features = [
        model.head(part.to(device).float().reshape(*part.shape[:2], -1, channels)).cpu()
        for part in torch.split(tokens.features, _POOLED_EPISODES)
    ]
    return LatentEpisodes(torch.cat(features), tokens.proprio, tokens.actions)


def agent_functions(place: Tensor) -> Tensor:
    """Functions [N, F] of places [N, 2] in standard units: one, linear, products of harmonics."""
    orders = torch.arange(1, _HARMONICS + 1, device=place.device)
    phases = place[..., None] * orders * (math.pi / 3)
    waves = torch.cat(
        [torch.ones_like(place[..., None]), phases.sin(), phases.cos()], -1
    )  # [N, 2, W]
    products = (waves[:, 0, :, None] * waves[:, 1, None, :]).flatten(1)
    return torch.cat([products, place], -1)


def unexplained(features: Tensor, functions: Tensor) -> Tensor:
    """The residual [N, V] of a ridge regression of features [N, V] on functions [N, F]."""
    gram = functions.T @ functions / len(functions)
    gram = gram + _RIDGE * torch.eye(gram.shape[0], device=gram.device)
    fitted = torch.linalg.solve(gram, functions.T @ features / len(functions))
    rest: Tensor = features - functions @ fitted
    return rest


def isotropy(features: Tensor) -> tuple[Tensor, Tensor]:
    """VICReg's variance hinge and covariance penalty of features [N, V]."""
    centred = features - features.mean(0)
    covariance = centred.T @ centred / (len(features) - 1)
    deviation = (covariance.diagonal() + 1e-4).sqrt()
    off_diagonal = covariance - covariance.diagonal().diag()
    width = features.shape[1]
    return functional.relu(1 - deviation).mean(), off_diagonal.square().sum() / width


def turning(features: Tensor) -> Tensor:
    """Mean of 1 - cos between successive changes of features [B, T, V] that do change."""
    changes = features.diff(dim=1)
    cosine = functional.cosine_similarity(changes[:, 1:], changes[:, :-1], dim=-1)
    weight = changes.detach().norm(dim=-1)
    weight = (weight[:, 1:] * weight[:, :-1]).clamp(max=1.0)
    turn: Tensor = (weight * (1 - cosine)).sum() / weight.sum().clamp(min=1e-6)
    return turn

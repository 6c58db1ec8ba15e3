"""Stands for stable-worldmodel: models with its methods, and a solver with its protocol."""

import sys
import types

import torch
from torch import nn


class Vectors(nn.Module):
    """A model of one vector a frame, as LeWM and PLDM are."""

    history_size = 2

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(3, 6)
        self.action_encoder = nn.Linear(10, 6)
        self.mix = nn.Linear(12, 6)

    def encode(self, info):
        info["emb"] = self.read(info["pixels"].mean((-2, -1)))
        return info

    def predict(self, emb, act_emb):
        before = emb.cumsum(1) / torch.arange(1, emb.shape[1] + 1)[:, None]
        return before + torch.tanh(self.mix(torch.cat([emb, act_emb], dim=-1)))


class Embedding(nn.Linear):
    """An extra encoder, which names its width."""

    def __init__(self, inputs, emb_dim):
        super().__init__(inputs, emb_dim)
        self.emb_dim = emb_dim


class Tokens(nn.Module):
    """A model of tokens with extra encoders, as PreJEPA is."""

    history_size = 2

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(3, 5)
        self.extra_encoders = nn.ModuleDict(
            {"action": Embedding(10, 2), "proprio": Embedding(4, 3)}
        )
        self.mix = nn.Linear(10, 10)

    def encode(self, info, emb_keys=None):
        pixels = self.read(info["pixels"].mean((-2, -1)))
        info["pixels_emb"] = pixels[:, :, None] * torch.arange(1, 5)[:, None]
        for key in emb_keys:
            info[f"{key}_emb"] = self.extra_encoders[key](info[key])
        return info

    def replace_action_in_embedding(self, embedding, act):
        embedded = self.extra_encoders["action"](act)[:, :, :, None]
        tiled = embedded.expand(*embedding.shape[:-1], 2)
        return torch.cat([embedding[..., :5], tiled, embedding[..., 7:]], dim=-1)

    def predict(self, embedding):
        return embedding + torch.tanh(self.mix(embedding))


class RandomShooting:
    """A solver: the best of its samples around the plan that it is given."""

    def __init__(self, cost, n_steps, num_samples, device, seed, **options):
        self.cost, self.samples, self.options = cost, num_samples, options
        self.generator = torch.Generator().manual_seed(seed)

    def configure(self, *, action_space, n_envs, config):
        self.shape = (config.horizon, action_space.shape[-1])
        assert n_envs == 1

    def solve(self, info_dict, init_action=None):
        draws = torch.randn(1, self.samples, *self.shape, generator=self.generator)
        if init_action is not None:
            draws = init_action[:, None] + 0.3 * draws
            draws[:, 0] = init_action
        costs = self.cost.get_cost(info_dict, draws)
        print("solved")
        return {"actions": draws[:, costs[0].argmin()], "costs": costs.min(1).values.tolist()}


def installed(monkeypatch, model):
    """Puts modules of the library's names in their place."""
    solvers = types.ModuleType("stable_worldmodel.planning.solver")
    utils = types.ModuleType("stable_worldmodel.wm.utils")
    for name in ("CEMSolver", "ICEMSolver", "MPPISolver", "GradientSolver"):
        setattr(solvers, name, RandomShooting)
    utils.load_pretrained = lambda name: model
    for module in (solvers, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("stable_worldmodel", "stable_worldmodel.planning", "stable_worldmodel.wm"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

"""World models of stable-worldmodel behind this package's protocol, whatever their latents."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import foreign_code
from grasp_bench.core.types import Observation, View
from grasp_bench.models.latent import FrameskipModel

# Of the Push-T data that its models are trained on; their checkpoints hold none.
PUSHT_ACTION_MEAN, PUSHT_ACTION_STD = (-0.0087, 0.0068), (0.2019, 0.2002)
_PROPRIO_MEAN = (236.6155, 264.5674, -2.93032027, 2.54307914)  # agent x, y, vx, vy
_PROPRIO_STD = (101.1202, 87.0112, 74.84556075, 74.14009094)
_PIXEL_MEAN, _PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class ForeignLatents(FrameskipModel):
    """Predicts with a module that has `encode` and `predict`, as LeWM, PLDM and PreJEPA have.

    A module with `action_encoder` has one vector a frame, Z = (D,), and predicts from vectors
    and embedded actions. One with `extra_encoders` has tokens, Z = (P, D), each with what it
    knows beside the picture, the action among it; the action's place in a latent is filled
    when a step is taken. Distances are sums of squares over vectors and, over tokens, means of
    the picture's part plus means of every other part but the action's: the published
    objectives.

    Attributes:
        context: frames that `step_in_context` takes at most.
    """

    def __init__(
        self,
        module: nn.Module,
        frameskip: int = 5,
        action_mean: Sequence[float] = PUSHT_ACTION_MEAN,
        action_std: Sequence[float] = PUSHT_ACTION_STD,
        size: int = 224,
        style: str = "pygame",
    ) -> None:
        """Takes the module and what its checkpoint does not say: statistics and pictures.

        Raises:
            UserError: the module is of another kind.
        """
        super().__init__(frameskip)
        self.module: Any = module
        self.view = View(size, style)
        self._extra: dict[str, Any] = dict(getattr(module, "extra_encoders", None) or {})
        if not (hasattr(module, "action_encoder") or "action" in self._extra):
            name = type(module).__name__
            raise UserError(f"{name} has neither action_encoder nor extra_encoders['action']")
        predictor: Any = getattr(module, "predictor", None)
        remembered: Any = getattr(module, "history_size", getattr(predictor, "num_frames", 1))
        self.context = int(remembered)
        self.action_mean, self.action_std = torch.tensor(action_mean), torch.tensor(action_std)
        for name, mean, std in (
            ("pixel", _PIXEL_MEAN, _PIXEL_STD),
            ("proprio", _PROPRIO_MEAN, _PROPRIO_STD),
        ):
            self.register_buffer(f"{name}_mean", torch.tensor(mean))
            self.register_buffer(f"{name}_std", torch.tensor(std))
        with torch.no_grad():
            picture = torch.zeros(1, 3, size, size, device=self._device)
            first = self.encode_frames(picture, torch.zeros(1, 4, device=self._device))
        self.latent_shape: tuple[int, ...] = tuple(first.shape[1:])

    @property
    def _device(self) -> torch.device:
        first: Tensor = next(self.module.parameters())
        return first.device

    def encode(self, observation: Observation) -> Tensor:
        """Returns latents [B, *Z] of B observations."""
        pixels = observation.pixels.to(self._device).float() / 255.0
        picture = (pixels - self.get_buffer("pixel_mean")) / self.get_buffer("pixel_std")
        proprio = observation.proprio.to(self._device) - self.get_buffer("proprio_mean")
        proprio = proprio / self.get_buffer("proprio_std")
        return self.encode_frames(picture.permute(0, 3, 1, 2), proprio)

    def encode_frames(self, pictures: Tensor, proprio: Tensor) -> Tensor:
        """Returns latents [B, *Z] of pictures [B, 3, S, S] and proprioception, standardised."""
        seen: dict[str, Any] = {"pixels": pictures[:, None]}
        if not self._extra:
            latent: Tensor = self.module.encode(seen)["emb"][:, 0]
            return latent
        beside = [key for key in self._extra if key != "action"]
        seen |= dict.fromkeys(beside, proprio[:, None])
        found = self.module.encode(seen, emb_keys=beside)
        tokens: Tensor = found["pixels_emb"][:, 0]
        parts = [tokens]
        for key, encoder in self._extra.items():
            embedded = tokens.new_zeros(len(tokens), 1, encoder.emb_dim)
            if key != "action":
                embedded = found[f"{key}_emb"]
            parts.append(embedded.expand(-1, tokens.shape[1], -1))
        return torch.cat(parts, dim=-1)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns F(s, a) [..., *Z] of one frame, of any leading dimensions."""
        rank = len(self.latent_shape)
        return self.step_in_context(state.unsqueeze(-1 - rank), action[..., None, :])

    def step_in_context(self, states: Tensor, actions: Tensor) -> Tensor:
        """Returns the state [..., *Z] after states [..., n, *Z] and their actions [..., n, A]."""
        rank = len(self.latent_shape)
        leading = states.shape[: states.ndim - rank - 1]
        rows = states.reshape(math.prod(leading), *states.shape[states.ndim - rank - 1 :])
        taken = actions.expand(*leading, *actions.shape[-2:]).reshape(
            len(rows), -1, self.action_dim
        )
        if self._extra:
            shown = self.module.replace_action_in_embedding(rows[:, None], taken[:, None])[:, 0]
            following: Tensor = self.module.predict(shown)[:, -1]
        else:
            following = self.module.predict(rows, self.module.action_encoder(taken))[:, -1]
        return following.reshape(*leading, *self.latent_shape)

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Returns the squared distance [...] of latents [..., *Z]."""
        return self.goal_distance(state, goal, 1.0)

    def goal_distance(self, state: Tensor, goal: Tensor, proprio_weight: float) -> Tensor:
        """Returns `distance` with what is known beside the picture times its weight, [...]."""
        errors = (state - goal).square()
        if not self._extra:
            return errors.sum(-1)
        begin = self.latent_shape[-1] - sum(encoder.emb_dim for encoder in self._extra.values())
        total: Tensor = errors[..., :begin].mean((-2, -1))
        for key, encoder in self._extra.items():
            part = errors[..., begin : begin + encoder.emb_dim]
            if key != "action":
                total = total + proprio_weight * part.mean((-2, -1))
            begin += encoder.emb_dim
        return total


def load_foreign(name: str, device: str) -> ForeignLatents:
    """Loads a model as stable-worldmodel itself loads it: a folder, a `.pt` or a hub's name.

    Its code runs, unlike that of an imported checkpoint.

    Raises:
        UserError: the library is not installed, or cannot load it.
    """
    try:
        library: Any = importlib.import_module("stable_worldmodel.wm.utils")
    except ImportError as error:
        raise UserError(
            "a model swm:NAME needs stable-worldmodel: pip install 'grasp-bench[swm]'"
        ) from error
    with foreign_code(f"world model 'swm:{name}': stable-worldmodel raised"):
        module = library.load_pretrained(name).to(device)
    return ForeignLatents(module.eval().requires_grad_(False)).to(device)

"""Draw the model's open-loop rollouts under the simulator's: docs/open_loop.png.

    python scripts/draw_rollout.py

The first tuning tasks at H=80 under their demonstrations. Of each pair of rows the upper is
the simulator, the lower what the model decodes after 0, 2, ... 16 steps without looking.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from envs.pusht import rollout as simulate
from envs.render import render
from grasp_bench.models import load_model, observe
from grasp_bench.rollout import rollout
from grasp_bench.tasks import load_tasks

TASKS, EVERY, SCALE = 4, 2, 2
OUT = Path("docs/open_loop.png")


def main() -> None:
    model = load_model("pusht-compact").model
    tasks = load_tasks("tune", 80, TASKS).tasks
    actions = np.stack([task.demo_actions for task in tasks])
    states = simulate(np.stack([task.start_state for task in tasks]), actions)
    start = model.encode(observe(states[:, 0], model))
    chunks = model.normalise_actions(torch.from_numpy(actions).float())
    latents = torch.cat([start[:, None], rollout(model, start, chunks)], dim=1)[:, ::EVERY]
    strips = []
    for path, predicted in zip(states[:, :: EVERY * model.frameskip], latents, strict=True):
        strips.append(np.concatenate(list(render(path, model.image_size)), axis=1))
        decoded = model.decode(predicted).numpy()  # type: ignore[attr-defined]
        strips.append(np.concatenate(list(decoded), axis=1))
    picture = Image.fromarray(np.concatenate(strips))
    picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST).save(
        OUT, optimize=True
    )
    print(OUT)


if __name__ == "__main__":
    main()

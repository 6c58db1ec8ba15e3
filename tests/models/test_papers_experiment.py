"""The commands of the paper's experiment, from the files of DINO-WM to a table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.run.store import read_results

REPOSITORY = Path(__file__).parents[2]
FIXTURES = Path(__file__).with_name("fixtures")


def write_recording(folder, episodes=8, steps=100):
    """Writes episodes of the demonstrator as DINO-WM stores its data."""
    seen = [PUSHT.demonstrate(np.random.default_rng(n), steps) for n in range(episodes)]
    states = torch.from_numpy(np.stack([states[:-1] for states, _ in seen])).float()
    actions = torch.from_numpy(np.stack([actions for _, actions in seen])).float()
    folder.mkdir(parents=True)
    torch.save(states[..., :5].clone(), folder / "states.pth")
    torch.save(states[..., 5:].clone(), folder / "velocities.pth")
    torch.save(100 * actions, folder / "rel_actions.pth")
    lengths = b"\x80\x02]" + (b"K" + bytes([steps]) + b"a") * episodes + b"."
    (folder / "seq_lengths.pkl").write_bytes(lengths)


@pytest.mark.slow
def test_the_two_commands_lead_from_dino_wms_files_to_the_tables(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(REPOSITORY / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed").touch()
    command = Path(sys.executable).with_name("grasp-bench")
    (tmp_path / ".venv" / "bin" / "grasp-bench").symlink_to(command)
    write_recording(tmp_path / "pusht_noise" / "val")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "dino")

    def run(*arguments):
        done = subprocess.run(
            list(map(str, arguments)), cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    run(command, "models", "import", "dino-wm", FIXTURES / "dino_wm", "--backbone", "dino")
    run(command, "tasks", "import", "pusht_noise/val", "--name", "pusht-noise", "--split", "all")
    shown = run(
        "make", "reproduce", "MODEL=dino-wm", "TASKS=pusht-noise", "TRIALS=1", "BUDGET=1",
        "WORKERS=1",
    )  # fmt: skip
    out = tmp_path / "results" / "reproduce-dino-wm-pusht-noise"
    trials = read_results(out)
    assert (trials["status"] == "ok").all()
    assert set(trials["horizon"]) == {40, 50, 60, 70, 80}
    assert set(trials["model"]) == {"dino-wm"}
    assert "--criterion in_model" in (out / "table.md").read_text()
    assert "H=80" in shown
    for name in ("final-plan.md", "times.md", "table.tex", "table.csv", "report.html"):
        assert (out / name).stat().st_size > 0

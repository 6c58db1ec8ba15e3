"""Loads mutated checkpoints, cards, priors, probes, settings, tasks and other projects' files.

It is run as a process of its own:

    python mutated_files.py FOLDER SEED COUNT

It prints a line of JSON: how many of each kind loaded and were refused, and what was wrong.
"""

import faulthandler
import hashlib
import json
import math
import os
import resource
import shutil
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import torch
from foreign_files import (
    ENCODER,
    IMPORTED,
    make_backbone,
    mutate_backbone,
    mutate_foreign,
)
from mutations import a_pickle, mutate_bytes, mutate_header, mutate_json, mutate_table
from safetensors.torch import load, save

from grasp_bench.core.errors import UserError
from grasp_bench.models import (
    CompactConfig,
    CompactWorldModel,
    PoseConfig,
    PoseWorldModel,
    list_models,
    load_model,
    save_checkpoint,
)
from grasp_bench.models.certificate import activations
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.dinov2 import load_dino_weights, read_dino_config
from grasp_bench.models.importing.dino_wm_files import read_dino_wm
from grasp_bench.models.importing.lewm_files import read_lewm
from grasp_bench.models.lewm import LeWM, LeWMConfig
from grasp_bench.models.patch_encoder import DinoEncoder
from grasp_bench.models.prior import MixturePrior, PriorConfig, prior_path, save_prior
from grasp_bench.models.probe import Probe, ProbeConfig, probe_path, save_probe
from grasp_bench.models.vit import ViTConfig
from grasp_bench.tasks import load_tasks, write_tasks
from grasp_bench.tuning.resolve import resolve_planners

MOST_SECONDS, MOST_BYTES = 10.0, 2**29
SHIPPED = Path(__file__).parents[2] / "checkpoints"
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
TINY = PoseConfig(channels=2, encoder_width=8, encoder_blocks=1, token_width=8, width=8, blocks=1)

TINY_DINO = DinoWMConfig(
    side=2, features=8, action_embedding=4, proprio_embedding=4, depth=1, heads=2, head_width=4,
    hidden=8, image_size=16, encoder_size=16, encoder_width=8, encoder_blocks=1,
)  # fmt: skip
TINY_LEWM = LeWMConfig(
    vit=ViTConfig(width=8, depth=1, heads=2, hidden=8, image_size=28), width=8, depth=1, heads=2,
    head_width=4, hidden=8, action_hidden=8, projection=8,
)  # fmt: skip


def make_sources(folder: Path) -> list[Path]:
    """Makes a tiny checkpoint of every architecture, with prior, probe, settings and tasks."""
    torch.manual_seed(0)
    compact = CompactConfig(keypoints=2, encoder_channels=8, width=8, blocks=2, decoder_width=8)
    models = [CompactWorldModel(compact), PoseWorldModel(TINY)]
    models += [DinoWM(TINY_DINO), LeWM(TINY_LEWM)]
    paths = []
    for model in models:
        path = folder / f"{model.kind}.safetensors"
        facts = {"normalisation": {"action_std": model.action_std.tolist()}, "held_out": {"a": 1}}
        is_foreign = model.kind in IMPORTED
        if is_foreign:
            facts["certificate"] = activations(model.eval())
        card = save_checkpoint(model, path, facts)
        if not is_foreign:
            config = PriorConfig(8, model.action_dim, components=2, width=8, blocks=1)
            save_prior(MixturePrior(config), prior_path(path), {"model_sha256": card["sha256"]})
        width = math.prod(model.latent_shape)
        probe = Probe(ProbeConfig("mlp", width, state=7, lengths=4, angles=1, hidden=4))
        save_probe(probe, probe_path(path), {"model_sha256": card["sha256"]})
        tuned = json.loads((SHIPPED / "settings" / "pusht-compact.json").read_text())
        planners = {name: tuned["planners"][name] for name in ("cem", "gd")}
        tuned |= {"model": path.stem, "model_sha256": card["sha256"], "planners": planners}
        settings_path(path).parent.mkdir(exist_ok=True)
        settings_path(path).write_text(json.dumps(tuned))
        tasks = [
            replace(task, id=f"a{i}") for i, task in enumerate(load_tasks("tune", 20, 4).tasks)
        ]
        write_tasks(path.with_suffix(".parquet"), "pusht", tasks)
        paths.append(path)
    return [*paths, SHIPPED / "pusht-compact.safetensors", SHIPPED / "pusht-pose.safetensors"]


def settings_path(checkpoint: Path) -> Path:
    return checkpoint.parent / "settings" / f"{checkpoint.stem}.json"


def mutate_weights(rng: Random, path: Path, marker: Path) -> None:
    """Mutates weights; three of four times their card names the SHA-256 of what came out."""
    data = path.read_bytes()
    match rng.choice(["bytes", "header", "header", "numbers", "numbers", "pickle"]):
        case "bytes":
            data = mutate_bytes(rng, data)
        case "header":
            data = mutate_header(rng, data)
        case "numbers":
            tensors = load(data)
            stds = [name for name in tensors if name.endswith("_std")]
            name = rng.choice(stds if stds and rng.random() < 0.5 else sorted(tensors))
            kind = rng.choice(
                [torch.int64, torch.float16, torch.complex64, torch.float64, torch.bool]
            )
            hole = tensors[name].clone()
            hole.view(-1)[:1] = rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e38])
            tensors[name] = rng.choice(
                [hole, tensors[name].to(kind), tensors[name][..., :1].clone()]
            )
            data = save(tensors)
        case "pickle":
            data = a_pickle(rng, marker)
    path.write_bytes(data)
    if rng.random() < 0.75:
        card = json.loads(path.with_suffix(".json").read_text())
        card["sha256"] = hashlib.sha256(data).hexdigest()
        path.with_suffix(".json").write_text(json.dumps(card))


def mutate_text(rng: Random, path: Path, within: str) -> None:
    data = path.read_bytes()
    if rng.random() < 0.2:
        path.write_bytes(mutate_bytes(rng, data))
    else:
        path.write_bytes(mutate_json(rng, json.loads(data), within))


def mutate_tasks(rng: Random, path: Path, marker: Path) -> None:
    if rng.random() < 0.1:
        path.write_bytes(a_pickle(rng, marker))
    elif rng.random() < 0.5:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
    else:
        pq.write_table(mutate_table(rng, pq.read_table(path)), path)


def mutate(rng: Random, kind: str, path: Path, marker: Path) -> None:
    """Mutates the file of that kind that belongs to a checkpoint."""
    match kind:
        case "weights":
            mutate_weights(rng, path, marker)
        case "card":
            mutate_text(rng, path.with_suffix(".json"), "architecture")
        case "prior":
            mutate_weights(rng, prior_path(path), marker)
        case "prior card":
            mutate_text(rng, prior_path(path).with_suffix(".json"), "architecture")
        case "probe":
            mutate_weights(rng, probe_path(path), marker)
        case "probe card":
            mutate_text(rng, probe_path(path).with_suffix(".json"), "architecture")
        case "settings":
            mutate_text(rng, settings_path(path), rng.choice(["settings", "planners", "tuning"]))
        case "tasks":
            mutate_tasks(rng, path.with_suffix(".parquet"), marker)
        case "dino-wm" | "lewm":
            mutate_foreign(rng, path.parent / kind, IMPORTED[kind], marker)
        case "backbone":
            mutate_backbone(rng, path.parent / kind, path.parents[1] / "backbone", marker)


def use(kind: str, path: Path, sha256: str) -> None:
    """Loads the file of that kind as the commands do."""
    if kind == "settings":
        resolve_planners([("cem", {}), ("gd", {})], [20, 40], "tuned", str(path), sha256)
    elif kind == "tasks":
        load_tasks(str(path.with_suffix(".parquet")), 20)
    elif kind == "dino-wm":
        read_dino_wm(path.parent / kind, lambda: ENCODER)
    elif kind == "lewm":
        read_lewm(path.parent / kind)
    elif kind == "backbone":
        source = str(path.parent / kind)
        load_dino_weights(DinoEncoder(read_dino_config(source)), source)
    else:
        load_model(str(path))


KINDS = (
    "weights", "weights", "card", "card", "prior", "prior card", "probe", "probe card", "settings",
    "tasks", *["dino-wm", "lewm"] * 4, "backbone",
)  # fmt: skip

TINY_MODELS = 4
WITH_PRIOR = ("prior", "prior card")  # of the first two
OF_TINY = ("settings", "tasks", "probe", "probe card")  # shipped checkpoints may have none


def main(folder: Path, seed: int, count: int) -> None:
    """Mutates and loads, and prints what came of it."""
    events: list[str] = []
    sys.addaudithook(lambda name, _: events.append(name) if name.startswith(FORBIDDEN) else None)
    sources, marker = make_sources(folder / "sources"), folder / "executed"
    make_backbone(folder / "backbone")
    read_dino_config(str(folder / "backbone"))
    for source in sources:
        load_model(str(source))  # whatever is imported late
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, before = 0.0, peak()
    for number in range(count):
        faulthandler.dump_traceback_later(300, exit=True)
        rng = Random(f"{seed}-{number}")
        kind = KINDS[number % len(KINDS)]
        chosen = sources[:2] if kind in WITH_PRIOR else sources[:TINY_MODELS]
        if kind not in OF_TINY and rng.random() < 0.2:
            chosen = sources[TINY_MODELS:]
        path = copied(rng.choice(chosen), folder / "checkpoints")
        sha256 = json.loads(path.with_suffix(".json").read_text())["sha256"]
        events.clear()
        mutate(rng, kind, path, marker)
        begun, highest, heard = time.process_time(), peak(), []
        try:
            with warnings.catch_warnings(record=True, action="always") as heard:
                use(kind, path, sha256)
            end = "loaded"
        except UserError as error:
            end = "refused"
            if len(str(error)) > 2000 or not str(error).isprintable():
                wrong.append(f"{number} {kind}: not one sentence: {str(error)[:300]!r}")
        except BaseException as error:
            end = "raised"
            wrong.append(f"{number} {kind}: {type(error).__name__}: {str(error)[:300]}")
        if number % 10 == 0:
            for model in list_models():
                model.problem()
        counts[f"{kind}: {end}"] += 1
        seconds = time.process_time() - begun
        slowest = max(slowest, seconds)
        if seconds > MOST_SECONDS or (peak() - before > MOST_BYTES and peak() > highest):
            wrong.append(f"{number} {kind}: {seconds:.1f} s, {peak() - highest} bytes more")
        if heard:
            wrong.append(f"{number} {kind}: warned: {heard[0].message}")
        if events or marker.exists():
            wrong.append(f"{number} {kind}: executed something: {events}")
            marker.unlink(missing_ok=True)
    facts = {"seconds": round(slowest, 2), "megabytes": (peak() - before) >> 20}
    print(json.dumps({"counts": counts, "wrong": wrong, "most": facts}))


def copied(source: Path, folder: Path) -> Path:
    """Copies a checkpoint and all that belongs to it into a folder that held another."""
    shutil.rmtree(folder, ignore_errors=True)
    for file in source.parent.glob(f"**/{source.stem}.*"):
        copy = folder / file.relative_to(source.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return folder / source.name


def peak() -> int:
    """Returns the most memory that this process has used, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

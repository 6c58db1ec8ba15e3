"""Mutates other projects' checkpoints: archives, pickles, settings, and backbones."""

import io
import json
import pickle
import pickletools
import shutil
import struct
import zipfile
from pathlib import Path
from random import Random

import torch
import transformers
from mutations import SIZES, a_pickle, mutate_bytes, mutate_header, mutate_json

from grasp_bench.models.importing.torch_archive import read_torch_archive

FIXTURES = Path(__file__).parents[1] / "models" / "fixtures"
IMPORTED = {"dino-wm": FIXTURES / "dino_wm", "lewm": FIXTURES / "lewm"}
ENCODER = {"hidden_size": 12, "patch_size": 14, "image_size": 28, "num_hidden_layers": 1,
           "num_attention_heads": 2}  # fmt: skip
HOW = ("bytes", "pickle", "pickle", "numbers", "numbers", "numbers", "texts", "texts", "member",
       "settings", "settings", "evil", "bomb", "bomb", "archive", "state")  # fmt: skip
NUMBERS = (*SIZES, 1, 3, 255, 2**31, 2**40, 2**63, -(2**63), 10**30)
TEXTS = (
    *("", "0", "cpu", "cuda", "../0", "weight", "x" * 10**5, "\n", "os", "system", "torch", "{}"),
    *("FloatStorage", "LongStorage", "DoubleStorage", "collections", "builtins", "eval"),
)
YAML = (
    b"a: &a [x]\nb: &b [*a, *a]\npredictor: {heads: *b}\n",
    b"a: &a {x: 1}\nb: {<<: [*a, *a, *a]}\npredictor: {heads: 2}\n",
    *(b"predictor: {heads: %s}" % text
      for text in (b"1e999", b"-2", b"0", b"10000000000", b"9" * 5000, b"1:" * 9000 + b"1")),
    b"[" * 5000, b"!!python/object/apply:os.system [ls]", b"predictor:\n  heads: !!float 2",
    b"? [a, b]\n: c\npredictor: {heads: 2}\n", b"\xff\xfe", b"",
)  # fmt: skip


def mutate_foreign(rng: Random, folder: Path, source: Path, marker: Path) -> None:
    """Copies a checkpoint and mutates its archive, its pickle or its settings."""
    shutil.copytree(source, folder)
    (file,) = (*folder.rglob("*.pth"), *folder.rglob("*.pt"))
    match rng.choice(HOW):
        case "bytes":
            file.write_bytes(mutate_bytes(rng, file.read_bytes()))
        case "settings":
            mutate_settings(rng, folder)
        case "archive":
            mutate_archive(rng, file)
        case "state" if source.name == "lewm":
            torch.save(mutate_state(rng, dict(read_torch_archive(file))), file)
        case "state":
            repack(rng, file, "numbers", marker)
        case how:
            repack(rng, file, how, marker)


def mutate_settings(rng: Random, folder: Path) -> None:
    (settings,) = (*folder.rglob("*.yaml"), *folder.rglob("*.json"))
    data = settings.read_bytes()
    if rng.random() < 0.3:
        data = mutate_bytes(rng, data)
    elif settings.suffix == ".json":
        data = mutate_json(rng, json.loads(data))
    else:
        data = rng.choice(YAML)
    settings.write_bytes(data)


def repack(rng: Random, file: Path, how: str, marker: Path) -> None:
    """Writes an archive anew with one of its members changed, dropped or renamed."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in members if name.endswith("data.pkl"))
    name = pickled if how != "member" else rng.choice(sorted(members))
    data = members.pop(name)
    kept = rng.choice([name, name, name, f"../{name}", f"more/{name}"]) if how == "member" else name
    changed = {
        "evil": lambda: evil_pickle(rng, marker),
        "bomb": lambda: bomb(rng),
        "pickle": lambda: mutate_bytes(rng, data),
        "numbers": lambda: mutate_operands(rng, data, ("BININT", "BININT1", "BININT2"), NUMBERS),
        "texts": lambda: mutate_operands(rng, data, ("BINUNICODE", "GLOBAL"), TEXTS),
        "member": lambda: mutate_bytes(rng, data) if data else b"x",
    }[how]
    if how != "member" or rng.random() < 0.8:
        members[kept] = changed()
    compression = rng.choice([zipfile.ZIP_STORED] * 9 + [zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def mutate_operands(rng: Random, data: bytes, operations: tuple, values: tuple) -> bytes:
    """Puts other values in the place of some that a pickle holds: sizes, strides, keys, names."""
    found = [(code, place) for code, _, place in pickletools.genops(data)]
    places = [n for n, (code, _) in enumerate(found) if code.name in operations]
    for n in sorted(rng.sample(places, rng.choice([1, 1, 2, 5])), reverse=True):
        value = rng.choice(values)
        # Without the protocol in front, what is memoised, and the stop.
        plain = pickle.dumps(value, protocol=2)[2:].removesuffix(b".").removesuffix(b"q\x00")
        if found[n][0].name == "GLOBAL":
            plain = b"c" + f"{rng.choice(values)}\n{value}\n".replace("\n\n", "\n").encode()
        data = data[: found[n][1]] + plain + data[found[n + 1][1] :]
    return data


def evil_pickle(rng: Random, marker: Path) -> bytes:
    """Returns a pickle that writes the file `marker` when somebody loads it."""
    path = str(marker).encode()
    code = b"__import__('os').system('touch %s')" % path
    return rng.choice(
        [
            a_pickle(rng, marker),
            b"cos\nsystem\n(S'touch " + path + b"'\ntR.",
            b"cbuiltins\neval\n(S\"" + code + b'"\ntR.',
            b"(S'touch " + path + b"'\nios\nsystem\n.",  # INST
            b"(cos\nsystem\nS'touch " + path + b"'\no.",  # OBJ
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(path) + 6]) + b"touch " + path
            + b"\x85R.",
            b"\x80\x02}(U\tpredictorccopyreg\n_reconstructor\ncos\nsystem\n\x85Ru.",
        ]
    )  # fmt: skip


def bomb(rng: Random) -> bytes:
    """Returns a small pickle whose objects, hashes or texts would take for ever if spelt out."""
    doubled = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * rng.choice([30, 60, 500])
    storage = (
        b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    )
    storage += b"J" + struct.pack("<i", rng.choice([4, 16, 10**6, 2**31 - 1])) + b"tQK\x00"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage
    sizes = rng.choice([b"(K\x04tq\x01(K\x01t", b"(J\xff\xff\xff\x7fK\x00tq\x01(K\x00K\x00t"])
    one = tensor + sizes + b"\x89ccollections\nOrderedDict\n)RtR"
    return rng.choice(
        [
            doubled + b"}h\x00K\x01s.",  # as a key
            doubled + b"h\x00\x93.",  # as a name
            doubled + b"X\x01\x00\x00\x00x\x93.",
            doubled + b"ccollections\nOrderedDict\n]h\x00h\x00\x86a\x85R.",
            doubled + b".",
            b"\x80\x02" + b"]" * 10**4 + b"a" * (10**4 - 1) + b".",
            b"\x80\x02](" + one * rng.choice([1, 100, 30_000]) + b"e.",
            b"\x80\x02](" + (one + b"q\x05" + b"h\x05" * 50) * 100 + b"e.",
            b"\x80\x02]" + b"}" * 1_200_000 + b".",
        ]
    )


def mutate_archive(rng: Random, file: Path) -> None:
    """Lies about the members of an archive, nests it, or lets members share their bytes."""
    data = file.read_bytes()
    match rng.choice(["nested", "prefix", "sizes", "overlap", "deflated", "many"]):
        case "nested":
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as archive:
                archive.writestr("archive/data.pkl", data)
            data = inner.getvalue()
        case "prefix":
            data = rng.randbytes(rng.randrange(1, 1000)) + data
        case "sizes":
            changed = bytearray(data)
            entry = rng.choice([n for n in range(len(data)) if data[n : n + 4] == b"PK\x01\x02"])
            at = entry + rng.choice([20, 24, 42])  # compressed, uncompressed, offset
            changed[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 10**6, 2**31, 2**32 - 1]))
            data = bytes(changed)
        case "overlap":
            changed = bytearray(data)
            entries = [n for n in range(len(data)) if data[n : n + 4] == b"PK\x01\x02"]
            one, other = rng.sample(entries, 2)
            changed[one + 42 : one + 46] = changed[other + 42 : other + 46]
            data = bytes(changed)
        case "deflated":
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("archive/data.pkl", b"]" * 10**8)
            data = out.getvalue()
        case "many":
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                for n in range(2_000):
                    archive.writestr(f"archive/data/{n}", b"")
                archive.writestr("archive/data.pkl", b"\x80\x02}.")
            data = out.getvalue()
    file.write_bytes(data)


def mutate_state(rng: Random, state: dict) -> dict:
    """Changes tensors of a state dict: shapes that hold nothing, types, names, numbers."""
    for name in rng.sample(sorted(state), rng.choice([1, 1, 3, 10])):
        value = state[name]
        size = rng.choice([n for n in NUMBERS if 0 <= n < 2**31])
        match rng.choice(["empty", "row", "type", "name", "drop", "value", "number", "cut"]):
            case "empty":
                state[name] = torch.empty(size, *rng.choice([(0,), (0, size), (3, 0, 0)]))
            case "row":
                state[name] = torch.zeros(min(size, 10**6))
            case "type":
                state[name] = value.to(rng.choice([torch.int64, torch.float16, torch.bool]))
            case "name":
                state[rng.choice([f"model.{name}", name[:-1], "", name * 9, "7"])] = state.pop(name)
            case "drop":
                del state[name]
            case "value":
                state[name] = rng.choice([None, 3, "x", [value], {}])
            case "number":
                state[name] = torch.full_like(
                    value.float(), rng.choice([float("nan"), float("inf"), 1e38])
                )
            case "cut":
                state[name] = value[..., :1].clone()
    return state


def make_backbone(folder: Path) -> Path:
    """Makes a tiny DINOv2 as transformers stores it."""
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    transformers.Dinov2Model(transformers.Dinov2Config(**ENCODER)).save_pretrained(folder)
    return folder


def mutate_backbone(rng: Random, folder: Path, source: Path, marker: Path) -> None:
    """Copies a backbone and mutates its configuration or its weights."""
    shutil.copytree(source, folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    match rng.choice(["config", "config", "weights", "header", "pickle", "both"]):
        case "config":
            config.write_bytes(mutate_json(rng, json.loads(config.read_bytes())))
        case "weights":
            weights.write_bytes(mutate_bytes(rng, weights.read_bytes()))
        case "header":
            weights.write_bytes(mutate_header(rng, weights.read_bytes()))
        case "pickle":
            weights.unlink()
            (folder / "pytorch_model.bin").write_bytes(evil_pickle(rng, marker))
        case "both":
            content = json.loads(config.read_bytes())
            content |= {"auto_map": {"AutoConfig": "evil.Config"}, "model_type": rng.choice(
                ["dinov2", "evil", "vit", ""])}  # fmt: skip
            config.write_bytes(json.dumps(content).encode())
            (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Config: pass\n")

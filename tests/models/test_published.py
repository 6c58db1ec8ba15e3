"""Fetching from a hub: a small server on this machine stands for it."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from grasp_bench.models import hub as client
from grasp_bench.models import load_model
from grasp_bench.models.importing.published import PUBLISHED, PublishedModel

FIXTURES = Path(__file__).with_name("fixtures")
COMMIT, BEFORE_THE_BREAK = "1" * 40, 1000


class Hub(BaseHTTPRequestHandler):
    """Serves the files of one repository as the hub does."""

    asked: ClassVar[list] = []
    breaks: ClassVar[int] = 0

    def _answer(self, send):
        name = self.path.rpartition("/")[2]
        file = FIXTURES / "lewm" / name
        Hub.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        if "/quentinll/lewm-pusht/resolve/" not in self.path or not file.exists():
            self.send_error(404)
            return
        data = file.read_bytes()
        etag = hashlib.sha256(data).hexdigest()
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if send and name == "weights.pt" and Hub.breaks:
            Hub.breaks -= 1
            self.wfile.write(data[:BEFORE_THE_BREAK])
            self.close_connection = True
        elif send:
            self.wfile.write(data[begin:])

    def do_GET(self):
        self._answer(True)

    def do_HEAD(self):
        self._answer(False)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    """Points huggingface_hub at the server."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Hub.asked.clear()
    yield server
    server.shutdown()


def test_a_published_checkpoint_is_fetched_and_converted(hub, cli):
    code, out, _ = cli("models", "fetch", "lewm-pusht", "--revision", COMMIT)
    assert code == 0
    assert "checkpoints/lewm-pusht.safetensors" in out
    assert load_model("checkpoints/lewm-pusht.safetensors").name == "lewm-pusht"
    card = json.loads(Path("checkpoints/lewm-pusht.json").read_text())
    weights = (FIXTURES / "lewm" / "weights.pt").read_bytes()
    assert card["source"]["sha256"] == hashlib.sha256(weights).hexdigest()
    got = [asked for asked in Hub.asked if asked.startswith("GET") and "/resolve/" in asked]
    assert len(got) == 2
    assert all(f"/{COMMIT}/" in asked for asked in got)


def failed(cli, *arguments):
    """Runs a command that must fail in one sentence; what was downloaded may stay."""
    code, out, err = cli(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_a_file_of_another_hash_is_refused(hub, cli, monkeypatch):
    files = {"config.json": "0" * 64, "weights.pt": None}
    monkeypatch.setitem(
        PUBLISHED, "lewm-pusht", PublishedModel("lewm", "quentinll/lewm-pusht", files, COMMIT)
    )
    assert "not the published file" in failed(cli, "models", "fetch", "lewm-pusht")


def test_without_the_network_the_sentence_says_what_to_do_by_hand(cli, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    sentence = failed(cli, "models", "fetch", "lewm-pusht")
    assert "models import lewm" in sentence
    assert "https://huggingface.co/quentinll/lewm-pusht" in sentence


def test_a_hub_that_cannot_be_reached_is_asked_once_and_quietly(cli, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(client, "getproxies", dict)
    asked = []

    def unknown(address, timeout):
        asked.append(address)
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(client.socket, "create_connection", unknown)
    sentence = failed(cli, "models", "fetch", "lewm-pusht")  # one line on stderr
    assert "hub.invalid cannot be reached" in sentence
    assert asked == [("hub.invalid", 443)]


def test_a_download_goes_on_after_a_dropped_connection_and_what_is_there_is_not_fetched_again(
    hub, cli, monkeypatch
):
    monkeypatch.setattr(Hub, "breaks", 1)
    assert cli("models", "fetch", "lewm-pusht", "--revision", COMMIT)[0] == 0
    assert Hub.breaks == 0
    weights = (FIXTURES / "lewm" / "weights.pt").read_bytes()
    assert Path("data/models/lewm-pusht/weights.pt").read_bytes() == weights
    Hub.asked.clear()
    assert cli("models", "fetch", "lewm-pusht", "--revision", COMMIT)[0] == 0
    assert not any(asked.startswith("GET") for asked in Hub.asked)  # they are there


def test_what_is_not_on_the_hub_and_what_nobody_knows(refused, monkeypatch):
    assert "osf.io" in refused("models", "fetch", "dino-wm")
    assert "lewm-pusht" in refused("models", "fetch", "lewm-push")

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(client.importlib, "import_module", missing)
    assert "grasp-bench[models]" in refused("models", "fetch", "lewm-pusht")

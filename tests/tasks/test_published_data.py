"""Published recordings: downloaded, resumed, unpacked safely, checked by their hash."""

import io
import stat
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.tasks import published_data
from grasp_bench.tasks.importing import download, read_recording, zip_folder
from grasp_bench.tasks.published_data import PUBLISHED, fetch_recording

STORE = "pusht_cchi_v7_replay.zarr"


class Server(ThreadingHTTPServer):
    """Serves one file; knows ranges, and may break off."""

    content, breaks_off_after, ranges, status = b"", None, True, 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        begin = int(asked[len("bytes=") : -1]) if asked and server.ranges else 0
        if begin >= len(server.content):
            self.send_error(416)
            return
        body = server.content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.breaks_off_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server of the small recording's zip, which is published under the name `pusht-human`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    url = f"http://127.0.0.1:{running.server_port}/pusht.zip"
    monkeypatch.setitem(PUBLISHED, "pusht-human", replace(PUBLISHED["pusht-human"], url=url))
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def published(server, recorded, tmp_path, monkeypatch):
    """The server with a small recording, its hash the one that must come out."""
    (tmp_path / "made").mkdir()
    store = recorded.write("zarr 2", tmp_path / "made")
    sha256 = read_recording(store).sha256
    known = replace(PUBLISHED["pusht-human"], sha256=sha256)
    monkeypatch.setitem(PUBLISHED, "pusht-human", known)
    server.content = zipped(
        {f"pusht/{STORE}/{p.relative_to(store)}": p for p in store.rglob("*") if p.is_file()}
        | {f"pusht/{STORE}/data/img/0": b"a picture", "pusht/readme.txt": b"hello"}
    )
    return server


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            archive.writestr(name, file.read_bytes() if isinstance(file, Path) else file)
    return content.getvalue()


def refusal():
    with pytest.raises(UserError) as error:
        fetch_recording("pusht-human")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_published_recording_is_fetched_once(published, cli):
    code, out, _ = cli("data", "fetch", "pusht-human")
    assert code == 0
    path = Path("data/pusht-human") / STORE
    assert str(path) in out
    assert read_recording(path).sha256 == PUBLISHED["pusht-human"].sha256
    assert not (path / "data" / "img").exists()
    assert [child.name for child in path.parent.iterdir()] == [STORE]
    assert cli("data", "fetch", "pusht-human")[0] == 0
    assert len(published.asked) == 1


def test_a_download_that_broke_off_goes_on(published):
    published.breaks_off_after = 5_000
    assert "5000 of" in refusal()
    part = Path("data/pusht-human/download.zip.part")
    assert part.read_bytes() == published.content[:5_000]
    published.breaks_off_after = None
    fetch_recording("pusht-human")
    assert published.asked == [None, "bytes=5000-"]
    assert not part.exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_that_does_not_fit_is_replaced(published, ranges):
    published.ranges = ranges
    part = Path("data/pusht-human/download.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (len(published.content) + 10))
    fetch_recording("pusht-human")


def test_without_a_network_the_sentence_holds_the_steps(server, cli):
    server.status = 404
    assert "HTTP 404" in refusal()
    server.shutdown()
    server.server_close()
    code, out, err = cli("data", "fetch", "pusht-human")
    assert code == 2
    assert out.strip() == ""
    assert err.count("\n") == 1
    for step in (PUBLISHED["pusht-human"].url, STORE, "grasp-bench data fetch pusht-human"):
        assert step in err
    assert not Path("data").exists()


def test_a_file_that_is_too_large_is_not_downloaded(published, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_DOWNLOAD", 1_000)
    assert "at most 1000" in refusal()


def test_another_recording_than_the_published_one_is_refused(published, monkeypatch):
    known = replace(PUBLISHED["pusht-human"], sha256="0" * 64)
    monkeypatch.setitem(PUBLISHED, "pusht-human", known)
    assert "0" * 64 in refusal()
    assert not list(Path("data/pusht-human").iterdir())


def test_what_is_there_already_is_checked(published):
    path = fetch_recording("pusht-human")
    next((path / "data" / "state").glob("*.0")).write_bytes(b"damaged")
    assert "damaged" in refusal()


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"not a zip", "no complete zip"),
        (zipped({"pusht/readme.txt": b"hello"}), "holds no folder"),
        (zipped({f"{STORE}/../../../escaped": b"x"}), "outside"),
        (zipped({f"/{STORE}/escaped": b"x"}), "outside"),
        (zipped({f"{STORE}\\..\\escaped": b"x", f"{STORE}/a": b"x"}), "outside|no folder"),
        (link(f"{STORE}/link"), "a link"),
        (zipped({f"{STORE}/zeros": b"0" * 10**6}), "unpacks to more"),
        (zipped({f"{STORE}/{number}": b"" for number in range(30)}), "30 files"),
    ],
    ids=["text", "other", "dots", "absolute", "backslash", "link", "bomb", "many"],
)
def test_a_hostile_zip_is_refused_and_leaves_nothing(server, tmp_path, monkeypatch, content, named):
    monkeypatch.setattr(zip_folder, "LARGEST_FOLDER", 10**5)
    monkeypatch.setattr(zip_folder, "MOST_FILES", 20)
    server.content = content
    sentence = refusal()
    assert any(part in sentence for part in named.split("|")), sentence
    assert not list(tmp_path.rglob("escaped"))
    assert not list(Path("data/pusht-human").iterdir())


def test_an_unknown_recording_is_refused(refused):
    assert "'pusht-human'" in refused("data", "fetch", "pusht-humans")


def test_the_known_recording_is_the_one_that_the_task_sets_are_made_from():
    from grasp_bench.tasks.known_sets import KNOWN

    for known in KNOWN.values():
        published = published_data.PUBLISHED[known.published]
        assert (published.path, published.sha256) == (known.recording, known.recording_sha256)

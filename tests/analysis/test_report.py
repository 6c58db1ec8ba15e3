"""The report page: what it says, that it stands alone, and that a browser can show it."""

import base64
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from grasp_bench.analysis import page as page_module
from grasp_bench.analysis.aggregate import build_table, combine
from grasp_bench.analysis.highlights import highlights
from grasp_bench.analysis.page import render_page
from grasp_bench.analysis.provenance import commands, hashes
from grasp_bench.run.config import choose_sweep
from grasp_bench.run.store import read_results, write_frame, write_rows

VOID = {"meta", "link", "img", "source", "br", "hr", "input", "col"}


class Page(HTMLParser):
    """The elements of a page, each with its attributes; complains where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open, self.words = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def trials(results):
    frames = [
        results(
            {"grasp[gd_steps=20]": range(30), "cem": range(5), "demo": range(40)},
            hyperparameters='{"gd_steps": 20}',
        ),
        results(
            {"grasp[gd_steps=20]": range(5)},
            horizon=80,
            name="h80.parquet",
            hyperparameters='{"gd_steps": 20}',
        ),
    ]
    return combine(frames)


@pytest.fixture
def page(trials, tmp_path):
    path = tmp_path / "trials.parquet"
    return Page(render_page("A <title>", build_table(trials), trials, [path], "a command"))


def test_a_page_needs_nothing_but_itself(page):
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not {"script", "iframe", "link", "object", "embed"} & {t for t, _ in page.elements}
    for image in page.all("img"):
        kind, content = image["src"].split(";base64,")
        assert kind == "data:image/svg+xml"
        assert b"<svg" in base64.b64decode(content)


def test_a_page_can_be_walked_without_eyes_or_mouse(page):
    assert page.all("html") == [{"lang": "en"}]
    identifiers = [a["id"] for _, a in page.elements if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    for link in page.all("a"):
        assert link["href"][1:] in identifiers
    for tag in ("header", "nav", "main", "footer", "h1"):
        assert len(page.all(tag)) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(image["alt"] for image in page.all("img"))
    assert all(heading["scope"] in ("row", "col") for heading in page.all("th"))


def contrast(one, other):
    """WCAG 2.1's contrast ratio of two #rrggbb colours."""

    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_words_stand_out_from_every_ground_in_light_and_dark():
    template = Path(page_module.__file__).parent / "templates" / "report.html.j2"
    schemes = re.findall(r":root \{(.*?)\}", template.read_text(), re.S)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("ink", "soft", "link"):
            for ground in ("page", "card", "mark"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def test_a_page_says_what_came_out_and_where_from(page):
    assert "A <title>" in page.text
    assert "75.0% / 15.5 s" in page.text
    assert "160 trials, run on 2026-01-01" in page.text
    assert "a command" in page.text
    assert "a processor" in page.text
    assert "grasp-bench figure solved" in page.text
    assert "Planners against each other" in page.text


def test_one_planner_has_nobody_to_be_set_against(results, tmp_path):
    trials = results({"grasp": range(3)})
    text = render_page("alone", build_table(trials), trials, [tmp_path], "a command")
    assert "against each other" not in Page(text).text.lower()


def test_commands_give_every_trial_once(trials):
    first, second = commands(trials)
    assert "--planners cem,demo --horizons 40 --trials 40" in first
    assert "--planners grasp --set grasp.gd_steps=20 --horizons 40,80 --trials 40" in second
    assert (
        "--clock wall --budget 5 --stop first-success --protocol open-loop --batch 1 --seed 0"
        in first
    )


def test_two_configurations_of_a_planner_are_two_commands(results):
    made = commands(
        results(
            {"grasp": range(3), "grasp[lr=0.1, sync=none]": range(3)},
            hyperparameters='{"lr": 0.1, "sync": "none", "gd_steps": 5}',
        )
    )
    assert len(made) == 2
    assert any("--set grasp.lr=0.1 --set grasp.sync=none" in command for command in made)


@pytest.mark.parametrize("start", ["", "untuned, "])
@pytest.mark.parametrize("text", ["a, b=2", "]", "'\"", "x]", ", ", "a\nb", "", "untuned, "])
def test_a_command_gives_any_text_back(results, start, text):
    values = {"a": text, "b": True, "c": 1e-7, "text": text}
    label = f"grasp[{start}{', '.join(f'{key}={value}' for key, value in values.items())}]"
    stored = json.dumps(values | {"kept": text})
    (command,) = commands(results({label: []}, hyperparameters=stored, budget=0.1234567))
    words = shlex.split(command)
    given = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
    ((_, overrides),) = choose_sweep(None, "grasp", "40", given).planners
    assert overrides == {key: str(value) for key, value in values.items()}
    assert words[words.index("--budget") + 1] == "0.1234567"


def test_a_report_of_a_folder_whose_name_is_no_text(cli, planned, tmp_path):
    folder = tmp_path / os.fsdecode(b"run-\xff")
    folder.mkdir()
    (tmp_path / planned).rename(folder / planned)
    assert cli("report", folder, "--no-clips")[0] == 0
    assert b"run-" in (tmp_path / "report.html").read_bytes()
    assert cli("figure", "success", folder, "-o", "figure.svg")[0] == 0


def test_hashes_name_weights_tasks_configurations_and_files(trials, tmp_path):
    found = hashes(trials, [tmp_path / "trials.parquet"])
    assert found["world model tiny"] == "a" * 64
    assert found["task set eval"] == "b" * 64
    assert found["configuration cem"] == "c" * 64
    assert len(found[f"file {tmp_path / 'trials.parquet'}"]) == 64


def test_highlights_are_the_quickest_success_and_the_widest_miss(results, make_row, tmp_path):
    rows = [
        make_row(
            planner="grasp", task_id=f"pusht-h40-{number:04d}",
            success=number < 3, time_to_success=3.0 - number if number < 3 else None,
            final_plan_block_distance=None if number < 3 else 100.0 - number,
        )
        for number in range(6)
    ]  # fmt: skip
    write_rows(tmp_path / "own.parquet", rows)
    trials = read_results(tmp_path / "own.parquet")
    quick, wide = highlights(build_table(trials), trials)
    assert quick.trial_key == "grasp-pusht-h40-0002"
    assert wide.trial_key == "grasp-pusht-h40-0003"
    assert (quick.title, wide.title) == (
        "GRASP, quickest success at H=40",
        "GRASP, widest miss at H=40",
    )


@pytest.fixture
def planned(make_trial_rows, tmp_path):
    """Results of planners that can be made again, in the working folder."""
    grasp = make_trial_rows("grasp", {"sync_every": "5", "yield_every": "5"})
    write_rows(tmp_path / "trials.parquet", [*grasp, *make_trial_rows("demo")])
    return "trials.parquet"


def test_a_report_shows_trials_made_again(cli, planned, responsive_checkpoint, tmp_path):
    code, out, _ = cli("report", planned, "-o", "report.html", "--model", responsive_checkpoint)
    assert code == 0
    assert out.startswith("report.html (")
    page = Page((tmp_path / "report.html").read_text())
    clips = [image for image in page.all("img") if image["src"].startswith("data:image/gif")]
    (clip,) = clips  # one trial of one planner
    assert "on pusht-h20-0000" in clip["alt"]
    assert page.all("source") == [
        {"media": "(prefers-reduced-motion: reduce)", "srcset": page.all("source")[0]["srcset"]}
    ]
    assert "The plan is the row's, bit for bit" in page.text
    assert "grasp-bench replay trials.parquet grasp-" in page.text


def test_a_report_without_its_weights_says_how_to_go_on(refused, planned, tmp_path):
    rows = read_results(tmp_path / planned).assign(model="gone", model_source="gone.safetensors")
    write_frame(tmp_path / planned, rows)
    assert "--no-clips leaves the clips out" in refused("report", planned)


def test_a_report_is_a_file(refused, planned, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "'folder' is a folder: name a file" in refused("report", planned, "-o", "folder")


def test_a_browser_shows_the_page_without_a_word_of_complaint(cli, planned, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    assert cli("report", planned, "-o", "report.html", "--no-clips")[0] == 0

    def visit(name, size, *flags):
        done = subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}",
                "--enable-logging=stderr", f"--screenshot={tmp_path / name}", *flags,
                f"file://{tmp_path / 'report.html'}",
            ],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # Its policy allows no request, so the attempt at one would be a complaint.
        assert "CONSOLE" not in done.stderr
        with Image.open(tmp_path / name) as picture:
            return picture.convert("RGB").copy()

    desktop = visit("desktop.png", "1280,900")
    assert desktop.size == (1280, 900)
    assert desktop.getpixel((2, 2)) == (255, 255, 255)
    assert len(desktop.getcolors(1 << 20)) > 50  # words and lines, not an empty page
    assert visit("phone.png", "500,900").size == (500, 900)
    dark = visit("dark.png", "1280,900", "--blink-settings=preferredColorScheme=0")
    assert max(dark.getpixel((2, 2))) < 40

"""What is printed: on any terminal, of any text, into a closed pipe, and when a run is stopped."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from grasp_bench.cli import printing
from grasp_bench.cli.app import main
from grasp_bench.core import registry
from grasp_bench.core.errors import UserError, error_summary, one_line
from grasp_bench.run.store import read_results, write_rows

LABELS = ["cem[note=[bold]ψ[/bold]]", "gd[note=[/]]", "grasp[note=:smile: ≤ 語]"]


@pytest.fixture
def printed(monkeypatch, tmp_path):
    """Runs a command on a terminal of an encoding; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(encoding, *arguments):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        for stream in streams.values():
            stream.flush()
        texts = [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]
        return stop.value.code, *texts

    return run


@pytest.fixture
def odd_results(tmp_path, make_row):
    """Results in a folder whose name is not Unicode, of planners whose labels look like markup."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    rows = [
        make_row(planner=label.partition("[")[0], planner_label=label, success=True,
                 time_to_success=1.0, iterations_to_success=3)
        for label in LABELS
    ]  # fmt: skip
    write_rows(folder / "trials.parquet", rows)
    return folder.name


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "koi8-r", "utf-16"])
@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["figure", "--help"],
        ["planners"],
        ["models"],
        ["check-planner", "zero"],
        ["table", "{}"],
        ["table", "{}", "--kind", "times", "--format", "csv"],
        ["results", "show", "{}"],
        ["compare", "{}", "{}"],
    ],
    ids=" ".join,
)
def test_a_command_prints_on_a_terminal_of_any_encoding(printed, odd_results, encoding, command):
    code, out, err = printed(encoding, *(part.format(odd_results) for part in command))
    assert (code, err) == (0, "")
    assert len(out) > 100


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_bad_input_of_any_characters_is_a_sentence_on_any_terminal(printed, encoding):
    for name in ("π\n[bold]", os.fsdecode(b"caf\xe9.parquet"), "\x1b[2J\r", "n" * 10**6):
        code, out, err = printed(encoding, "table", name)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.removesuffix("\n").isprintable()
        assert len(err) < 2500


def test_passed_and_failed_differ_on_an_ascii_terminal(printed):
    _, out, _ = printed("ascii", "check-planner", "zero")
    assert {line[0] for line in out.splitlines()} == {"+", "-"}
    _, out, _ = printed("ascii", "planners")
    assert out.startswith("+---")


def test_labels_are_text_not_markup(printed, odd_results):
    code, out, _ = printed("utf-8", "results", "show", odd_results)
    assert code == 0
    for label in LABELS:
        assert label in out
    printing.console().print(LABELS[2])
    sys.stdout.flush()
    assert LABELS[2] in sys.stdout.buffer.getvalue().decode()


def test_files_are_written_with_any_text_in_them(odd_results, tmp_path):
    printing.write(tmp_path / odd_results / "text.md", odd_results)
    assert (tmp_path / odd_results / "text.md").read_text() == r"caf\udce9"


@pytest.mark.parametrize("command", [["planners"], ["--help"]])
def test_a_closed_pipe_ends_quietly(command):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "grasp_bench", *command],
        stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no message"),
        ("OutOfMemory", "OutOfMemory"),
        (
            "Traceback (most recent call last):\n  File 'x'\n    y\n    ^\n"
            "torch.AcceleratorError: CUDA error: an illegal memory access\n"
            "CUDA kernel errors might be asynchronously reported\n\nCompile with `X` to debug.\n",
            "torch.AcceleratorError: CUDA error: an illegal memory access",
        ),
        ("Traceback (most recent call last):\n  x\nKeyError: 'a\udcff'\n", r"KeyError: 'a\udcff'"),
        ("Traceback (most recent call last):\n  x\nE: \n\n below\nthat\n", "E:   below"),
        (
            "Traceback (most recent call last):\n  x\nFirst: 1\n\nDuring handling ...\n\n"
            "Traceback (most recent call last):\n  x\nSecond: 2\n",
            "Second: 2",
        ),
    ],
)
def test_the_summary_of_an_error_is_the_line_that_names_it(text, named):
    assert error_summary(text) == named


def test_a_line_is_cut_in_its_middle():
    assert one_line("a" * 50 + "b" * 50, 10) == "aaaaa ... bbbbb"


def installed(monkeypatch, targets):
    entries = [EntryPoint(n, target, "grasp_bench.planners") for n, target in targets.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)


def test_broken_planners_are_named_beside_the_list_of_the_others(cli, monkeypatch, tmp_path):
    (tmp_path / "quits.py").write_text("raise SystemExit('gone')")
    (tmp_path / "empty.py").write_text("class Empty: pass\nraises = property(lambda s: 1 / 0)")
    monkeypatch.syspath_prepend(tmp_path)
    targets = {"one": "quits:X", "two": "empty:Empty", "three": "nowhere:X", "four": "empty:raises"}
    installed(monkeypatch, targets)
    code, out, err = cli("planners")
    assert code == 0
    assert "samples=300" in out
    lines = err.splitlines()
    assert len(lines) == len(targets)
    for name, reason in zip(sorted(targets), ("dataclass", "SystemExit: gone", "nowhere", "data")):
        assert any(f"'{name}'" in line and reason in line for line in lines)
    code, _, err = cli("check-planner", "one")
    assert code == 2
    assert err.count("\n") == 1


def run_command(checkpoint, **changes):
    options = {"planner": "zero", "horizon": 10, "trials": 2, "model": checkpoint, "out": "out",
               "clock": "iterations"} | changes  # fmt: skip
    return ["run", *(str(part) for k, v in options.items() for part in (f"--{k}", v))]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_disk_is_a_sentence_that_names_the_file(
    cli, responsive_checkpoint, in_this_process, monkeypatch, code
):
    command = run_command(responsive_checkpoint)
    sync, calls = os.fsync, []

    def fail(file):
        calls.append(file)
        if len(calls) > 3:  # after the settings, what is asked for and one trial
            raise OSError(code, os.strerror(code))
        sync(file)

    monkeypatch.setattr(os, "fsync", fail)
    exit_code, _, err = cli(*command)
    assert exit_code == 2
    assert "'out/" in err
    assert os.strerror(code) in err
    assert "1 of 2 trials" in err
    assert err.count("\n") == 1
    assert list(Path("out").rglob("*.tmp")) == []
    monkeypatch.setattr(os, "fsync", sync)
    assert cli(*command)[0] == 0
    assert len(read_results("out")) == 2


def test_a_report_on_a_full_disk_names_its_file(cli, monkeypatch, tmp_path):
    def fail(self, text, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match=r"table\.md"):
        printing.write(tmp_path / "table.md", "text")


def running(session):
    """Processes of a session that have not ended."""
    listed = subprocess.run(
        ["ps", "-s", str(session), "-o", "stat="], capture_output=True, text=True, check=False
    )
    return [state for state in listed.stdout.split() if not state.startswith("Z")]


def test_sigterm_says_how_to_go_on_and_leaves_no_worker(responsive_checkpoint, tmp_path):
    command = run_command(
        responsive_checkpoint, planner="cem", trials=300, out=tmp_path / "out", workers=1
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "grasp_bench", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline()  # of the first trial
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert " of 300 trials are safe in " in " ".join(out.splitlines())
    assert err == ""
    for _ in range(500):
        if not running(process.pid):
            break
        time.sleep(0.01)
    assert running(process.pid) == []
    assert 0 < len(read_results(tmp_path / "out")) < 300


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--planner", "cem", "--horizon", "40", "--out", ""], "--out"),
        (["run", "--planner", "cem", "--horizon", "40", "--out="], "--out"),
        (["report", "x", "-o", ""], "-o"),
        (["table", ""], "empty"),
        (["compare", "a", "b", "--markdown="], "--markdown"),
        (["run", "--planner", "cem", "--horizon", "forty"], "'forty'"),
        (["run", "--planner", "cem", "--horizon", "4.5"], "'4.5'"),
        (["run", "--planner", "cem", "--horizon", "9" * 30], "9" * 30),
        (["run", "--planner", "cem"], "--horizon"),
        (["table"], "paths"),
        (["tabel"], "'tabel'"),
        (["table", "x", "--kind", "wide"], "'wide'"),
        (["table", "x", "--format"], "--format"),
        (["results", "check", "x", "--sample", "-1"], "'-1'"),
        (["tune", "--threads", "1e3"], "--threads"),
        (["sweep", "--planners", "cem", "--horizons", "10", "--workers", "0"], "--workers"),
        (["sweep", "--planners", "cem", "--horizons", "10", "--workers", "70000"], "70000"),
        (["sweep", "--planners", "cem", "--horizons", "10", "--trials", "10000000000"], "100000"),
        (["sweep", "--planners", "cem", "--horizons", "10", "--batch", "9" * 20], "--batch"),
        (["sweep", "--planners", "cem", "--horizons", "10", "--max-iterations", "0"], "--max-it"),
    ],
)
def test_usage_errors_are_one_sentence(refused, arguments, named):
    assert named in refused(*arguments)


def test_an_empty_value_of_a_hyperparameter_is_no_empty_argument(refused):
    sentence = refused("check-planner", "cem", "--set", "sigma=")
    assert "sigma" in sentence
    with pytest.raises(UserError, match="sigma"):
        main(["--debug", "check-planner", "cem", "--set=sigma="])
